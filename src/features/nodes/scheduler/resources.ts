import type { JsonObject, KubeObject } from '../../../kernel/api/object.ts'
import { quantityMilliValue, quantityValue, tryQuantity } from '../../../kernel/api/quantity.ts'
import type { Amounts } from './types.ts'

type Container = { resources?: { requests?: JsonObject }; restartPolicy?: string }

const amountOf = (resource: string, value: unknown): bigint => {
  const quantity = tryQuantity(value)
  if (quantity === undefined) return 0n
  return resource === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity)
}

export function amountsOf(list: JsonObject | undefined): Map<string, bigint> {
  return new Map(Object.entries(list ?? {}).map(([resource, value]) => [resource, amountOf(resource, value)]))
}

function add(into: Map<string, bigint>, other: Amounts): void {
  for (const [resource, amount] of other) into.set(resource, (into.get(resource) ?? 0n) + amount)
}

function atLeast(into: Map<string, bigint>, other: Amounts): void {
  for (const [resource, amount] of other) if (amount > (into.get(resource) ?? 0n)) into.set(resource, amount)
}

/**
 * What a pod needs at any one time: all containers and sidecars together, or an init container with the sidecars before
 * it, whichever is more; overhead on top (KEP-753). The pod itself counts as one of `pods`.
 */
export function podRequests(pod: KubeObject): Map<string, bigint> {
  const spec = (pod['spec'] ?? {}) as {
    containers?: Container[]
    initContainers?: Container[]
    overhead?: JsonObject
  }
  const total = new Map<string, bigint>()
  for (const { resources } of spec.containers ?? []) add(total, amountsOf(resources?.requests))
  const sidecars = new Map<string, bigint>()
  const starting = new Map<string, bigint>()
  for (const { resources, restartPolicy } of spec.initContainers ?? []) {
    const own = amountsOf(resources?.requests)
    if (restartPolicy === 'Always') {
      add(sidecars, own)
      add(total, own)
      atLeast(starting, sidecars)
    } else {
      const together = new Map(sidecars)
      add(together, own)
      atLeast(starting, together)
    }
  }
  atLeast(total, starting)
  add(total, amountsOf(spec.overhead))
  total.set('pods', 1n)
  return total
}
