import { addQuantity, compareQuantity, parseQuantity, type Quantity } from '../../api/quantity.ts'
import type { Container, PodSpec, ResourceList } from '../../resources/kinds/pod/types.ts'

type Amounts = Map<string, Quantity>

/**
 * What a pod asks for as a whole: the sum of its containers, or what its init containers need at their worst moment
 * where that is more. Init containers that restart (sidecars) run beside all that come after them.
 */
export const podRequests = (spec: PodSpec): ResourceList => total(spec, (c) => c.resources?.requests ?? {})
export const podLimits = (spec: PodSpec): ResourceList => total(spec, (c) => c.resources?.limits ?? {})

function total(spec: PodSpec, of: (container: Container) => ResourceList): ResourceList {
  const sum: Amounts = new Map()
  for (const container of spec.containers ?? []) add(sum, of(container))
  const sidecars: Amounts = new Map()
  const worst: Amounts = new Map()
  for (const container of spec.initContainers ?? []) {
    let now: Amounts
    if (container.restartPolicy === 'Always') {
      add(sum, of(container))
      add(sidecars, of(container))
      now = sidecars
    } else {
      now = new Map(sidecars)
      add(now, of(container))
    }
    raise(worst, now)
  }
  raise(sum, worst)
  return Object.fromEntries([...sum].map(([name, quantity]) => [name, quantity.text]))
}

function add(to: Amounts, list: ResourceList): void {
  for (const [name, text] of Object.entries(list)) {
    const quantity = parseQuantity(text)
    const before = to.get(name)
    to.set(name, before === undefined ? quantity : addQuantity(before, quantity))
  }
}

function raise(to: Amounts, least: Amounts): void {
  for (const [name, quantity] of least) {
    const before = to.get(name)
    if (before === undefined || compareQuantity(before, quantity) < 0) to.set(name, quantity)
  }
}
