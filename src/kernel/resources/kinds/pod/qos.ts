import { addQuantity, compareQuantity, type Quantity, quantityOf, tryQuantity } from '../../../api/quantity.ts'
import type { Container, PodSpec, ResourceList } from './types.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

const ZERO = quantityOf(0)
const COMPUTE = ['cpu', 'memory']

/** Adds the amounts of cpu and memory above zero to `sums`; answers how many of the two there were. */
function addCompute(list: ResourceList | null | undefined, sums: Map<string, Quantity>): number {
  if (list == null) return 0
  let found = 0
  for (const name of COMPUTE) {
    const quantity = tryQuantity(list[name])
    if (quantity === undefined || quantity.nanos <= 0n) continue
    found++
    sums.set(name, addQuantity(sums.get(name) ?? ZERO, quantity))
  }
  return found
}

/**
 * Guaranteed: every container limits cpu and memory, and requests as much. BestEffort: none asks for anything.
 * Resources of the pod as a whole decide alone where they are given.
 */
export function podQosClass(spec: PodSpec): QosClass {
  const requests = new Map<string, Quantity>()
  const limits = new Map<string, Quantity>()
  const all: { resources?: Container['resources'] }[] =
    spec.resources?.requests != null || spec.resources?.limits != null
      ? [spec]
      : [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
  let allLimited = true
  for (const { resources } of all) {
    addCompute(resources?.requests, requests)
    if (addCompute(resources?.limits, limits) < COMPUTE.length) allLimited = false
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort'
  const equal = [...requests].every(([name, request]) => {
    const limit = limits.get(name)
    return limit !== undefined && compareQuantity(request, limit) === 0
  })
  return allLimited && equal && requests.size === limits.size ? 'Guaranteed' : 'Burstable'
}
