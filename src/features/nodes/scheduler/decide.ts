import type { KubeObject } from '../../../kernel/api/object.ts'
import { preference, selectsNode } from './affinity.ts'
import { podRequests } from './resources.ts'
import { untolerated } from './taints.ts'
import type { NodeInfo, Reason } from './types.ts'

export type Placement = { node: string } | { /** For the pod's condition and event. */ message: string }

const HARD: ReadonlySet<string> = new Set(['NoSchedule', 'NoExecute'])
const SOFT: ReadonlySet<string> = new Set(['PreferNoSchedule'])

/** Why the pod cannot run there, as kube-scheduler's filters say it; none: it can. */
export function obstacles(pod: KubeObject, { node, allocatable, requested, pods }: NodeInfo): Reason[] {
  if (node['spec']?.unschedulable === true && !toleratesUnschedulable(pod)) return ['node(s) were unschedulable']
  const taint = untolerated(pod, node, HARD)
  if (taint !== undefined) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`]
  if (!selectsNode(pod, node)) return ["node(s) didn't match Pod's node affinity/selector"]
  if (portsCollide(pod, pods)) return ["node(s) didn't have free ports for the requested pod ports"]
  const reasons: Reason[] = []
  for (const [resource, amount] of podRequests(pod)) {
    if (amount === 0n) continue
    const free = (allocatable.get(resource) ?? 0n) - (requested.get(resource) ?? 0n)
    if (amount > free) reasons.push(resource === 'pods' ? 'Too many pods' : `Insufficient ${resource}`)
  }
  return reasons
}

const toleratesUnschedulable = (pod: KubeObject): boolean =>
  untolerated(
    pod,
    { metadata: {}, spec: { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] } } as never,
    HARD,
  ) === undefined

type Port = { hostPort?: number; hostIP?: string; protocol?: string }

function hostPorts(pod: KubeObject): Required<Port>[] {
  const containers = [...(pod['spec']?.containers ?? []), ...(pod['spec']?.initContainers ?? [])] as {
    ports?: Port[]
  }[]
  return containers
    .flatMap(({ ports = [] }) => ports)
    .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
    .map(({ hostPort, hostIP, protocol }) => ({
      hostPort: hostPort!,
      hostIP: hostIP || '0.0.0.0',
      protocol: protocol ?? 'TCP',
    }))
}

function portsCollide(pod: KubeObject, others: ReadonlyMap<string, KubeObject>): boolean {
  const wanted = hostPorts(pod)
  if (wanted.length === 0) return false
  const any = (address: string): boolean => address === '0.0.0.0' || address === '::'
  for (const other of others.values())
    for (const taken of hostPorts(other))
      for (const port of wanted)
        if (
          port.hostPort === taken.hostPort &&
          port.protocol === taken.protocol &&
          (port.hostIP === taken.hostIP || any(port.hostIP) || any(taken.hostIP))
        )
          return true
  return false
}

/**
 * Higher is better: preferred affinity and taints that should rather be avoided first, then machines that run fewer pods
 * of the same owner or labels (spreading), then those with more room left.
 */
function score(pod: KubeObject, info: NodeInfo): number[] {
  const avoid = untolerated(pod, info.node, SOFT) === undefined ? 1 : 0
  return [preference(pod, info.node), avoid, -siblings(pod, info.pods), room(info), -info.pods.size]
}

function siblings(pod: KubeObject, others: ReadonlyMap<string, KubeObject>): number {
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid
  const labels = Object.entries(pod.metadata.labels ?? {}).filter(([key]) => key !== 'pod-template-hash')
  if (owner === undefined && labels.length === 0) return 0
  let count = 0
  for (const other of others.values()) {
    if (other.metadata.namespace !== pod.metadata.namespace) continue
    const same =
      owner === undefined
        ? labels.every(([key, value]) => other.metadata.labels?.[key] === value)
        : other.metadata.ownerReferences?.some(({ uid }) => uid === owner)
    if (same) count++
  }
  return count
}

/** Share of CPU and memory that is free, 0 to 1, in steps coarse enough for the number of pods to count too. */
function room({ allocatable, requested }: NodeInfo): number {
  const share = (resource: string): number => {
    const all = Number(allocatable.get(resource) ?? 0n)
    return all === 0 ? 0 : Math.max(0, 1 - Number(requested.get(resource) ?? 0n) / all)
  }
  return Math.round(((share('cpu') + share('memory')) / 2) * 20) / 20
}

/** Where the pod goes, or why nowhere. `random` in [0, 1) breaks ties. */
export function place(pod: KubeObject, nodes: readonly NodeInfo[], random: () => number): Placement {
  const counts = new Map<Reason, number>()
  let best: { info: NodeInfo; score: number[]; tied: number } | undefined
  for (const info of nodes) {
    const reasons = obstacles(pod, info)
    if (reasons.length > 0) {
      for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
      continue
    }
    const own = score(pod, info)
    const order = best === undefined ? 1 : compare(own, best.score)
    if (order > 0) best = { info, score: own, tied: 1 }
    else if (order === 0) {
      best!.tied++
      if (random() * best!.tied < 1) best!.info = info
    }
  }
  if (best !== undefined) return { node: best.info.node.metadata.name! }
  if (nodes.length === 0) return { message: 'no nodes available to schedule pods' }
  const why = [...counts].map(([reason, count]) => `${count} ${reason}`).sort()
  return { message: `0/${nodes.length} nodes are available: ${why.join(', ')}.` }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return 0
}
