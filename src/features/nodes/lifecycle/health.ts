import type { KubeObject } from '../../../kernel/api/object.ts'

export type Condition = {
  type: string
  status: 'True' | 'False' | 'Unknown'
  reason: string
  message: string
  lastHeartbeatTime?: string
  lastTransitionTime: string
}
export type Taint = { key: string; value?: string; effect: string; timeAdded?: string }

export const NOT_READY = 'node.kubernetes.io/not-ready'
export const UNREACHABLE = 'node.kubernetes.io/unreachable'
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable'

/** Conditions that a machine reports about itself and that nobody knows once it is silent. */
const REPORTED = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const

export const conditionsOf = (object: KubeObject): Condition[] => (object['status']?.conditions ?? []) as Condition[]
export const readyOf = (node: KubeObject): Condition | undefined =>
  conditionsOf(node).find(({ type }) => type === 'Ready')

/** The conditions of a machine that has been silent too long; undefined: they say so already. `now` in RFC 3339. */
export function unknownConditions(node: KubeObject, now: string): Condition[] | undefined {
  const known = conditionsOf(node)
  const changed: Condition[] = []
  for (const type of REPORTED) {
    const old = known.find((condition) => condition.type === type)
    if (old?.status === 'Unknown') continue
    changed.push({
      type,
      status: 'Unknown',
      reason: old === undefined ? 'NodeStatusNeverUpdated' : 'NodeStatusUnknown',
      message: old === undefined ? 'Kubelet never posted node status.' : 'Kubelet stopped posting node status.',
      ...(old?.lastHeartbeatTime === undefined ? {} : { lastHeartbeatTime: old.lastHeartbeatTime }),
      lastTransitionTime: now,
    })
  }
  return changed.length === 0 ? undefined : changed
}

/**
 * The taints that a Node's conditions and spec.unschedulable call for (TaintNodesByCondition, NoExecute for machines that
 * are not ready); undefined: it has just those. Other people's taints stay.
 */
export function wantedTaints(node: KubeObject, now: string): Taint[] | undefined {
  const spec = (node['spec'] ?? {}) as { taints?: Taint[]; unschedulable?: boolean }
  const current = spec.taints ?? []
  const ready = readyOf(node)?.status
  const wanted = new Set<string>()
  if (ready === 'Unknown') wanted.add(`${UNREACHABLE}:NoSchedule`).add(`${UNREACHABLE}:NoExecute`)
  else if (ready !== 'True') wanted.add(`${NOT_READY}:NoSchedule`).add(`${NOT_READY}:NoExecute`)
  if (spec.unschedulable === true) wanted.add(`${UNSCHEDULABLE}:NoSchedule`)
  const pressures = [
    ['MemoryPressure', 'node.kubernetes.io/memory-pressure'],
    ['DiskPressure', 'node.kubernetes.io/disk-pressure'],
    ['PIDPressure', 'node.kubernetes.io/pid-pressure'],
    ['NetworkUnavailable', 'node.kubernetes.io/network-unavailable'],
  ] as const
  const ours: Set<string> = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE])
  for (const [type, key] of pressures) {
    ours.add(key)
    if (conditionsOf(node).some((condition) => condition.type === type && condition.status === 'True'))
      wanted.add(`${key}:NoSchedule`)
  }
  const kept = current.filter(({ key, effect }) => !ours.has(key) || wanted.delete(`${key}:${effect}`))
  if (wanted.size === 0 && kept.length === current.length) return undefined
  const added = [...wanted].map((text): Taint => {
    const [key, effect] = text.split(':') as [string, string]
    return { key, effect, ...(effect === 'NoExecute' ? { timeAdded: now } : {}) }
  })
  return [...kept, ...added]
}
