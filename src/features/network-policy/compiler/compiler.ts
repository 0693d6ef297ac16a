import type { PodGroup } from '../model/groups.ts'
import type { ModelListener, NetworkPolicyModel } from '../model/model.ts'
import type { NodeGroup } from '../model/nodes.ts'
import type { NamedPort, Pod } from '../model/pod.ts'
import type { Policy, Rule } from '../model/policy.ts'
import { DIRECTIONS, type Direction, type Tier } from '../model/types.ts'
import { type BaseOptions, declareBase, emitBase, POLICY_TABLE } from './base.ts'
import { diff, type Transaction } from './diff.ts'
import { Fragment, type Specification, specificationKey } from './fragment.ts'
import {
  type Attribution,
  addressFamily,
  Draft,
  type Element,
  FAMILIES,
  type NftFamily,
  nftFamily,
  type Program,
} from './program.ts'
import { noElements, type Sets } from './shape.ts'
import { EVERY_POD, type Stage } from './stage.ts'

export type CompilerOptions = Partial<BaseOptions> & {
  /** The machine whose program it is: chains for its pods, peers from everywhere. */
  node: string
}

type Entry = { family: NftFamily; element: Element } & ({ set: string } | { map: string; chain: string })
/** What the tables hold of one pod of this machine. */
type Assignment = { entries: readonly Entry[]; used: readonly (readonly [Fragment, NftFamily])[] }

const NOTHING: Assignment = { entries: [], used: [] }
const DEFAULTS: BaseOptions = {
  log: { group: 8472, perSecond: 10, burst: 20 },
  podCidrs: { ip: [], ip6: [] },
}

/**
 * The program of one machine, kept up to date with the model: `update` says what to change in the kernel for everything
 * that has happened since it was called last, and costs what that touches.
 */
export class Compiler implements ModelListener {
  readonly #model: NetworkPolicyModel
  readonly #node: string
  readonly #base: BaseOptions
  readonly #local = new Map<string, Assignment>()
  readonly #fragments = new Map<string, Fragment>()
  readonly #byPolicy = new Map<string, Set<Fragment>>()
  readonly #byGroup = new Map<PodGroup | NodeGroup, Set<Stage>>()
  readonly #readingNames = new Set<Stage>()
  readonly #owners = new Map<Stage, Fragment>()
  /** Addresses that the set of all pods holds. */
  readonly #everyone = new Map<string, NftFamily>()
  readonly #dirtyEveryone = new Map<string, NftFamily>()
  #started = false
  /** Fragments of this update: some turn out not to be needed. */
  #created: Fragment[] = []
  #dirtyPods = new Set<string>()
  #dirtyFragments = new Set<Fragment>()
  #dirtyAddresses = new Map<Stage, Map<Element, 4 | 6>>()

  /** Takes over as the model's listener, with the pods that it has by now. */
  constructor(model: NetworkPolicyModel, { node, ...base }: CompilerOptions) {
    this.#model = model
    this.#node = node
    this.#base = { ...DEFAULTS, ...base }
    model.listen(this)
    for (const pod of model.pods()) this.pod(pod, undefined)
  }

