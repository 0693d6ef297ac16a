import type { Attributes } from '../../../kernel/authz/types.ts'
import { compileRules, ENTRY, releaseRules } from './compiled-rules.ts'
import { NumberPool } from './number-pool.ts'
import { Role } from './role.ts'
import { resourceQuery, ruleAllowsPath, ruleAllowsResource } from './rules.ts'
import type { PolicyRule } from './types.ts'
import { OTHER_VERB, pairBit, type Query, type Vocabulary } from './vocabulary.ts'

/**
 * What a list of roles keeps of each, in 32-bit numbers: Bloom filter of its pairs, all its verbs, and where its
 * entries lie, their number first (0: it has none; -1: it is scanned as it is written).
 */
export const HEAD = 3
/** Up to this many entries are looked at one by one; among more, by bisection. */
const SCAN_LIMIT = 16
export const AS_WRITTEN = -1
/** Among the verbs of a head, where no verb has this bit: some rule speaks of paths. */
export const HAS_PATHS = 1
const NOTHING = { entries: new Int32Array(0), verbs: [] }

/**
 * The rules of all roles, compiled into two arrays of numbers. Why: with 100,000 bindings a decision that follows
 * objects (role → rules → rule → verbs → string) waits for main memory a dozen times. Here a role that has nothing to
 * say is put aside by one cache line, and one that may have by one more.
 */
export class RoleTable {
  readonly #words: Vocabulary
  readonly #roles: (Role | undefined)[] = []
  readonly #rules: (readonly PolicyRule[] | undefined)[] = []
  readonly #verbs: number[][] = []
  readonly #free: number[] = []
  readonly #entries = new NumberPool()
  #heads = new Int32Array(HEAD * 64)

  constructor(words: Vocabulary) {
    this.#words = words
    // So that no entries begin at 0.
    this.#entries.take(new Int32Array(1))
  }

