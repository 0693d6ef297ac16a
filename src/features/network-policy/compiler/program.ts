import type { AddressFamily } from '../model/addresses.ts'
import type { Direction } from '../model/types.ts'

/** A firewall as values: what tables hold, before anybody puts it into a kernel. */

export type NftFamily = 'ip' | 'ip6'
export const FAMILIES: readonly NftFamily[] = ['ip', 'ip6']
export const addressFamily = (family: NftFamily): AddressFamily => (family === 'ip' ? 4 : 6)
export const nftFamily = (family: AddressFamily): NftFamily => (family === 4 ? 'ip' : 'ip6')

export type FieldType = 'ipv4_addr' | 'ipv6_addr' | 'inet_proto' | 'inet_service' | 'ifname'

/** What a rule reads of a packet. The address family is the table's. */
export type Field = 'saddr' | 'daddr' | 'l4proto' | 'sport' | 'dport' | 'iifname' | 'ctstate' | 'icmptype'

export type Statement =
  | { kind: 'lookup'; fields: readonly Field[]; set: string; negated?: boolean }
  /** Goes to the chain that the map has for the value; when it has none, the next rule follows. */
  | { kind: 'vmap'; fields: readonly Field[]; map: string }
  | { kind: 'compare'; field: Field; values: readonly string[]; negated?: boolean }
  /** Not more often than this; what is more does not match. */
  | { kind: 'limit'; perSecond: number; burst: number }
  | { kind: 'log'; prefix: string; group: number }
  | { kind: 'counter'; name: string }
  | { kind: 'verdict'; verdict: 'accept' | 'drop' | 'return' }
  | { kind: 'jump' | 'goto'; chain: string }
  | { kind: 'reset' }

export type Rule = readonly Statement[]

export type Hook = { hook: 'prerouting' | 'input' | 'forward' | 'output'; priority: number }

export type Chain = { name: string; hook?: Hook; comment?: string; rules: readonly Rule[] }

/**
 * One element in nft's notation: `10.244.1.5 . tcp . 80`, fields separated by ` . `, in interval sets with ranges and
 * blocks. Texts are canonical: equal elements have equal texts.
 */
export type Element = string

export type NamedSet = {
  name: string
  key: readonly FieldType[]
  interval: boolean
  /** Seconds after which elements vanish; such sets are filled by others, and never compared. */
  timeout?: number
  elements: ReadonlySet<Element>
}

/** From an element to the chain where its packets go. */
export type VerdictMap = { name: string; key: readonly FieldType[]; elements: ReadonlyMap<Element, string> }

export type Table = {
  family: NftFamily
  name: string
  chains: ReadonlyMap<string, Chain>
  sets: ReadonlyMap<string, NamedSet>
  maps: ReadonlyMap<string, VerdictMap>
  counters: ReadonlySet<string>
}

/** By `family name`. */
export type Program = ReadonlyMap<string, Table>

export const tableKey = ({ family, name }: Pick<Table, 'family' | 'name'>): string => `${family} ${name}`

/** What an identifier in counters (`<id>_allow`, `<id>_drop`, `<id>_seen`) and log prefixes stands for. */
export type Attribution = {
  id: string
  direction: Direction
  /** `NetworkPolicy/namespace/name` or `ClusterNetworkPolicy/name`: of those that isolate, all. */
  policies: readonly string[]
}

type MutableSet = Omit<NamedSet, 'elements'> & { elements: Set<Element> }
type MutableMap = Omit<VerdictMap, 'elements'> & { elements: Map<Element, string> }

/** A program, or a part of one, while it is put together. */
export class Draft {
  readonly tables: Map<
    string,
    {
      family: NftFamily
      name: string
      chains: Map<string, Chain>
      sets: Map<string, MutableSet>
      maps: Map<string, MutableMap>
      counters: Set<string>
    }
  > = new Map()

  table(family: NftFamily, name: string): NonNullable<ReturnType<Draft['tables']['get']>> {
    const key = tableKey({ family, name })
    let table = this.tables.get(key)
    if (table === undefined) {
      table = { family, name, chains: new Map(), sets: new Map(), maps: new Map(), counters: new Set() }
      this.tables.set(key, table)
    }
    return table
  }
}
