import { quantityMilliValue, quantityValue, tryQuantity } from '../../../kernel/api/quantity.ts'
import type { ResourceRequirements } from '../../../kernel/resources/kinds/pod/types.ts'
import type { LinuxContainerResources } from '../../../platform/cri/index.ts'
import type { Pod } from './pod.ts'

const PERIOD_US = 100_000
const MIN_SHARES = 2
const MAX_SHARES = 262_144
const MIN_QUOTA_US = 1000

const milli = (value: unknown): number => {
  const quantity = tryQuantity(value)
  return quantity === undefined ? 0 : Number(quantityMilliValue(quantity))
}
const whole = (value: unknown): number => {
  const quantity = tryQuantity(value)
  return quantity === undefined ? 0 : Number(quantityValue(quantity))
}

/** Weight of a cgroup among its siblings: 1024 for a whole processor. */
export const cpuShares = (milliCpu: number): number =>
  Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor((milliCpu * 1024) / 1000)))

/** Microseconds in each period of 100 ms; 0: no limit. */
export const cpuQuota = (milliCpu: number): number =>
  milliCpu === 0 ? 0 : Math.max(MIN_QUOTA_US, Math.floor((milliCpu * PERIOD_US) / 1000))

/** What the kernel is told of a container's requests and limits. */
export function linuxResources(
  pod: Pod,
  resources: ResourceRequirements | undefined,
  memoryCapacity: number,
): LinuxContainerResources {
  const { requests = {}, limits = {} } = resources ?? {}
  // A limit without a request requests as much.
  const request = requests['cpu'] === undefined ? milli(limits['cpu']) : milli(requests['cpu'])
  return {
    cpuPeriod: PERIOD_US,
    cpuQuota: cpuQuota(milli(limits['cpu'])),
    cpuShares: cpuShares(request),
    memoryLimitInBytes: whole(limits['memory']),
    oomScoreAdj: oomScoreAdj(pod, whole(requests['memory'] ?? limits['memory']), memoryCapacity),
  }
}

/** Who dies first when memory runs out (pkg/kubelet/qos/policy.go): who uses more than they asked for. */
export function oomScoreAdj(pod: Pod, memoryRequest: number, memoryCapacity: number): number {
  if (pod.spec.priorityClassName === 'system-node-critical') return -997
  if (pod.status.qosClass === 'Guaranteed') return -997
  if (pod.status.qosClass === 'BestEffort') return 1000
  const share = memoryCapacity > 0 ? Math.floor((1000 * memoryRequest) / memoryCapacity) : 0
  return Math.min(999, Math.max(3, 1000 - share))
}

/** The cgroup of a pod: classes of service below the parent, guaranteed pods beside the classes. */
export function podCgroup(pod: Pick<Pod, 'uid' | 'status'>, parent: string): string {
  const root = parent.endsWith('/') ? parent.slice(0, -1) : parent
  const { qosClass } = pod.status
  const tier = qosClass === 'BestEffort' ? '/besteffort' : qosClass === 'Burstable' ? '/burstable' : ''
  return `${root}${tier}/pod${pod.uid}`
}
