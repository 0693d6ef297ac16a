/**
 * One thing that must be so. `check` tells whether it is already; `apply` makes it so and may have got half-way when it
 * fails; `undo` takes back what this run's `apply` did, half-way or whole, and nothing else.
 */
export type Step<C> = {
  name: string
  check: (context: C) => Promise<boolean> | boolean
  apply: (context: C) => Promise<void>
  undo?: (context: C) => Promise<void>
}

/** Wraps the work of one step, e.g. to print it. */
export type Report = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** A step failed: which, why, and what of this run could not be taken back. */
export class JoinError extends Error {
  readonly step: string
  readonly left: readonly string[]

  constructor(step: string, reason: string, left: readonly string[], cause: unknown) {
    const rest = left.length === 0 ? 'everything that was done has been undone' : `not undone: ${left.join('; ')}`
    super(`${step}: ${reason}\n${rest}`, { cause })
    this.name = 'JoinError'
    this.step = step
    this.left = left
  }
}

/**
 * Makes every step so, in order, passing over those that are. When one fails, what this run did is undone in reverse, and
 * JoinError says what failed. Aborting fails the step that comes next.
 */
export async function runSteps<C>(
  steps: readonly Step<C>[],
  context: C,
  report: Report = (_name, work) => work(),
  signal?: AbortSignal,
): Promise<{ applied: string[] }> {
  const begun: Step<C>[] = []
  for (const step of steps) {
    try {
      signal?.throwIfAborted()
      if (await step.check(context)) continue
      begun.push(step)
      await report(step.name, () => step.apply(context))
    } catch (error) {
      const left = await undoAll(begun, context)
      throw new JoinError(step.name, reasonOf(error), left, error)
    }
  }
  return { applied: begun.map((s) => s.name) }
}

async function undoAll<C>(begun: readonly Step<C>[], context: C): Promise<string[]> {
  const left: string[] = []
  for (const step of [...begun].reverse()) {
    try {
      await step.undo?.(context)
    } catch (error) {
      left.push(`${step.name} (${reasonOf(error)})`)
    }
  }
  return left
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
