import {
  type AddressFamily,
  type AddressRange,
  formatRange,
  type IPAddress,
  rangeContains,
  wholeFamily,
} from '../model/addresses.ts'
import type { PodGroup } from '../model/groups.ts'
import type { NetworkPolicyModel } from '../model/model.ts'
import type { NodeGroup } from '../model/nodes.ts'
import type { NamedPort, Pod } from '../model/pod.ts'
import type { Peer, PortMatch, Rule } from '../model/policy.ts'
import type { Direction, Protocol } from '../model/types.ts'
import type { Draft, Element, FieldType, NftFamily, Rule as NftRule, Statement } from './program.ts'
import { addressFamily } from './program.ts'
import {
  ALL_PORTS,
  covered,
  disjoint,
  formatPorts,
  formatRectangle,
  type PortRange,
  type Rectangle,
  subtractPorts,
  unitePorts,
} from './rectangles.ts'
import {
  type DynamicRule,
  dynamicRule,
  INTERVALS,
  KINDS,
  type Kind,
  namesBeyondGroups,
  namesEveryPod,
  noElements,
  type Sets,
  type Shape,
  shapeOf,
} from './shape.ts'

/** What the rules let one address do: `exact` and `net` are what follows the address in an element. */
type Contribution = { anyPort: boolean; exact: readonly string[]; net: readonly string[] }

const WIDE: readonly AddressFamily[] = [4, 6]

/** The addresses of all pods of the cluster: rules for every pod share it. */
export const EVERY_POD = 'pods'

/**
 * Rules of which any may match, as at most four sets whatever the number of rules: `exact` (address, protocol, port);
 * `peer` (address, any port), which becomes `block` when there are ranges of addresses too; `port` (protocol and port, any
 * peer), which goes into `net` when there are ranges of addresses or ports to go with it; and `pod` (protocols and ports)
 * beside the table's set of all pods. What needs no port reads none: not every packet has one. Which sets there are
 * depends on the rules alone, so that pods come and go by elements only.
 */
export class Stage {
  readonly id: string
  readonly direction: Direction
  readonly rules: readonly Rule[]
  /** Named ports of the pods that the rules are for: ingress rules speak of those. */
  readonly #own: readonly NamedPort[]
  readonly #model: NetworkPolicyModel
  readonly shape: Shape
  readonly #port: ReadonlySet<Element>
  readonly #pod: ReadonlySet<Element>
  /** Of `block` where they have no protocol, otherwise of `net`. */
  readonly #rectangles: Record<AddressFamily, readonly Rectangle[]>
  readonly #contributions: Record<AddressFamily, Map<string, Contribution>> = { 4: new Map(), 6: new Map() }
  /** Most addresses contribute one of a few things: each is kept once. */
  readonly #shared = new Map<string, Contribution>()
  /** Rules that have to do with pods. */
  readonly #dynamic: readonly DynamicRule[]
  /** Whether one of them has a range of ports, which must not overlap with the blocks. */
  readonly #ranged: boolean
  readonly #looksUp: boolean
  /** Whether two pods that the same rules match, with the same ports, may yet differ. */
  readonly #byAddress: boolean
  /** By the rules that match, as bits, and by the pod's ports where they count. */
  readonly #known = new Map<number | string, Contribution | undefined>()

