import type { Attributes } from '../../../kernel/authz/types.ts'
import { ENTRY } from './compiled-rules.ts'
import { type HeapItem, heapAdd, heapRemove } from './heap.ts'
import type { Role } from './role.ts'
import type { RoleTable } from './role-table.ts'
import { urlPrefix } from './rules.ts'
import { ALL_VERBS, type Query, type Vocabulary } from './vocabulary.ts'

/** A rule of a role in use; it lies in one heap for each verb and thing it allows. */
type Slot = HeapItem & { use: number; rule: number; heap: Slot[]; leaf: Leaf; verb: number | string }
/** What one thing may be asked for: verb → rules, the first to decide on top. `forget` when nothing is left. */
type Leaf = { heaps: Map<number | string, Slot[]>; forget: () => void }
type PairLeaf = { any: Leaf | undefined; names: Map<number, Leaf> }
export type Found = { use: number; rule: number }

const STAR_VERB = -1

/**
 * The rules of many roles that one subject holds in one place: (group, resource) → name → verb → the first rule. The
 * lookups of a question are bounded by the wildcard forms, whatever the number of roles; a role comes and goes at the
 * cost of its own rules.
 */
export class LargeScope {
  readonly #roles: RoleTable
  readonly #words: Vocabulary
  readonly #before: (a: Slot, b: Slot) => boolean
  readonly #slots = new Map<number, Slot[]>()
  readonly #uses = new Map<number, number>()
  readonly #pairs = new Map<number, PairLeaf>()
  readonly #paths = new Map<string, Leaf>()
  readonly #prefixes = new Map<string, Leaf>()
  /** Length of a prefix → how many have it: a path is tried once a length and not once a prefix. */
  readonly #prefixLengths = new Map<number, number>()
  readonly #asWritten = new Set<number>()

  /** `before`: which of two uses decides first. */
  constructor(roles: RoleTable, words: Vocabulary, before: (useA: number, useB: number) => boolean) {
    this.#roles = roles
    this.#words = words
    this.#before = (a, b) => (a.use === b.use ? a.rule < b.rule : before(a.use, b.use))
  }

  get size(): number {
    return this.#uses.size
  }

  uses(): Iterable<number> {
    return this.#uses.values()
  }

  /** 0 when the role is not in use here. */
  useOf(roleId: number): number {
    return this.#uses.get(roleId) ?? 0
  }

  add(use: number, role: Role): void {
    this.#uses.set(role.id, use)
    role.followers ??= new Set()
    role.followers.add(this)
    this.index(use, role)
  }

  remove(use: number, role: Role): void {
    this.unindex(use)
    role.followers?.delete(this)
    this.#uses.delete(role.id)
  }

  roleChanged(role: Role): void {
    const use = this.useOf(role.id)
    this.unindex(use)
    this.index(use, role)
  }

  index(use: number, role: Role): void {
    const slots: Slot[] = []
    this.#slots.set(use, slots)
    const entries = this.#roles.entriesOf(role)
    if (entries === undefined) this.#asWritten.add(use)
    else
      for (let at = 0; at < entries.length; at += ENTRY) {
        const leaf = this.#pairLeaf(entries[at]!, entries[at + 1]!)
        for (const verb of verbsOf(entries[at + 2]!)) this.#put(leaf, verb, use, entries[at + 3]!, slots)
      }
    for (const [index, rule] of (role.rules ?? []).entries())
      for (const url of rule.nonResourceURLs ?? [])
        for (const verb of rule.verbs ?? []) {
          this.#put(this.#urlLeaf(this.#paths, url, false), verb, use, index, slots)
          if (url.endsWith('*')) this.#put(this.#urlLeaf(this.#prefixes, urlPrefix(url), true), verb, use, index, slots)
        }
  }

