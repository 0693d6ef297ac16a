import type { Json, KubeObject } from '../api/object.ts'
import { jsonEqual } from '../merge/json-value.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

export type AdmissionChain = {
  /** All `mutate`, in order; then once more those that asked to be reinvoked, if a later one changed the object. */
  mutate: (request: AdmissionRequest) => void | Promise<void>
  /** All `validate`, in order. */
  validate: (request: AdmissionRequest) => void | Promise<void>
}

/** Synchronous as long as every step that handles the request is. A step refuses by throwing ApiError. */
export function createAdmissionChain(steps: readonly AdmissionStep[]): AdmissionChain {
  const mutating = steps.filter((s) => s.mutate !== undefined)
  const validating = steps.filter((s) => s.validate !== undefined)
  return {
    mutate: (request) => {
      const chosen = mutating.filter((s) => s.handles(request))
      if (chosen.length === 0) return undefined
      const first = chosen.findIndex((s) => s.reinvoke === true)
      // Nothing behind it can change the object: what it made is the result.
      if (first < 0 || first === chosen.length - 1) return runAll(chosen, 'mutate', request, 0)
      return mutateTwice(chosen, request)
    },
    validate: (request) => runAll(validating, 'validate', request, 0),
  }
}

function runAll(
  steps: readonly AdmissionStep[],
  phase: 'mutate' | 'validate',
  request: AdmissionRequest,
  start: number,
): void | Promise<void> {
  for (let i = start; i < steps.length; i++) {
    const step = steps[i]!
    if (!step.handles(request)) continue
    const pending = step[phase]!(request)
    if (pending instanceof Promise) return pending.then(() => runAll(steps, phase, request, i + 1))
  }
}

/**
 * Steps that ask for it run once more when one behind them changed the object, so that their rules hold for the result;
 * and those behind one that changes it on its second run, too.
 */
async function mutateTwice(steps: readonly AdmissionStep[], request: AdmissionRequest): Promise<void> {
  const changed: boolean[] = []
  for (const step of steps) changed.push(await changes(step, request))
  let again = false
  for (const [i, step] of steps.entries())
    if (step.reinvoke === true && (again || changed.slice(i + 1).includes(true)))
      again = (await changes(step, request)) || again
}

async function changes(step: AdmissionStep, request: AdmissionRequest): Promise<boolean> {
  const before = snapshot(request.object)
  await step.mutate!(request)
  return !jsonEqual(before, request.object as Json | undefined)
}

function snapshot(object: KubeObject | undefined): Json | undefined {
  return object === undefined ? undefined : (JSON.parse(JSON.stringify(object)) as Json)
}