  constructor(
    model: NetworkPolicyModel,
    id: string,
    direction: Direction,
    rules: readonly Rule[],
    own: readonly NamedPort[],
  ) {
    this.#model = model
    this.id = id
    this.direction = direction
    this.rules = rules
    this.#own = own
    this.shape = shapeOf(rules, (match) => this.#resolved(match))
    this.#dynamic = rules.map(dynamicRule).filter(({ groups, looksUp }) => groups.length > 0 || looksUp)
    this.#looksUp = this.#dynamic.some(({ looksUp }) => looksUp)
    this.#byAddress =
      this.#dynamic.length > 31 ||
      (this.shape.block && this.#dynamic.some(({ ports }) => ports === 'any')) ||
      this.#dynamic.some(
        ({ looksUp, peers }) => looksUp && peers !== 'any' && peers.some(({ kind }) => kind === 'block'),
      )
    this.#ranged = this.#dynamic.some(
      ({ ports }) => ports !== 'any' && ports.some((match) => match.kind === 'range' && match.first !== match.last),
    )
    this.#port = this.shape.port ? this.#anyPeerPorts() : new Set()
    this.#pod = this.shape.pod ? this.#everyPodPorts() : new Set()
    this.#rectangles = this.#allRectangles()
    if (!this.shape.all) for (const pod of this.#candidates()) this.#enter(pod)
  }

  podGroups(): Set<PodGroup> {
    return new Set(this.#dynamic.flatMap(({ groups }) => groups))
  }

  nodeGroups(): Set<NodeGroup> {
    return new Set(this.#peers().flatMap((peer) => (peer.kind === 'nodes' ? [peer.group] : [])))
  }

  /** Whether ports have to be looked up by name at peers that no selector selects. */
  readsPortNames(): boolean {
    return !this.shape.all && this.rules.some((rule) => namesBeyondGroups(rule))
  }

  sets(family: NftFamily): Sets {
    const f = addressFamily(family)
    const exact = new Set<Element>()
    const peer = new Set<Element>()
    const rectangles = this.#rectangles[f]
    const net = new Set(rectangles.filter(({ protocol }) => protocol !== undefined).map(formatRectangle))
    const block = new Set(
      rectangles.filter(({ protocol }) => protocol === undefined).map(({ range }) => blockOf(range)),
    )
    const sets = { exact, peer, block, net, port: new Set(this.#port), pod: new Set(this.#pod) }
    for (const [address, contribution] of this.#contributions[f]) this.#spread(address, contribution, sets)
    return sets
  }

  /** The elements of one address, as they are now. */
  elementsOf(family: AddressFamily, address: string): Sets {
    const sets = noElements()
    const contribution = this.#contributions[family].get(address)
    if (contribution !== undefined) this.#spread(address, contribution, sets)
    return sets
  }

  /** Looks at an address again. False when nothing has changed. */
  refresh(family: AddressFamily, address: string): boolean {
    if (this.shape.all) return false
    const pod = this.#model.owner(address)
    const known = pod?.addresses.find(({ text }) => text === address)
    const now = pod && known && this.#contribution(pod, known)
    const before = this.#contributions[family].get(address)
    if (now === before) return false
    if (now === undefined) this.#contributions[family].delete(address)
    else this.#contributions[family].set(address, now)
    return true
  }

  /** Rules that send what matches to `then`, in the order from cheap to dear. */
  matching(then: Then): NftRule[] {
    if (this.shape.all) return [[...then]]
    const peer = this.direction === 'ingress' ? 'saddr' : 'daddr'
    const fields = {
      exact: [peer, 'l4proto', 'dport'],
      peer: [peer],
      block: [peer, 'l4proto'],
      port: ['l4proto', 'dport'],
      net: [peer, 'l4proto', 'dport'],
      pod: ['l4proto', 'dport'],
    } as const
    const everyPod: Statement = { kind: 'lookup', fields: [peer], set: EVERY_POD }
    const rules = KINDS.filter((kind) => this.shape[kind]).map((kind): NftRule => {
      const lookup: Statement = { kind: 'lookup', fields: fields[kind], set: this.setName(kind) }
      return kind === 'pod' ? [everyPod, lookup, ...then] : [lookup, ...then]
    })
    return this.shape.anyPod ? [[everyPod, ...then], ...rules] : rules
  }

  setName(kind: Kind): string {
    return `${this.id}_${kind}`
  }

  /** Declares the sets, with the elements given, which are the draft's from then on. */
  emit(draft: Draft, table: string, family: NftFamily, sets: Sets): void {
    const address: FieldType = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr'
    const keys: Record<Kind, readonly FieldType[]> = {
      exact: [address, 'inet_proto', 'inet_service'],
      peer: [address],
      block: [address, 'inet_proto'],
      port: ['inet_proto', 'inet_service'],
      net: [address, 'inet_proto', 'inet_service'],
      pod: ['inet_proto', 'inet_service'],
    }
    for (const kind of KINDS)
      if (this.shape[kind]) {
        const name = this.setName(kind)
        draft
          .table(family, table)
          .sets.set(name, { name, key: keys[kind], interval: INTERVALS.has(kind), elements: sets[kind] })
      }
  }

  #peers(): Peer[] {
    return this.rules.flatMap(({ peers }) => (peers === 'any' ? [] : peers))
  }

  /** Ingress: names mean the ports of the pods that the rules are for. Egress: undefined, each peer has its own. */
  #resolved(match: PortMatch): readonly Exclude<PortMatch, { kind: 'named' }>[] | undefined {
    if (match.kind === 'range') return [match]
    return this.direction === 'egress' ? undefined : resolve(match, this.#own)
  }

  #anyPeerPorts(): Set<Element> {
    const found = new Set<Element>()
    for (const { peers, ports } of this.rules)
      if (peers === 'any' && ports !== 'any')
        for (const match of ports)
          for (const { protocol, first, last } of this.#resolved(match) ?? [])
            if (first === last) found.add(`${protocol.toLowerCase()} . ${first}`)
    return found
  }

  #everyPodPorts(): Set<Element> {
    const found = new Map<Protocol, PortRange[]>()
    for (const { peers, ports } of this.rules)
      if (namesEveryPod(peers) && ports !== 'any')
        for (const match of ports)
          for (const { protocol, first, last } of this.#resolved(match) ?? [])
            found.set(protocol, [...(found.get(protocol) ?? []), { first, last }])
    return new Set(
      [...found].flatMap(([protocol, ranges]) =>
        unitePorts(ranges).map((range) => `${protocol.toLowerCase()} . ${formatPorts(range)}`),
      ),
    )
  }

  #allRectangles(): Record<AddressFamily, readonly Rectangle[]> {
    if (!this.shape.net && !this.shape.block) return { 4: [], 6: [] }
    const found: Rectangle[] = []
    for (const { peers, ports } of this.rules) {
      const ranges = peers === 'any' ? WIDE.map(wholeFamily) : peers.flatMap(rangesOf)
      const matches = ports === 'any' ? [undefined] : ports.flatMap((match) => this.#resolved(match) ?? [])
      for (const match of matches)
        if (peers !== 'any' || (match !== undefined && this.shape.net))
          for (const range of ranges) found.push({ range, protocol: match?.protocol, ports: match ?? ALL_PORTS })
    }
    return { 4: disjoint(found, 4), 6: disjoint(found, 6) }
  }

  #candidates(): Iterable<Pod> {
    if (this.readsPortNames()) return this.#model.pods()
    const groups = [...this.podGroups()]
    const slots = groups.length === 1 ? groups[0]!.members : new Set(groups.flatMap(({ members }) => [...members]))
    return Array.from(slots, (slot) => this.#model.podAt(slot)!)
  }

  #enter(pod: Pod): void {
    for (const address of pod.addresses) {
      if (this.#model.owner(address.text) !== pod) continue
      const contribution = this.#contribution(pod, address)
      if (contribution !== undefined) this.#contributions[address.family].set(address.text, contribution)
    }
  }

  /**
   * Where nothing but the rules that match decides, and the names of ports, it is worked out once for each combination of rules: pods by the
   * thousand differ in no more than that.
   */
  #contribution(pod: Pod, address: IPAddress): Contribution | undefined {
    if (this.#byAddress || (this.#ranged && this.#rectangles[address.family].length > 0))
      return this.#workOut(pod, address)
    let matched = 0
    for (let i = 0; i < this.#dynamic.length; i++)
      for (const { members } of this.#dynamic[i]!.groups)
        if (members.has(pod.slot)) {
          matched |= 1 << i
          break
        }
    if (matched === 0 && !this.#looksUp) return undefined
    const key = this.#looksUp ? `${matched}|${pod.portsKey}` : matched
    if (!this.#known.has(key)) this.#known.set(key, this.#workOut(pod, address))
    return this.#known.get(key)
  }

  #workOut(pod: Pod, address: IPAddress): Contribution | undefined {
    const exact = new Set<string>()
    const ranges = new Map<Protocol, PortRange[]>()
    for (const { peers, ports, groups } of this.#dynamic) {
      const grouped = groups.some(({ members }) => members.has(pod.slot))
      if (grouped && ports === 'any') return this.#anyPort(address)
      if (ports === 'any') continue
      const named =
        this.direction === 'egress' &&
        (peers === 'any' || namesEveryPod(peers) || peers.some((peer) => inBlock(peer, address)))
      if (!grouped && !named) continue
      for (const match of ports) {
        if (!grouped && match.kind === 'range') continue
        for (const { protocol, first, last } of this.#resolved(match) ?? resolve(match, pod.ports))
          if (first === last) exact.add(` . ${protocol.toLowerCase()} . ${first}`)
          else ranges.set(protocol, [...(ranges.get(protocol) ?? []), { first, last }])
      }
    }
    const net: string[] = []
    for (const [protocol, list] of ranges)
      for (const part of subtractPorts(unitePorts(list), covered(this.#rectangles[address.family], address, protocol)))
        net.push(` . ${protocol.toLowerCase()} . ${formatPorts(part)}`)
    return exact.size + net.length === 0
      ? undefined
      : this.#share({ anyPort: false, exact: [...exact].sort(), net: net.sort() })
  }

  /** Nothing where a block has the address already. */
  #anyPort(address: IPAddress): Contribution | undefined {
    const blocks = this.#rectangles[address.family].filter(({ protocol }) => protocol === undefined)
    if (blocks.some(({ range }) => rangeContains(range, address))) return undefined
    return this.#share({ anyPort: true, exact: [], net: [] })
  }

  #spread(address: string, { anyPort, exact, net }: Contribution, sets: Sets): void {
    if (anyPort && this.shape.block) sets.block.add(`${address} . 0-255`)
    else if (anyPort) sets.peer.add(address)
    for (const rest of exact) sets.exact.add(address + rest)
    for (const rest of net) sets.net.add(address + rest)
  }

  #share(contribution: Contribution): Contribution {
    const key = `${contribution.anyPort}|${contribution.exact.join()}|${contribution.net.join()}`
    const found = this.#shared.get(key)
    if (found === undefined) this.#shared.set(key, contribution)
    return found ?? contribution
  }
}

/** What happens with a packet that matches. */
export type Then = readonly Statement[]

const blockOf = (range: AddressRange): Element => `${formatRange(range)} . 0-255`

function resolve(match: PortMatch, ports: readonly NamedPort[]): Exclude<PortMatch, { kind: 'named' }>[] {
  if (match.kind === 'range') return [match]
  return ports
    .filter(({ name, protocol }) => name === match.name && (match.protocol ?? protocol) === protocol)
    .map(({ protocol, port }) => ({ kind: 'range', protocol, first: port, last: port }))
}

const inBlock = (peer: Peer, address: { family: AddressFamily; value: bigint }): boolean =>
  peer.kind === 'block' && peer.ranges.some((range) => rangeContains(range, address))

const rangesOf = (peer: Peer): readonly AddressRange[] => {
  if (peer.kind === 'block') return peer.ranges
  if (peer.kind === 'pods') return []
  return [...peer.group.addresses.values()].map(({ family, value }) => ({ family, first: value, last: value }))
}