  membership(group: PodGroup, pod: Pod): void {
    if (pod.node === this.#node) this.#dirtyPods.add(pod.key)
    for (const stage of this.#byGroup.get(group) ?? []) this.#touch(stage, pod)
  }

  pod(now: Pod | undefined, before: Pod | undefined): void {
    if (now?.node === this.#node || before?.node === this.#node) this.#dirtyPods.add((now ?? before)!.key)
    const records = [now, before].filter((pod) => pod !== undefined)
    for (const { addresses } of records)
      for (const { text, family } of addresses) this.#dirtyEveryone.set(text, nftFamily(family))
    if (now !== undefined)
      for (const group of this.#model.groupsOf(now))
        for (const stage of this.#byGroup.get(group) ?? []) for (const pod of records) this.#touch(stage, pod)
    if (records.some(({ ports }) => ports.length > 0))
      for (const stage of this.#readingNames) for (const pod of records) this.#touch(stage, pod)
  }

  policy(now: Policy | undefined, before: Policy | undefined): void {
    for (const fragment of this.#byPolicy.get((now ?? before)!.key) ?? []) this.#dirtyFragments.add(fragment)
    const subjects = [now, before].flatMap((policy) => (policy === undefined ? [] : [policy.subject.members]))
    for (const key of this.#local.keys()) {
      const pod = this.#model.podByKey(key)
      if (pod !== undefined && subjects.some((members) => members.has(pod.slot))) this.#dirtyPods.add(key)
    }
  }

  nodes(group: NodeGroup): void {
    for (const stage of this.#byGroup.get(group) ?? []) this.#dirtyFragments.add(this.#owners.get(stage)!)
  }

  /** What the kernel should hold after the last `update`. */
  program(): Program {
    const draft = new Draft()
    for (const family of FAMILIES) {
      emitBase(draft, family, this.#base)
      for (const fragment of this.#fragments.values())
        if (fragment.references[family] > 0) fragment.emit(draft, POLICY_TABLE, family)
    }
    for (const { entries } of this.#local.values()) place(draft, entries)
    place(draft, [...this.#everyone].map(everyPod))
    return draft.tables
  }

  /** What counters and log prefixes speak of, by identifier. */
  attributions(): Map<string, Attribution> {
    const found = new Map<string, Attribution>()
    for (const fragment of this.#fragments.values())
      for (const attribution of fragment.attributions) found.set(attribution.id, attribution)
    return found
  }

  update(): Transaction {
    const [before, after] = [new Draft(), new Draft()]
    for (const family of FAMILIES)
      if (this.#started) for (const draft of [before, after]) declareBase(draft, family)
      else emitBase(after, family, this.#base)
    const alive = new Map<Fragment, Record<NftFamily, boolean>>()
    this.#count(before, after)
    this.#reassign(before, after, alive)
    for (const [fragment, was] of alive)
      for (const family of FAMILIES)
        if (was[family] && fragment.references[family] === 0) fragment.emit(before, POLICY_TABLE, family)
    this.#rebuild(before, after, alive)
    this.#refresh(before, after, alive)
    for (const [fragment, was] of alive)
      for (const family of FAMILIES)
        if (!was[family] && fragment.references[family] > 0) fragment.emit(after, POLICY_TABLE, family)
    for (const fragment of [...alive.keys(), ...this.#created]) if (isUnused(fragment)) this.#forget(fragment)
    this.#created = []
    this.#started = true
    return diff(before.tables, after.tables)
  }

  #touch(stage: Stage, pod: Pod): void {
    let addresses = this.#dirtyAddresses.get(stage)
    if (addresses === undefined) this.#dirtyAddresses.set(stage, (addresses = new Map()))
    for (const { text, family } of pod.addresses) addresses.set(text, family)
  }

  /** Keeps the set of all pods. */
  #count(before: Draft, after: Draft): void {
    for (const [address, family] of this.#dirtyEveryone) {
      const [was, is] = [this.#everyone.has(address), this.#model.owner(address) !== undefined]
      if (was === is) continue
      place(is ? after : before, [everyPod([address, family])])
      if (is) this.#everyone.set(address, family)
      else this.#everyone.delete(address)
    }
    this.#dirtyEveryone.clear()
  }

  #reassign(before: Draft, after: Draft, alive: Map<Fragment, Record<NftFamily, boolean>>): void {
    const note = (fragment: Fragment): void => {
      const { ip, ip6 } = fragment.references
      if (!alive.has(fragment)) alive.set(fragment, { ip: ip > 0, ip6: ip6 > 0 })
    }
    const count = (used: Assignment['used'], by: 1 | -1): void => {
      for (const [fragment, family] of used)
        for (const part of [fragment, ...fragment.children]) {
          note(part)
          part.references[family] += by
        }
    }
    for (const key of this.#dirtyPods) {
      const pod = this.#model.podByKey(key)
      const was = this.#local.get(key) ?? NOTHING
      const now = pod !== undefined && pod.node === this.#node && !pod.hostNetwork ? this.#assign(pod) : undefined
      count(now?.used ?? [], 1)
      count(was.used, -1)
      if (now === undefined) this.#local.delete(key)
      else this.#local.set(key, now)
      place(before, was.entries)
      place(after, now?.entries ?? [])
    }
    this.#dirtyPods = new Set()
  }

  #assign(pod: Pod): Assignment {
    const entries: Entry[] = []
    const used: (readonly [Fragment, NftFamily])[] = []
    const signatures = DIRECTIONS.map((direction) => [direction, this.#signature(pod, direction)] as const)
    if (pod.link !== undefined)
      for (const family of FAMILIES) entries.push({ family, set: 'pod_links', element: quoted(pod.link) })
    for (const { text, family: f } of pod.addresses) {
      if (this.#model.owner(text) !== pod) continue
      const family = nftFamily(f)
      entries.push({ family, set: 'local', element: text }, { family, set: 'self', element: `${text} . ${text}` })
      if (pod.link !== undefined) entries.push({ family, set: 'links', element: `${quoted(pod.link)} . ${text}` })
      for (const [direction, signature] of signatures) {
        if (signature === undefined) continue
        entries.push({ family, map: direction, element: text, chain: signature.id })
        used.push([signature, family])
      }
    }
    return { entries, used }
  }

  #signature(pod: Pod, direction: Direction): Fragment | undefined {
    const { admin, isolating, observed, baseline } = this.#model.decision(pod, direction)
    const final = isolating.length > 0
    if (!final && admin.length + observed.length + baseline.length === 0) return undefined
    const named = final ? isolating : observed
    return this.#fragment({
      kind: 'signature',
      direction,
      admin: this.#tier(pod, direction, 'Admin', admin),
      isolating: isolating.map(({ key }) => key),
      observed: final ? [] : observed.map(({ key }) => key),
      baseline: final ? undefined : this.#tier(pod, direction, 'Baseline', baseline),
      own: ownPorts(
        pod,
        direction,
        named.flatMap((policy) => policy[direction]!),
      ),
    })
  }

  #tier(pod: Pod, direction: Direction, tier: Tier, rules: readonly Rule[]): Fragment | undefined {
    if (rules.length === 0) return undefined
    const policies = [...new Set(rules.map(({ policy }) => policy.key))]
    return this.#fragment({ kind: 'tier', direction, tier, policies, own: ownPorts(pod, direction, rules) })
  }

  #fragment(specification: Specification): Fragment {
    const found = this.#fragments.get(specificationKey(specification))
    if (found !== undefined) return found
    const fragment = new Fragment(this.#model, this.#base.log, specification)
    this.#fragments.set(fragment.key, fragment)
    this.#created.push(fragment)
    for (const key of fragment.policies) put(this.#byPolicy, key, fragment)
    this.#watch(fragment)
    return fragment
  }

  #forget(fragment: Fragment): void {
    this.#unwatch(fragment)
    this.#fragments.delete(fragment.key)
    for (const key of fragment.policies) drop(this.#byPolicy, key, fragment)
  }

  #watch(fragment: Fragment): void {
    for (const stage of fragment.stages) {
      this.#owners.set(stage, fragment)
      for (const group of [...stage.podGroups(), ...stage.nodeGroups()]) put(this.#byGroup, group, stage)
      if (stage.readsPortNames()) this.#readingNames.add(stage)
    }
  }

  #unwatch(fragment: Fragment): void {
    for (const stage of fragment.stages) {
      this.#owners.delete(stage)
      this.#dirtyAddresses.delete(stage)
      for (const group of [...stage.podGroups(), ...stage.nodeGroups()]) drop(this.#byGroup, group, stage)
      this.#readingNames.delete(stage)
    }
  }

  /** Fragments whose policies were changed, and which were there before and still are. */
  #rebuild(before: Draft, after: Draft, alive: ReadonlyMap<Fragment, Record<NftFamily, boolean>>): void {
    for (const fragment of this.#dirtyFragments) {
      if (isUnused(fragment)) continue
      const kept = FAMILIES.filter((family) => fragment.references[family] > 0 && wasAlive(fragment, family, alive))
      for (const family of kept) fragment.emit(before, POLICY_TABLE, family)
      this.#unwatch(fragment)
      fragment.build()
      this.#watch(fragment)
      for (const family of kept) fragment.emit(after, POLICY_TABLE, family)
    }
    this.#dirtyFragments = new Set()
  }

  #refresh(before: Draft, after: Draft, alive: ReadonlyMap<Fragment, Record<NftFamily, boolean>>): void {
    for (const [stage, addresses] of this.#dirtyAddresses) {
      const fragment = this.#owners.get(stage)!
      for (const family of FAMILIES) {
        const kept = fragment.references[family] > 0 && wasAlive(fragment, family, alive)
        const own = [...addresses].flatMap(([text, f]) => (nftFamily(f) === family ? [text] : []))
        const read = (): Sets => joined(stage, family, own)
        const was = read()
        const changed = own.filter((address) => stage.refresh(addressFamily(family), address))
        if (!kept || changed.length === 0) continue
        stage.emit(before, POLICY_TABLE, family, was)
        stage.emit(after, POLICY_TABLE, family, read())
      }
    }
    this.#dirtyAddresses = new Map()
  }
}

const isUnused = ({ references }: Fragment): boolean => references.ip + references.ip6 === 0

const wasAlive = (
  fragment: Fragment,
  family: NftFamily,
  alive: ReadonlyMap<Fragment, Record<NftFamily, boolean>>,
): boolean => alive.get(fragment)?.[family] ?? true

function joined(stage: Stage, family: NftFamily, addresses: readonly string[]): Sets {
  const all = noElements()
  for (const address of addresses)
    for (const [kind, elements] of Object.entries(stage.elementsOf(addressFamily(family), address)))
      for (const element of elements) all[kind as keyof Sets].add(element)
  return all
}

/** The pod's own ports that ingress rules call by name. */
function ownPorts(pod: Pod, direction: Direction, rules: readonly Rule[]): NamedPort[] {
  if (direction === 'egress' || pod.ports.length === 0) return []
  const names = new Set<string>()
  for (const { ports } of rules)
    if (ports !== 'any') for (const match of ports) if (match.kind === 'named') names.add(match.name)
  if (names.size === 0) return []
  return pod.ports
    .filter(({ name }) => names.has(name))
    .sort((a, b) => (a.name < b.name || (a.name === b.name && a.port < b.port) ? -1 : 1))
}

function place(draft: Draft, entries: readonly Entry[]): void {
  for (const entry of entries) {
    const { sets, maps } = draft.table(entry.family, POLICY_TABLE)
    if ('set' in entry) sets.get(entry.set)!.elements.add(entry.element)
    else maps.get(entry.map)!.elements.set(entry.element, entry.chain)
  }
}

const everyPod = ([element, family]: [string, NftFamily]): Entry => ({ family, set: EVERY_POD, element })

const quoted = (link: string): string => `"${link}"`

function put<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const found = index.get(key)
  if (found === undefined) index.set(key, new Set([value]))
  else found.add(value)
}

function drop<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const found = index.get(key)
  found?.delete(value)
  if (found?.size === 0) index.delete(key)
}
