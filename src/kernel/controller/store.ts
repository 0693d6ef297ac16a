import type { KubeObject } from '../api/object.ts'

/** `namespace/name`, or `name` for cluster-scoped objects. */
export function keyOf(object: Pick<KubeObject, 'metadata'>): string {
  const { namespace, name } = object.metadata
  return namespace === undefined || namespace === '' ? (name ?? '') : `${namespace}/${name}`
}

/** Inverse of keyOf; the namespace is '' for cluster-scoped objects. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/')
  return slash < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}

export type Indexer = (object: KubeObject) => readonly string[]

/** What an informer's readers see. Objects are shared: copy before changing one. */
export type ObjectStore = {
  readonly size: number
  get: (key: string) => KubeObject | undefined
  list: () => IterableIterator<KubeObject>
  /** The objects for which the named indexer gave `value`. Throws for an index that was not declared. */
  byIndex: (index: string, value: string) => KubeObject[]
}

/** Objects by key, with indexes that are kept as objects come and go. */
export class IndexedStore implements ObjectStore {
  readonly #objects: Map<string, KubeObject> = new Map()
  readonly #indexes: Map<string, { indexer: Indexer; keys: Map<string, Set<string>> }> = new Map()

  constructor(indexers: Readonly<Record<string, Indexer>> = {}) {
    for (const [name, indexer] of Object.entries(indexers)) this.#indexes.set(name, { indexer, keys: new Map() })
  }

  get size(): number {
    return this.#objects.size
  }

  get(key: string): KubeObject | undefined {
    return this.#objects.get(key)
  }

  list(): IterableIterator<KubeObject> {
    return this.#objects.values()
  }

  keys(): string[] {
    return [...this.#objects.keys()]
  }

  byIndex(index: string, value: string): KubeObject[] {
    const found = this.#indexes.get(index)
    if (found === undefined) throw new Error(`no index "${index}"`)
    const keys = found.keys.get(value)
    return keys === undefined ? [] : [...keys].map((key) => this.#objects.get(key)!)
  }

  /** Returns what was there before. */
  set(key: string, object: KubeObject): KubeObject | undefined {
    const old = this.#objects.get(key)
    this.#objects.set(key, object)
    for (const { indexer, keys } of this.#indexes.values()) {
      if (old !== undefined) drop(keys, indexer(old), key)
      for (const value of indexer(object)) {
        const set = keys.get(value)
        if (set === undefined) keys.set(value, new Set([key]))
        else set.add(key)
      }
    }
    return old
  }

  /** Returns what was removed. */
  delete(key: string): KubeObject | undefined {
    const old = this.#objects.get(key)
    if (old === undefined) return undefined
    this.#objects.delete(key)
    for (const { indexer, keys } of this.#indexes.values()) drop(keys, indexer(old), key)
    return old
  }
}

function drop(keys: Map<string, Set<string>>, values: readonly string[], key: string): void {
  for (const value of values) {
    const set = keys.get(value)
    if (set === undefined) continue
    set.delete(key)
    if (set.size === 0) keys.delete(value)
  }
}
