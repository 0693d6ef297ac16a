import { Names } from './names.ts'
import { ScopeTable } from './scope-table.ts'

/** 32-bit numbers of a subject: cluster-wide scope, number of namespaced scopes, grants of roles that are missing. */
const SUBJECT = 4

/**
 * Users and groups that bindings name, and the scope that each has in each place. Users have even numbers, groups odd
 * ones; 0 is nobody.
 */
export class Subjects {
  readonly #users = new Names()
  readonly #groups = new Names()
  readonly #scopes = new ScopeTable()
  #subjects = new Int32Array(SUBJECT * 64)

  get size(): number {
    return this.#users.size + this.#groups.size
  }

  user(name: string): number {
    return 2 * this.#users.get(name)
  }

  group(name: string): number {
    const id = this.#groups.get(name)
    return id === 0 ? 0 : 2 * id + 1
  }

  acquireUser(name: string): number {
    return this.#withRoom(2 * this.#users.acquire(name))
  }

  acquireGroup(name: string): number {
    return this.#withRoom(2 * this.#groups.acquire(name) + 1)
  }

  release(subject: number): void {
    if (subject % 2 === 0) this.#users.release(subject / 2)
    else this.#groups.release((subject - 1) / 2)
  }

  clusterScope(subject: number): number {
    return this.#subjects[SUBJECT * subject]!
  }

  /** In a namespace, or cluster-wide (0). */
  scope(subject: number, namespace: number): number {
    if (namespace === 0) return this.#subjects[SUBJECT * subject]!
    return this.#subjects[SUBJECT * subject + 1] === 0 ? 0 : this.#scopes.get(subject, namespace)
  }

  setScope(subject: number, namespace: number, scope: number): void {
    if (namespace === 0) {
      this.#subjects[SUBJECT * subject] = scope
      return
    }
    const had = this.scope(subject, namespace) !== 0
    if (had !== (scope !== 0)) this.#subjects[SUBJECT * subject + 1]! += had ? -1 : 1
    this.#scopes.set(subject, namespace, scope)
  }

  dangling(subject: number): number {
    return this.#subjects[SUBJECT * subject + 2]!
  }

  addDangling(subject: number, change: number): void {
    this.#subjects[SUBJECT * subject + 2]! += change
  }

  #withRoom(subject: number): number {
    if (SUBJECT * (subject + 1) > this.#subjects.length) {
      const grown = new Int32Array(Math.max(this.#subjects.length * 2, SUBJECT * (subject + 1)))
      grown.set(this.#subjects)
      this.#subjects = grown
    }
    return subject
  }
}
