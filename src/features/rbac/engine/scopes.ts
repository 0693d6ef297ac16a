import type { Attributes, Decision } from '../../../kernel/authz/types.ts'
import { allowedBy, type Grant } from './binding.ts'
import { heapAdd, heapRemove } from './heap.ts'
import { LargeScope } from './large-scope.ts'
import { NumberPool } from './number-pool.ts'
import type { Role } from './role.ts'
import { AS_WRITTEN, HAS_PATHS, HEAD, type RoleTable } from './role-table.ts'
import type { Query, Vocabulary } from './vocabulary.ts'

/** Up to this many roles are asked one after the other; beyond, their rules go into one index. */
export const SMALL_SCOPE = 32
/** 32-bit numbers of a use in a list: its number, then the head of its role. */
const USE = 1 + HEAD

/** Whether `a` is visited before `b`, both cluster-wide or both of one namespace: by name, then by subject. */
export function grantBefore(a: Grant, b: Grant): boolean {
  if (a.binding === b.binding) return a.order < b.order
  return a.name < b.name
}

/**
 * What subjects hold in a place. A scope is a number: 0 holds nothing; above 0 it is where a list of uses lies; below 0
 * it is a large scope. A use is a role with the grants that brought it there, the first in front; a scope's uses are in
 * the order of their first grants, so that the first that allows is the one that decides.
 *
 * A list lies in one array of numbers — their count, then each use with a copy of the role's head, which most often says
 * at once that the role has nothing to do with a question — so that a scope is read in one go; a linked list or an
 * array of objects would wait for memory at each role.
 */
