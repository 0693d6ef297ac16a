import type { KubeObject } from '../../../kernel/api/object.ts'
import {
  compileLabelSelector,
  type LabelSelector,
  matchesSelector,
  type Selector,
} from '../../../kernel/api/selectors.ts'
import { formatAddress, type IPAddress, rangeOfCidr } from './addresses.ts'
import { selectorKey } from './groups.ts'
import { addressesOf } from './pod.ts'

export type Machine = {
  name: string
  labels: Readonly<Record<string, string>>
  /** status.addresses. */
  addresses: readonly IPAddress[]
  /** Addresses that the machine itself has inside its block of pod addresses: its ends of tunnel and pod links. */
  gateways: readonly IPAddress[]
}

export type NodeGroup = {
  key: string
  selector: Selector
  references: number
  /** Addresses of the machines that it selects, by their text. */
  addresses: ReadonlyMap<string, IPAddress>
}

export function machineOf(node: KubeObject): Machine {
  const spec = node['spec'] ?? {}
  const status = node['status'] ?? {}
  const listed = (status.addresses ?? []) as { type?: string; address?: string }[]
  const blocks = [...new Set([spec.podCIDR, ...((spec.podCIDRs ?? []) as string[])])]
  return {
    name: node.metadata.name ?? '',
    labels: node.metadata.labels ?? {},
    addresses: addressesOf(listed.filter(({ type }) => type !== 'Hostname').map(({ address }) => address)),
    gateways: blocks.flatMap((block) => {
      const range = block ? rangeOfCidr(block) : undefined
      if (range === undefined || range.last === range.first) return []
      const at = (value: bigint): string => formatAddress(range.family, value)
      return addressesOf([at(range.first), at(range.first + 1n)])
    }),
  }
}

const sameAddresses = (a: ReadonlyMap<string, IPAddress>, b: ReadonlyMap<string, IPAddress>): boolean =>
  a.size === b.size && [...a.keys()].every((text) => b.has(text))

/** The machines, and the groups of them that cluster policies name as peers. */
export class Machines {
  readonly #machines = new Map<string, Machine>()
  readonly #groups = new Map<string, NodeGroup>()

  get(name: string): Machine | undefined {
    return this.#machines.get(name)
  }

  /** The machine that has this address, which no pod has. */
  byAddress(text: string): Machine | undefined {
    for (const machine of this.#machines.values()) if (hasAddress(machine, text)) return machine
    return undefined
  }

  acquire(selector: LabelSelector): NodeGroup {
    const key = selectorKey(selector)
    const found = this.#groups.get(key)
    if (found !== undefined) {
      found.references++
      return found
    }
    const group = { key, selector: compileLabelSelector(selector)!, references: 1, addresses: new Map() }
    this.#groups.set(key, group)
    this.#refresh(group)
    return group
  }

  release(group: NodeGroup): void {
    if (--group.references === 0) this.#groups.delete(group.key)
  }

  /** Returns the groups whose addresses have changed. */
  set(name: string, machine: Machine | undefined): NodeGroup[] {
    if (machine === undefined) this.#machines.delete(name)
    else this.#machines.set(name, machine)
    return [...this.#groups.values()].filter((group) => this.#refresh(group))
  }

  #refresh(group: NodeGroup): boolean {
    const addresses = new Map<string, IPAddress>()
    for (const machine of this.#machines.values())
      if (matchesSelector(group.selector, machine.labels))
        for (const address of machine.addresses) addresses.set(address.text, address)
    if (sameAddresses(addresses, group.addresses)) return false
    group.addresses = addresses
    return true
  }
}

export const hasAddress = (machine: Machine, text: string): boolean =>
  machine.addresses.some((address) => address.text === text) ||
  machine.gateways.some((address) => address.text === text)