  unindex(use: number): void {
    this.#asWritten.delete(use)
    for (const slot of this.#slots.get(use) ?? []) {
      heapRemove(slot.heap, slot, this.#before)
      if (slot.heap.length > 0) continue
      slot.leaf.heaps.delete(slot.verb)
      if (slot.leaf.heaps.size === 0) slot.leaf.forget()
    }
    this.#slots.delete(use)
  }

  findResource(query: Query, attributes: Attributes & { resourceRequest: true }): Found | undefined {
    let found: Slot | undefined
    for (let i = 0; i < query.pairCount; i++) {
      const leaf = this.#pairs.get(query.pairs[i]!)
      if (leaf === undefined) continue
      found = this.#first(found, leaf.any, query.verb)
      const name = leaf.names.size === 0 ? 0 : this.#words.queryName(query)
      if (name !== 0) found = this.#first(found, leaf.names.get(name), query.verb)
    }
    return this.#asWritten.size === 0 ? found : this.#orAsWritten(found, attributes)
  }

  findPath(verb: string, path: string): Found | undefined {
    let found = this.#firstPath(undefined, this.#paths.get(path), verb)
    for (const length of this.#prefixLengths.keys())
      if (length <= path.length) found = this.#firstPath(found, this.#prefixes.get(path.slice(0, length)), verb)
    return found
  }

  #first(found: Slot | undefined, leaf: Leaf | undefined, verb: number): Slot | undefined {
    if (leaf === undefined) return found
    return this.#earlier(this.#earlier(found, leaf.heaps.get(verb)?.[0]), leaf.heaps.get(STAR_VERB)?.[0])
  }

  #firstPath(found: Slot | undefined, leaf: Leaf | undefined, verb: string): Slot | undefined {
    if (leaf === undefined) return found
    return this.#earlier(this.#earlier(found, leaf.heaps.get(verb)?.[0]), leaf.heaps.get('*')?.[0])
  }

  #earlier(a: Slot | undefined, b: Slot | undefined): Slot | undefined {
    if (a === undefined || b === undefined) return a ?? b
    return this.#before(b, a) ? b : a
  }

  #orAsWritten(indexed: Slot | undefined, attributes: Attributes & { resourceRequest: true }): Found | undefined {
    let found: Found | undefined = indexed
    for (const [roleId, use] of this.#uses) {
      if (!this.#asWritten.has(use)) continue
      const rule = this.#roles.findAsWritten(roleId, attributes)
      if (rule >= 0 && (found === undefined || this.#before({ use, rule } as Slot, found as Slot)))
        found = { use, rule }
    }
    return found
  }

  #pairLeaf(pair: number, name: number): Leaf {
    let ofPair = this.#pairs.get(pair)
    if (ofPair === undefined) this.#pairs.set(pair, (ofPair = { any: undefined, names: new Map() }))
    const known = name === 0 ? ofPair.any : ofPair.names.get(name)
    if (known !== undefined) return known
    const parent = ofPair
    const leaf: Leaf = {
      heaps: new Map(),
      forget: () => {
        if (name === 0) parent.any = undefined
        else parent.names.delete(name)
        if (parent.any === undefined && parent.names.size === 0) this.#pairs.delete(pair)
      },
    }
    if (name === 0) ofPair.any = leaf
    else ofPair.names.set(name, leaf)
    return leaf
  }

  #urlLeaf(side: Map<string, Leaf>, url: string, prefix: boolean): Leaf {
    const known = side.get(url)
    if (known !== undefined) return known
    const forget = (): void => {
      side.delete(url)
      if (prefix) this.#countPrefix(url.length, -1)
    }
    const leaf: Leaf = { heaps: new Map(), forget }
    side.set(url, leaf)
    if (prefix) this.#countPrefix(url.length, 1)
    return leaf
  }

  #countPrefix(length: number, change: number): void {
    const count = (this.#prefixLengths.get(length) ?? 0) + change
    if (count === 0) this.#prefixLengths.delete(length)
    else this.#prefixLengths.set(length, count)
  }

  #put(leaf: Leaf, verb: number | string, use: number, rule: number, slots: Slot[]): void {
    let heap = leaf.heaps.get(verb)
    if (heap === undefined) leaf.heaps.set(verb, (heap = []))
    const slot: Slot = { use, rule, heap, leaf, verb, at: 0 }
    heapAdd(heap, slot, this.#before)
    slots.push(slot)
  }
}

function* verbsOf(mask: number): Generator<number> {
  if (mask === ALL_VERBS) yield STAR_VERB
  else if (mask < 0) yield -mask
  else for (let verb = 1; verb < 30; verb++) if ((mask & (1 << verb)) !== 0) yield verb
}
