import type { PodCondition } from '../../../kernel/resources/kinds/pod/types.ts'
import { isSidecar, type Pod, type PodContainer } from './pod.ts'
import type { ContainerStatus } from './status-types.ts'

export type ConditionsInput = {
  pod: Pod
  phase: string
  init: readonly ContainerStatus[]
  main: readonly ContainerStatus[]
  /** Its sandbox stands and has its address. */
  hasNetwork: boolean
  /** RFC 3339. */
  now: string
}

type Verdict = { status: 'True' | 'False'; reason?: string; message?: string }
const TRUE: Verdict = { status: 'True' }

/** Types that a kubelet writes, in its order; the others of a pod are left to whoever wrote them. */
const OWN = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'] as const

/** The pod's conditions (pkg/kubelet/status/generate.go); a transition is dated only when the status changes. */
export function podConditions(input: ConditionsInput): PodCondition[] {
  const { pod, phase, now } = input
  const containersReady = allReady(input)
  const verdicts: Record<(typeof OWN)[number], Verdict> = {
    PodReadyToStartContainers: { status: input.hasNetwork ? 'True' : 'False' },
    Initialized: initialized(input),
    Ready: ready(pod, phase, containersReady),
    ContainersReady: containersReady,
    PodScheduled: TRUE,
  }
  const before = pod.status.conditions ?? []
  const own = OWN.map((type): PodCondition => {
    const verdict = verdicts[type]
    const old = before.find((condition) => condition.type === type)
    const same = old?.status === verdict.status && old.lastTransitionTime != null
    return {
      type,
      status: verdict.status,
      ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
      ...(verdict.message === undefined ? {} : { message: verdict.message }),
      lastTransitionTime: same ? old.lastTransitionTime! : now,
    }
  })
  const foreign = before.filter(({ type }) => !(OWN as readonly string[]).includes(type ?? ''))
  return [...own, ...foreign]
}

function initialized({ pod, phase, init, main }: ConditionsInput): Verdict {
  if (pod.initContainers.length === 0) return phase === 'Succeeded' ? completed('True') : TRUE
  if (phase === 'Succeeded') return completed('True')
  // Once a main container has begun, initialization was complete, whatever became of the sidecars.
  if (main.some(({ state, lastState }) => state.waiting === undefined || lastState.terminated !== undefined))
    return TRUE
  const incomplete = pod.initContainers.filter((container, i) => {
    const { ready: done, started } = init[i]!
    return isSidecar(container) ? !started : !done
  })
  if (incomplete.length === 0) return TRUE
  return {
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${names(incomplete)}]`,
  }
}

function allReady({ pod, phase, init, main }: ConditionsInput): Verdict {
  if (phase === 'Succeeded') return completed('False')
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' }
  const unready = [
    ...pod.initContainers.filter((container, i) => isSidecar(container) && !init[i]!.ready),
    ...pod.containers.filter((_, i) => !main[i]!.ready),
  ]
  if (unready.length === 0) return TRUE
  const message = `containers with unready status: [${names(unready)}]`
  return { status: 'False', reason: 'ContainersNotReady', message }
}

function ready(pod: Pod, phase: string, containersReady: Verdict): Verdict {
  if (containersReady.status === 'False') return containersReady
  const wrong = (pod.spec.readinessGates ?? []).flatMap(({ conditionType = '' }) => {
    const found = pod.status.conditions?.find(({ type }) => type === conditionType)
    if (found === undefined) return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`]
    return found.status === 'True'
      ? []
      : [`the status of pod readiness gate "${conditionType}" is not "True", but ${found.status ?? 'Unknown'}`]
  })
  if (wrong.length === 0 || phase === 'Succeeded') return TRUE
  return { status: 'False', reason: 'ReadinessGatesNotReady', message: wrong.join(', ') }
}

const completed = (status: 'True' | 'False'): Verdict => ({ status, reason: 'PodCompleted' })
const names = (containers: readonly PodContainer[]): string => containers.map(({ name }) => name).join(' ')
