import type { UserInfo } from '../../../kernel/authn/types.ts'
import { hashOf, Names } from './names.ts'
import { ScopeTable } from './scope-table.ts'

/** Kept with each name: cluster-wide scope, number of namespaced scopes, grants of roles that are missing. */
const CLUSTER_SCOPE = 0
const NAMESPACED = 1
const DANGLING = 2
const EXTRA = 3

/**
 * Who asks: one object for each engine, written anew by each question. The arrays keep their length, because to empty
 * one and fill it again costs more than the rest of the question; what counts is counted beside them.
 */
export type Asking = {
  /** The subjects that the user is, as far as bindings name them. */
  subjects: number[]
  subjectCount: number
  /** Scopes that are not empty: everywhere, and in the namespace asked for. */
  clusterWide: number[]
  clusterWideCount: number
  namespaced: number[]
  namespacedCount: number
}

/**
 * Users and groups that bindings name, and the scope that each has in each place. Users have even numbers, groups odd
 * ones; 0 is nobody. Namespaces are numbers, too; 0 is the whole cluster.
 */
export class Subjects {
  readonly #users = new Names(EXTRA)
  readonly #groups = new Names(EXTRA)
  readonly #namespaces = new Names()
  readonly #scopes = new ScopeTable()
  readonly #hashes: number[] = []
  /** Keeps the early fetches from being optimised away. */
  fetched = 0
  readonly asking: Asking = {
    subjects: [],
    subjectCount: 0,
    clusterWide: [],
    clusterWideCount: 0,
    namespaced: [],
    namespacedCount: 0,
  }

  get size(): number {
    return this.#users.size + this.#groups.size
  }

  acquireUser(name: string): number {
    return 2 * this.#users.acquire(name)
  }

  acquireGroup(name: string): number {
    return 2 * this.#groups.acquire(name) + 1
  }

  release(subject: number): void {
    this.#side(subject).release(subject >> 1)
  }

  acquireNamespace(name: string): number {
    return name === '' ? 0 : this.#namespaces.acquire(name)
  }

  releaseNamespace(namespace: number): void {
    if (namespace !== 0) this.#namespaces.release(namespace)
  }

  /**
   * Finds all scopes that a question of this user about this namespace ('': none) looks into. In steps over all names,
   * not name by name: so the processor waits for the memory of all of them at the same time.
   */
  ask(user: UserInfo, namespace: string): Asking {
    const { asking } = this
    const { groups } = user
    const hashes = this.#hashes
    const userHash = hashOf(user.name)
    const namespaceHash = hashOf(namespace)
    for (let i = 0; i < groups.length; i++) hashes[i] = hashOf(groups[i]!)
    this.#fetch(userHash, namespaceHash, groups.length)

    let count = 0
    const byName = this.#users.find(userHash, user.name)
    if (byName !== 0) asking.subjects[count++] = 2 * byName
    for (let i = 0; i < groups.length; i++) {
      const group = this.#groups.find(hashes[i]!, groups[i]!)
      if (group !== 0) asking.subjects[count++] = 2 * group + 1
    }
    asking.subjectCount = count
    const namespaceId = namespace === '' ? 0 : this.#namespaces.find(namespaceHash, namespace)
    this.#findScopes(asking, namespaceId)
    return asking
  }

  #fetch(userHash: number, namespaceHash: number, groups: number): void {
    const hashes = this.#hashes
    const user = this.#users.candidate(userHash)
    const namespace = this.#namespaces.candidate(namespaceHash)
    let fetched = this.#users.fetch(user) ^ this.#namespaces.fetch(namespace)
    for (let i = 0; i < groups; i++) fetched ^= this.#groups.fetch(this.#groups.candidate(hashes[i]!))
    this.fetched = fetched
  }

  #findScopes(asking: Asking, namespace: number): void {
    const { subjects, subjectCount, clusterWide, namespaced } = asking
    if (namespace !== 0) {
      let fetched = 0
      for (let i = 0; i < subjectCount; i++) fetched ^= this.#scopes.fetch(subjects[i]!, namespace)
      this.fetched ^= fetched
    }
    asking.clusterWideCount = 0
    asking.namespacedCount = 0
    for (let i = 0; i < subjectCount; i++) {
      const everywhere = this.scope(subjects[i]!, 0)
      if (everywhere !== 0) clusterWide[asking.clusterWideCount++] = everywhere
      const here = namespace === 0 ? 0 : this.scope(subjects[i]!, namespace)
      if (here !== 0) namespaced[asking.namespacedCount++] = here
    }
  }

  /** In a namespace, or cluster-wide (0). */
  scope(subject: number, namespace: number): number {
    const side = this.#side(subject)
    if (namespace === 0) return side.extra(subject >> 1, CLUSTER_SCOPE)
    return side.extra(subject >> 1, NAMESPACED) === 0 ? 0 : this.#scopes.get(subject, namespace)
  }

  setScope(subject: number, namespace: number, scope: number): void {
    const side = this.#side(subject)
    const id = subject >> 1
    if (namespace === 0) {
      side.setExtra(id, CLUSTER_SCOPE, scope)
      return
    }
    const had = this.scope(subject, namespace) !== 0
    if (had !== (scope !== 0)) side.setExtra(id, NAMESPACED, side.extra(id, NAMESPACED) + (had ? -1 : 1))
    this.#scopes.set(subject, namespace, scope)
  }

  /** Whether one of the subjects of the last question is bound to a role that is missing. */
  askedIsDangling(): boolean {
    const { subjects, subjectCount } = this.asking
    for (let i = 0; i < subjectCount; i++)
      if (this.#side(subjects[i]!).extra(subjects[i]! >> 1, DANGLING) > 0) return true
    return false
  }

  addDangling(subject: number, change: number): void {
    const side = this.#side(subject)
    const id = subject >> 1
    side.setExtra(id, DANGLING, side.extra(id, DANGLING) + change)
  }

  #side(subject: number): Names {
    return (subject & 1) === 0 ? this.#users : this.#groups
  }
}
