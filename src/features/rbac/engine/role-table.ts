import type { Attributes } from '../../../kernel/authz/types.ts'
import { compileRules, ENTRY, releaseRules } from './compiled-rules.ts'
import { NumberPool } from './number-pool.ts'
import { Role } from './role.ts'
import { resourceQuery, ruleAllowsPath, ruleAllowsResource } from './rules.ts'
import type { PolicyRule } from './types.ts'
import type { Query, Vocabulary } from './vocabulary.ts'

/**
 * 32-bit numbers of a role: Bloom filter of its pairs, all its verbs, offset of its entries, their number, version of
 * its rules; the rest is room, so that no role lies across two cache lines.
 */
const HEAD = 8
/** Up to this many entries are looked at one by one; among more, by bisection. */
const SCAN_LIMIT = 16
/** Offset of a role that is scanned as it is written. */
const AS_WRITTEN = -1

/**
 * The rules of all roles, compiled into two arrays of numbers. Why: with 100,000 bindings a decision that follows
 * objects (role → rules → rule → verbs → string) waits for main memory a dozen times. Here a role that has nothing to
 * say is put aside by one cache line, and one that may have by one more.
 */
export class RoleTable {
  readonly #words: Vocabulary
  readonly #roles: (Role | undefined)[] = []
  readonly #verbs: number[][] = []
  readonly #free: number[] = []
  readonly #entries = new NumberPool()
  #heads = new Int32Array(HEAD * 64)

  constructor(words: Vocabulary) {
    this.#words = words
  }

  create(kind: string, namespace: string, name: string): Role {
    const role = new Role(kind, namespace, name, this.#free.pop() ?? this.#roles.length)
    this.#roles[role.id] = role
    this.#verbs[role.id] = []
    if (HEAD * this.#roles.length > this.#heads.length) {
      const grown = new Int32Array(this.#heads.length * 2)
      grown.set(this.#heads)
      this.#heads = grown
    }
    this.#heads.fill(0, HEAD * role.id, HEAD * role.id + 4)
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

  /** Another number after each change of the role's rules. */
  version(id: number): number {
    return this.#heads[HEAD * id + 4]!
  }

  setRules(role: Role, rules: readonly PolicyRule[] | undefined): void {
    // The new words are taken before the old ones are given back: most are the same.
    const compiled = rules === undefined ? { entries: new Int32Array(0), verbs: [] } : compileRules(rules, this.#words)
    const head = HEAD * role.id
    const heads = this.#heads
    if (heads[head + 3] !== 0) {
      const entries = this.entriesOf(role)!
      releaseRules(entries, this.#verbs[role.id]!, this.#words)
      this.#entries.give(heads[head + 2]!, entries.length)
    }
    role.rules = rules
    this.#verbs[role.id] = compiled?.verbs ?? []
    heads[head + 4]!++
    if (compiled === undefined) heads.set([-1, -1, AS_WRITTEN, 0], head)
    else if (compiled.entries.length === 0) heads.fill(0, head, head + 4)
    else {
      let bloom = 0
      let verbs = 0
      for (let at = 0; at < compiled.entries.length; at += ENTRY) {
        bloom |= 1 << (compiled.entries[at]! & 31)
        const mask = compiled.entries[at + 2]!
        verbs |= mask < 0 ? 1 << 30 : mask
      }
      const { entries } = compiled
      heads.set([bloom, verbs, this.#entries.take(entries), entries.length / ENTRY], head)
    }
  }

  /** Undefined for a role that is scanned as it is written. */
  entriesOf(role: Role): Int32Array | undefined {
    const head = HEAD * role.id
    const offset = this.#heads[head + 2]!
    if (offset === AS_WRITTEN) return undefined
    return this.#entries.numbers.slice(offset, offset + ENTRY * this.#heads[head + 3]!)
  }

  /** Index of the first rule that allows it, or -1. */
  findResource(id: number, query: Query, attributes: Attributes & { resourceRequest: true }): number {
    const heads = this.#heads
    const head = HEAD * id
    if ((heads[head]! & query.bloom) === 0 || (heads[head + 1]! & query.verbBit) === 0) {
      if (heads[head + 2] !== AS_WRITTEN) return -1
    }
    const offset = heads[head + 2]!
    if (offset === AS_WRITTEN) return findAsWritten(this.#roles[id]!.rules!, attributes)
    const count = heads[head + 3]!
    return count <= SCAN_LIMIT ? this.#scan(offset, count, query) : this.#bisect(offset, count, query)
  }

  findPath(id: number, verb: string, path: string): number {
    const { rules } = this.#roles[id]!
    if (rules === undefined) return -1
    for (let i = 0; i < rules.length; i++) if (ruleAllowsPath(rules[i]!, verb, path)) return i
    return -1
  }

  #scan(offset: number, count: number, query: Query): number {
    const entries = this.#entries.numbers
    const { pairs } = query
    let found = -1
    for (let at = offset, end = offset + ENTRY * count; at < end; at += ENTRY) {
      const pair = entries[at]!
      const asked =
        pair === pairs[0] ||
        pair === pairs[3] ||
        pair === pairs[4] ||
        pair === pairs[1] ||
        pair === pairs[2] ||
        pair === pairs[5]
      if (asked && this.#entryAllows(at, query) && (found < 0 || entries[at + 3]! < found)) found = entries[at + 3]!
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
    for (let i = 0; i < query.pairs.length; i++) {
      const pair = query.pairs[i]!
      if (pair === 0) continue
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

function findAsWritten(rules: readonly PolicyRule[], a: Attributes & { resourceRequest: true }): number {
  const query = resourceQuery(a.verb, a.apiGroup, a.resource, a.subresource, a.name)
  for (let i = 0; i < rules.length; i++) if (ruleAllowsResource(rules[i]!, query)) return i
  return -1
}
