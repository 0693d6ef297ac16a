import type { AdmissionRequest, AdmissionStep } from './types.ts'

export type AdmissionChain = {
  /** All `mutate`, in order; then once more those marked `reinvoke`, if one of the chain replaced the object. */
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
      const pass = { reinvocable: false, again: false }
      const pending = firstPass(mutating, request, 0, pass)
      if (pending !== undefined) return pending.then(() => secondPass(mutating, request, pass.again))
      return secondPass(mutating, request, pass.again)
    },
    validate: (request) => runAll(validating, 'validate', request, 0),
  }
}

type Pass = { /** A step that may run again has run. */ reinvocable: boolean; again: boolean }

/** Webhooks replace the object when they change it, so that no copies are needed to see it. */
function firstPass(
  steps: readonly AdmissionStep[],
  request: AdmissionRequest,
  start: number,
  pass: Pass,
): void | Promise<void> {
  for (let i = start; i < steps.length; i++) {
    const step = steps[i]!
    if (!step.handles(request)) continue
    const before = request.object
    const settle = (): void => {
      // The webhooks themselves count: they look for themselves who of them wants to be asked again.
      if (step.reinvoke === true) pass.reinvocable = true
      if (request.object !== before && pass.reinvocable) pass.again = true
    }
    const pending = step.mutate!(request)
    if (pending instanceof Promise)
      return pending.then(() => {
        settle()
        return firstPass(steps, request, i + 1, pass)
      })
    settle()
  }
}

function secondPass(steps: readonly AdmissionStep[], request: AdmissionRequest, again: boolean): void | Promise<void> {
  if (!again) return
  return runAll(
    steps.filter((step) => step.reinvoke === true),
    'mutate',
    request,
    0,
  )
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
