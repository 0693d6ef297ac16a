import type { Probe } from '../../../kernel/resources/kinds/pod/types.ts'

export type ProbeKind = 'startup' | 'liveness' | 'readiness'
export type Outcome = 'success' | 'failure'

/** What one probe of one run of a container has found so far (pkg/kubelet/prober/worker.go). */
export type ProbeState = {
  result: Outcome | 'unknown'
  last: Outcome | undefined
  /** How often the last outcome came in a row. */
  run: number
  /** Failed for good: the container is about to be stopped, and asking on makes no sense. */
  held: boolean
}

export const INITIAL_RESULT: Readonly<Record<ProbeKind, ProbeState['result']>> = {
  startup: 'unknown',
  liveness: 'success',
  readiness: 'failure',
}

export const initialState = (kind: ProbeKind): ProbeState => ({
  result: INITIAL_RESULT[kind],
  last: undefined,
  run: 0,
  held: false,
})

/** The state after one more outcome: results change when a threshold is reached. */
export function afterOutcome(state: ProbeState, kind: ProbeKind, probe: Probe, outcome: Outcome): ProbeState {
  const run = state.last === outcome ? state.run + 1 : 1
  const threshold = outcome === 'failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1)
  if (run < threshold) return { ...state, last: outcome, run }
  const held = outcome === 'failure' && kind !== 'readiness'
  return { result: outcome, last: outcome, run: held ? 0 : run, held }
}
