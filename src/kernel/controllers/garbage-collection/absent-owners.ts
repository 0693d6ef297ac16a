import type { Identity } from './graph.ts'

/**
 * Owners that the server did not know: an object of thousands of dependents is looked up once. A uid never comes back,
 * so an entry never gets wrong; the oldest make room.
 */
export class AbsentOwners {
  readonly #max: number
  readonly #keys: Set<string> = new Set()

  constructor(max: number = 500) {
    this.#max = max
  }

  add(identity: Identity): void {
    const key = print(identity)
    this.#keys.delete(key)
    this.#keys.add(key)
    if (this.#keys.size <= this.#max) return
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest)
      return
    }
  }

  has(identity: Identity): boolean {
    return this.#keys.has(print(identity))
  }
}

const print = (i: Identity): string => [i.uid, i.namespace, i.apiVersion, i.kind, i.name].join('\n')