  create(kind: string, namespace: string, name: string): Role {
    const role = new Role(kind, namespace, name, this.#free.pop() ?? this.#roles.length)
    this.#roles[role.id] = role
    this.#verbs[role.id] = []
    if (HEAD * this.#roles.length > this.#heads.length) {
      const grown = new Int32Array(2 * HEAD * this.#roles.length)
      grown.set(this.#heads)
      this.#heads = grown
    }
    this.#heads.fill(0, HEAD * role.id, HEAD * role.id + HEAD)
    return role
  }

  /** The role must have no rules any more. */
  forget(role: Role): void {
    this.#roles[role.id] = undefined
    this.#free.push(role.id)
  }

  role(id: number): Role {
    return this.#roles[id]!
  }

  /** Of a role that exists. */
  rules(id: number): readonly PolicyRule[] {
    return this.#rules[id]!
  }

  setRules(role: Role, rules: readonly PolicyRule[] | undefined): void {
    // The new words are taken before the old ones are given back: most are the same.
    const compiled = rules === undefined ? NOTHING : compileRules(rules, this.#words)
    const before = this.entriesOf(role)
    const head = HEAD * role.id
    if (before !== undefined && before.length > 0) {
      releaseRules(before, this.#verbs[role.id]!, this.#words)
      this.#entries.give(this.#heads[head + 2]!, before.length + 1)
    }
    role.rules = rules
    this.#rules[role.id] = rules
    this.#verbs[role.id] = compiled?.verbs ?? []
    this.#heads.set(this.#headOf(compiled?.entries), head)
    if (rules?.some((rule) => (rule.nonResourceURLs?.length ?? 0) > 0)) this.#heads[head + 1]! |= HAS_PATHS
  }

  #headOf(entries: Int32Array | undefined): [bloom: number, verbs: number, offset: number] {
    if (entries === undefined) return [-1, -1, AS_WRITTEN]
    if (entries.length === 0) return [0, 0, 0]
    let bloom = 0
    let verbs = 0
    for (let at = 0; at < entries.length; at += ENTRY) {
      bloom |= pairBit(entries[at]!)
      verbs |= entries[at + 2]! < 0 ? OTHER_VERB : entries[at + 2]!
    }
    const counted = new Int32Array(entries.length + 1)
    counted[0] = entries.length / ENTRY
    counted.set(entries, 1)
    return [bloom, verbs, this.#entries.take(counted)]
  }

  head(id: number): Int32Array {
    return this.#heads.subarray(HEAD * id, HEAD * id + HEAD)
  }

  /** A copy; undefined for a role that is scanned as it is written. */
  entriesOf(role: Role): Int32Array | undefined {
    const offset = this.#heads[HEAD * role.id + 2]!
    if (offset === AS_WRITTEN) return undefined
    const { numbers } = this.#entries
    return offset === 0 ? NOTHING.entries : numbers.slice(offset + 1, offset + 1 + ENTRY * numbers[offset]!)
  }

  /** Reads a role's entries before somebody needs them. */
  fetch(offset: number): number {
    return offset < 0 ? 0 : this.#entries.numbers[offset]!
  }

  /**
   * Index of the first rule that allows it, or -1; by the role's entries, which its head leads to. Not for roles that
   * are scanned as they are written.
   */
  findResource(offset: number, query: Query): number {
    const count = this.#entries.numbers[offset]!
    return count <= SCAN_LIMIT ? this.#scan(offset + 1, count, query) : this.#bisect(offset + 1, count, query)
  }

  findAsWritten(id: number, a: Attributes & { resourceRequest: true }): number {
    const rules = this.#rules[id]!
    const query = resourceQuery(a.verb, a.apiGroup, a.resource, a.subresource, a.name)
    for (let i = 0; i < rules.length; i++) if (ruleAllowsResource(rules[i]!, query)) return i
    return -1
  }

  findPath(id: number, verb: string, path: string): number {
    const rules = this.#rules[id]
    if (rules === undefined) return -1
    for (let i = 0; i < rules.length; i++) if (ruleAllowsPath(rules[i]!, verb, path)) return i
    return -1
  }

  #scan(offset: number, count: number, query: Query): number {
    const entries = this.#entries.numbers
    const { pairs, pairCount } = query
    let found = -1
    for (let at = offset, end = offset + ENTRY * count; at < end; at += ENTRY) {
      const pair = entries[at]!
      let i = 0
      while (i < pairCount && pairs[i] !== pair) i++
      if (i === pairCount || !this.#entryAllows(at, query)) continue
      if (found < 0 || entries[at + 3]! < found) found = entries[at + 3]!
    }
    return found
  }

  #bisect(offset: number, count: number, query: Query): number {
    const entries = this.#entries.numbers
    let found = -1
    const walk = (pair: number, name: number): void => {
      for (let i = lowerBound(entries, offset, count, pair, name); i < count; i++) {
        const at = offset + ENTRY * i
        if (entries[at] !== pair || entries[at + 1] !== name) return
        if (verbsAllow(entries[at + 2]!, query) && (found < 0 || entries[at + 3]! < found)) found = entries[at + 3]!
      }
    }
    for (let i = 0; i < query.pairCount; i++) {
      const pair = query.pairs[i]!
      walk(pair, 0)
      const name = this.#words.queryName(query)
      if (name !== 0) walk(pair, name)
    }
    return found
  }

  #entryAllows(at: number, query: Query): boolean {
    const entries = this.#entries.numbers
    if (!verbsAllow(entries[at + 2]!, query)) return false
    const name = entries[at + 1]!
    return name === 0 || name === this.#words.queryName(query)
  }
}

function verbsAllow(verbs: number, query: Query): boolean {
  return verbs < 0 ? -verbs === query.verb : (verbs & query.verbBit) !== 0
}

/** The first entry that is not before (pair, name). */
function lowerBound(entries: Int32Array, offset: number, count: number, pair: number, name: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >> 1
    const at = offset + ENTRY * middle
    if (entries[at]! < pair || (entries[at] === pair && entries[at + 1]! < name)) low = middle + 1
    else high = middle
  }
  return low
}