export class Scopes {
  readonly #roles: RoleTable
  readonly #words: Vocabulary
  readonly #smallScope: number
  readonly #lists = new NumberPool()
  /** By use. */
  readonly #useRoles: number[] = [0]
  readonly #firstGrants: (Grant | undefined)[] = [undefined]
  readonly #firstNames: string[] = ['']
  /** All grants of a use, the first on top, where there are more than one. */
  readonly #grantHeaps = new Map<number, Grant[]>()
  readonly #freeUses: number[] = []
  readonly #large: (LargeScope | undefined)[] = [undefined]
  readonly #freeLarge: number[] = []
  /** As `grantBefore`, but most often the names alone tell. */
  readonly #useBefore = (a: number, b: number): boolean => {
    const nameA = this.#firstNames[a]!
    const nameB = this.#firstNames[b]!
    return nameA === nameB ? grantBefore(this.firstGrant(a), this.firstGrant(b)) : nameA < nameB
  }
  /** Keeps the early fetches from being optimised away. */
  fetched = 0
  /** What the last question found worth a look; written anew by each. */
  readonly candidates: { scope: number; use: number; offset: number }[] = []
  #found = 0
  /** Index of the rule that the last search found. */
  foundRule = -1

  constructor(roles: RoleTable, words: Vocabulary, smallScope: number) {
    this.#roles = roles
    this.#words = words
    this.#smallScope = smallScope
    // So that no list begins at 0.
    this.#lists.take(new Int32Array(1))
  }

  /** The scope with one grant more. */
  add(scope: number, grant: Grant): number {
    const { role } = grant.binding
    const use = this.#useOf(scope, role)
    if (use === 0) return this.#put(scope, this.#newUse(role, grant))
    const first = this.firstGrant(use)
    const heap = this.#heapOf(use)
    if (!grantBefore(grant, first)) {
      heapAdd(heap, grant, grantBefore)
      return scope
    }
    const rest = this.#take(scope, use)
    heapAdd(heap, grant, grantBefore)
    this.#setFirst(use, grant)
    return this.#put(rest, use)
  }

  remove(scope: number, grant: Grant): number {
    const use = this.#useOf(scope, grant.binding.role)
    const heap = this.#grantHeaps.get(use)
    if (heap !== undefined && heap[0] !== grant) {
      heapRemove(heap, grant, grantBefore)
      return scope
    }
    const rest = this.#take(scope, use)
    if (heap !== undefined) heapRemove(heap, grant, grantBefore)
    this.#setFirst(use, heap?.[0])
    if (heap !== undefined && heap.length > 0) return this.#put(rest, use)
    this.#grantHeaps.delete(use)
    this.#freeUses.push(use)
    return rest
  }

  /**
   * The use that decides first among those of several scopes, all cluster-wide or all of one namespace; 0 if none
   * allows. `foundRule` is its rule. The lists are sifted before any rules are read, so that the rules of all roles
   * that may allow are fetched together.
   */
  findResource(
    scopes: readonly number[],
    count: number,
    query: Query,
    attributes: Attributes & { resourceRequest: true },
  ): number {
    const sifted = this.#sift(scopes, count, query)
    this.#found = 0
    const { candidates } = this
    let settled = 0
    for (let i = 0; i < sifted; i++) {
      const { scope, use, offset } = candidates[i]!
      // The uses of a scope are in order: its first that allows is enough.
      if (scope === settled) continue
      const rule =
        offset === AS_WRITTEN
          ? this.#roles.findAsWritten(this.#useRoles[use]!, attributes)
          : this.#roles.findResource(offset, query)
      if (rule < 0) continue
      settled = scope
      this.#keepFirst(use, rule)
    }
    for (let i = 0; i < count; i++) {
      const found = scopes[i]! < 0 ? this.#large[-scopes[i]!]!.findResource(query, attributes) : undefined
      if (found !== undefined) this.#keepFirst(found.use, found.rule)
    }
    return this.#found
  }

  /** Puts the uses that the heads of their roles let pass into `candidates`; answers how many. */
  #sift(scopes: readonly number[], count: number, { bloom, verbBit }: Query): number {
    const lists = this.#lists.numbers
    const { candidates } = this
    let fetched = 0
    for (let i = 0; i < count; i++) if (scopes[i]! > 0) fetched ^= lists[scopes[i]!]!
    let sifted = 0
    for (let i = 0; i < count; i++) {
      const scope = scopes[i]!
      if (scope < 0) continue
      for (let at = scope + 1, end = at + USE * lists[scope]!; at < end; at += USE) {
        if ((lists[at + 1]! & bloom) === 0 || (lists[at + 2]! & verbBit) === 0) continue
        if (sifted === candidates.length) candidates.push({ scope: 0, use: 0, offset: 0 })
        const candidate = candidates[sifted++]!
        candidate.scope = scope
        candidate.use = lists[at]!
        candidate.offset = lists[at + 3]!
        fetched ^= this.#roles.fetch(candidate.offset)
      }
    }
    this.fetched = fetched
    return sifted
  }

  #keepFirst(use: number, rule: number): void {
    if (this.#found !== 0 && !this.#useBefore(use, this.#found)) return
    this.#found = use
    this.foundRule = rule
  }

  findPath(scopes: readonly number[], count: number, verb: string, path: string): number {
    this.#found = 0
    for (let i = 0; i < count; i++) this.#findPathIn(scopes[i]!, verb, path)
    return this.#found
  }

  #findPathIn(scope: number, verb: string, path: string): void {
    if (scope < 0) {
      const found = this.#large[-scope]!.findPath(verb, path)
      if (found !== undefined) this.#keepFirst(found.use, found.rule)
      return
    }
    const lists = this.#lists.numbers
    for (let at = scope + 1, end = at + USE * lists[scope]!; at < end; at += USE) {
      if ((lists[at + 2]! & HAS_PATHS) === 0) continue
      const rule = this.#roles.findPath(this.#useRoles[lists[at]!]!, verb, path)
      if (rule < 0) continue
      this.#keepFirst(lists[at]!, rule)
      return
    }
  }

  /** The grant that a use decides by. */
  firstGrant(use: number): Grant {
    return this.#firstGrants[use]!
  }

  decision(use: number, rule: number): Decision {
    return allowedBy(this.firstGrant(use), this.#roles.rules(this.#useRoles[use]!), rule)
  }

  /** After a change of its rules, in a scope where the role is in use. */
  roleChanged(scope: number, role: Role): void {
    if (scope < 0) return
    const lists = this.#lists.numbers
    for (let at = scope + 1, end = at + USE * lists[scope]!; at < end; at += USE)
      if (this.#useRoles[lists[at]!] === role.id) lists.set(this.#roles.head(role.id), at + 1)
  }

  *grants(scope: number): Generator<Grant> {
    for (const use of this.#usesOf(scope)) yield* this.#grantHeaps.get(use) ?? [this.firstGrant(use)]
  }

  #usesOf(scope: number): number[] {
    if (scope < 0) return [...this.#large[-scope]!.uses()]
    if (scope === 0) return []
    const lists = this.#lists.numbers
    return Array.from({ length: lists[scope]! }, (_, i) => lists[scope + 1 + USE * i]!)
  }

  #useOf(scope: number, role: Role): number {
    if (scope < 0) return this.#large[-scope]!.useOf(role.id)
    return this.#usesOf(scope).find((use) => this.#useRoles[use] === role.id) ?? 0
  }

  #setFirst(use: number, grant: Grant | undefined): void {
    this.#firstGrants[use] = grant
    this.#firstNames[use] = grant?.name ?? ''
  }

  #heapOf(use: number): Grant[] {
    let heap = this.#grantHeaps.get(use)
    if (heap !== undefined) return heap
    const first = this.firstGrant(use)
    first.at = 0
    this.#grantHeaps.set(use, (heap = [first]))
    return heap
  }

  #newUse(role: Role, grant: Grant): number {
    const use = this.#freeUses.pop() ?? this.#useRoles.length
    this.#useRoles[use] = role.id
    this.#setFirst(use, grant)
    return use
  }

  /** Puts a use into its place; answers the scope's new number. */
  #put(scope: number, use: number): number {
    if (scope < 0) {
      this.#large[-scope]!.add(use, this.#roleOf(use))
      return scope
    }
    const uses = this.#usesOf(scope)
    const place = uses.findIndex((other) => this.#useBefore(use, other))
    uses.splice(place < 0 ? uses.length : place, 0, use)
    return uses.length > this.#smallScope ? this.#enlarge(scope, uses) : this.#writeList(scope, uses)
  }

  /** Takes a use out of its place; its grants stay. */
  #take(scope: number, use: number): number {
    if (scope > 0)
      return this.#writeList(
        scope,
        this.#usesOf(scope).filter((other) => other !== use),
      )
    const large = this.#large[-scope]!
    large.remove(use, this.#roleOf(use))
    return large.size > this.#smallScope / 2 ? scope : this.#shrink(scope)
  }

  #roleOf(use: number): Role {
    return this.#roles.role(this.#useRoles[use]!)
  }

  /** In place of the list at `scope`, if there is one. */
  #writeList(scope: number, uses: readonly number[]): number {
    if (scope > 0) this.#lists.give(scope, 1 + USE * this.#lists.numbers[scope]!)
    if (uses.length === 0) return 0
    const list = new Int32Array(1 + USE * uses.length)
    list[0] = uses.length
    for (const [i, use] of uses.entries()) {
      list[1 + USE * i] = use
      list.set(this.#roles.head(this.#useRoles[use]!), 2 + USE * i)
    }
    return this.#lists.take(list)
  }

  #enlarge(scope: number, uses: readonly number[]): number {
    this.#writeList(scope, [])
    const large = new LargeScope(this.#roles, this.#words, this.#useBefore)
    for (const use of uses) large.add(use, this.#roleOf(use))
    const number = this.#freeLarge.pop() ?? this.#large.length
    this.#large[number] = large
    return -number
  }

  #shrink(scope: number): number {
    const large = this.#large[-scope]!
    const uses = this.#usesOf(scope)
    for (const use of uses) large.remove(use, this.#roleOf(use))
    this.#large[-scope] = undefined
    this.#freeLarge.push(-scope)
    return this.#writeList(
      0,
      uses.sort((a, b) => (this.#useBefore(a, b) ? -1 : 1)),
    )
  }
}
