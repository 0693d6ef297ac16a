import type { RuntimeCondition } from '../../../platform/cri/index.ts'

export type NodeCondition = {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
  lastHeartbeatTime: string
  lastTransitionTime: string
}

/** What the machine's condition is judged by; shares are of one. */
export type Observation = {
  /** The runtime's own conditions; undefined: it does not answer, with the reason. */
  runtime: readonly RuntimeCondition[] | undefined
  runtimeError: string
  memoryAvailableBytes: number
  diskAvailable: number
  inodesAvailable: number
}

/** The kubelet's default thresholds for hard eviction. */
const MIN_MEMORY_BYTES = 100 * 1024 * 1024
const MIN_DISK = 0.1
const MIN_INODES = 0.05

type Verdict = [status: boolean, reason: string, message: string]

/** The Node's conditions. `before` are those it has: a transition is dated only when the status changes. */
export function nodeConditions(
  seen: Observation,
  before: readonly Partial<NodeCondition>[],
  now: string,
): NodeCondition[] {
  const memory = seen.memoryAvailableBytes < MIN_MEMORY_BYTES
  const disk = seen.diskAvailable < MIN_DISK || seen.inodesAvailable < MIN_INODES
  const verdicts: [string, Verdict][] = [
    [
      'MemoryPressure',
      memory
        ? [true, 'KubeletHasInsufficientMemory', 'kubelet has insufficient memory available']
        : [false, 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ],
    [
      'DiskPressure',
      disk
        ? [true, 'KubeletHasDiskPressure', 'kubelet has disk pressure']
        : [false, 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
    ],
    ['PIDPressure', [false, 'KubeletHasSufficientPID', 'kubelet has sufficient PID available']],
    ['Ready', ready(seen)],
  ]
  const own = verdicts.map(([type, [status, reason, message]]): NodeCondition => {
    const old = before.find((condition) => condition.type === type)
    const value = status ? 'True' : 'False'
    const lastTransitionTime = old?.status === value ? (old.lastTransitionTime ?? now) : now
    return { type, status: value, lastHeartbeatTime: now, lastTransitionTime, reason, message }
  })
  const types = new Set(own.map(({ type }) => type))
  return [...before.filter(({ type }) => !types.has(type ?? '')), ...own] as NodeCondition[]
}

function ready({ runtime, runtimeError }: Observation): Verdict {
  if (runtime === undefined) return [false, 'KubeletNotReady', `container runtime is down: ${runtimeError}`]
  const wrong: string[] = []
  for (const [type, what] of [
    ['RuntimeReady', 'container runtime'],
    ['NetworkReady', 'container runtime network'],
  ] as const) {
    const found = runtime.find((condition) => condition.type === type)
    if (found?.status === true) continue
    const { reason = '', message = 'the runtime does not say' } = found ?? {}
    wrong.push(`${what} not ready: ${type}=false reason:${reason} message:${message}`)
  }
  if (wrong.length > 0) return [false, 'KubeletNotReady', `[${wrong.join(', ')}]`]
  return [true, 'KubeletReady', 'kubelet is posting ready status']
}
