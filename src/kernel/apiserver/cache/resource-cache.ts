import type { ApiError } from '../../api/status.ts'
import type { Entry } from './entry.ts'

/** One change as watchers see it. Serialised forms are made once and shared by all watchers. */
export class CacheEvent {
  readonly revision: number
  readonly entry: Entry
  readonly previous: Entry | undefined
  readonly deleted: boolean
  /** Serialised frames by format and event type, filled by the watch encoder. */
  readonly frames: Map<string, Buffer> = new Map()

  constructor(revision: number, entry: Entry, previous: Entry | undefined, deleted: boolean) {
    this.revision = revision
    this.entry = entry
    this.previous = previous
    this.deleted = deleted
  }

  get bytes(): number {
    return this.entry.bytes.length
  }
}

/** The bytes of the newest whole list, while readers keep asking for it. */
export type KeptList = { current: { name: string; chunks: Buffer[]; timer: NodeJS.Timeout } | undefined }

export type CacheListener = {
  /** Exactly this namespace; undefined: all. */
  namespace: string | undefined
  /** Exactly this name (fieldSelector metadata.name=…); undefined: all. */
  name: string | undefined
  onEvent: (event: CacheEvent) => void
  /** Called at most once; no event follows. */
  onEnd: () => void
}

/** How much of the recent past is kept for watches that start at an older resourceVersion. */
const HISTORY_EVENTS = 4096
const HISTORY_BYTES = 16 * 1024 * 1024

/** All objects of one resource in memory, in key order, with the events of the recent past. */
export class ResourceCache {
  readonly #sorted: Entry[] = []
  readonly #byKey = new Map<string, Entry>()
  #history: CacheEvent[] = []
  #historyBytes = 0
  /** Events up to and including this revision are not in the history any more. */
  #historyFloor: number
  readonly #listeners = new Map<string, Set<CacheListener>>()
  /** What the store holds but nobody can read, by key: the key that protects it is missing, or it was tampered with. */
  readonly #unreadable = new Map<string, ApiError>()
  readonly keptList: KeptList = { current: undefined }
  /** Revision of the last change of this resource. */
  lastChange: number

  constructor(floor: number) {
    this.#historyFloor = floor
    this.lastChange = floor
  }

  get size(): number {
    return this.#byKey.size
  }

  /** Throws ApiError InternalError for what is there and cannot be read, rather than saying that it is not there. */
  get(key: string): Entry | undefined {
    if (this.#unreadable.size > 0) this.#refuseUnreadable((k) => k === key)
    return this.#byKey.get(key)
  }

  /** The newest version that could be read. */
  known(key: string): Entry | undefined {
    return this.#byKey.get(key)
  }

  /**
   * The value that the store holds for this key since `revision` cannot be read. Watchers are sent away, since they
   * would miss it; those who come back get it from the store's history when it can be read, and an error until then.
   */
  setUnreadable(key: string, error: ApiError, revision: number): void {
    this.#unreadable.set(key, error)
    if (this.#byKey.delete(key)) this.#sorted.splice(this.#lowerBound(key), 1)
    this.keptList.current = undefined
    this.#interrupt(revision)
  }

  unreadable(): ReadonlyMap<string, ApiError> {
    return this.#unreadable
  }

  /** The key is gone, or was overwritten by what can be read. */
  clearUnreadable(key: string): void {
    if (this.#unreadable.size > 0) this.#unreadable.delete(key)
  }

  /** What could not be read can be now; `revision` is the one up to which the cache is complete. */
  restore(entry: Entry, revision: number): void {
    this.#unreadable.delete(entry.key)
    this.#byKey.set(entry.key, entry)
    this.#sorted.splice(this.#lowerBound(entry.key), 0, entry)
    entry.release()
    this.keptList.current = undefined
    this.#interrupt(revision)
  }

  #interrupt(revision: number): void {
    this.#history = []
    this.#historyBytes = 0
    this.#historyFloor = Math.max(this.#historyFloor, revision)
    this.lastChange = Math.max(this.lastChange, revision)
    const listeners = [...this.#listeners.values()].flatMap((set) => [...set])
    this.#listeners.clear()
    for (const listener of listeners) listener.onEnd()
  }

  #refuseUnreadable(concerned: (key: string) => boolean): void {
    for (const [key, error] of this.#unreadable) if (concerned(key)) throw error
  }

  /** Fills the cache before it serves; entries come in key order. */
  load(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#byKey.set(entry.key, entry)
      this.#sorted.push(entry)
      entry.release()
      if (entry.revision > this.lastChange) this.lastChange = entry.revision
    }
    this.#sorted.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Index of the first entry whose key is not below `key`. */
  #lowerBound(key: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sorted[middle]!.key < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * The entries of one namespace ('' = all) from `startKey` on, as a half-open index range into `at`. Throws ApiError
   * InternalError when one of them cannot be read: a list that left it out would be a lie.
   */
  range(namespace: string, startKey = ''): [from: number, to: number] {
    if (this.#unreadable.size > 0) this.#refuseUnreadable((key) => namespace === '' || key.startsWith(`${namespace}/`))
    if (namespace === '') return [startKey === '' ? 0 : this.#lowerBound(startKey), this.#sorted.length]
    const prefix = `${namespace}/`
    const from = this.#lowerBound(startKey > prefix ? startKey : prefix)
    return [from, this.#lowerBound(`${namespace}0`)] // '0' follows '/'
  }

  at(index: number): Entry {
    return this.#sorted[index]!
  }

  /** Everything that can be read, for who can do without the rest. */
  readable(): readonly Entry[] {
    return this.#sorted
  }

  put(entry: Entry, previous: Entry | undefined): void {
    if (this.#byKey.has(entry.key)) this.#sorted[this.#lowerBound(entry.key)] = entry
    else this.#sorted.splice(this.#lowerBound(entry.key), 0, entry)
    this.#byKey.set(entry.key, entry)
    this.#publish(new CacheEvent(entry.revision, entry, previous, false))
  }

  /** `tombstone` is the last state with the deletion's revision. */
  remove(tombstone: Entry, previous: Entry): void {
    if (!this.#byKey.delete(tombstone.key)) return
    this.#sorted.splice(this.#lowerBound(tombstone.key), 1)
    this.#publish(new CacheEvent(tombstone.revision, tombstone, previous, true))
  }

  #publish(event: CacheEvent): void {
    this.lastChange = event.revision
    this.#history.push(event)
    this.#historyBytes += event.bytes
    if (this.#history.length > HISTORY_EVENTS || this.#historyBytes > HISTORY_BYTES) this.#trim()
    this.#notify('', event)
    const { namespace, name } = event.entry
    if (namespace !== '') this.#notify(`${namespace}/`, event)
    this.#notify(`${namespace}/${name}`, event)
    event.entry.release()
    event.previous?.release()
  }

  #notify(index: string, event: CacheEvent): void {
    const listeners = this.#listeners.get(index)
    if (listeners !== undefined) for (const listener of listeners) listener.onEvent(event)
  }

  /** Drops the older half in one step, so that trimming costs nothing per event. */
  #trim(): void {
    const keep = this.#history.length >>> 1
    const dropped = this.#history.slice(0, this.#history.length - keep)
    this.#historyFloor = dropped.at(-1)?.revision ?? this.#historyFloor
    this.#history = this.#history.slice(this.#history.length - keep)
    this.#historyBytes = this.#history.reduce((sum, e) => sum + e.bytes, 0)
  }

  /** Events after `revision`, or undefined when the memory does not reach back that far. */
  eventsSince(revision: number): readonly CacheEvent[] | undefined {
    if (revision < this.#historyFloor) return undefined
    let low = 0
    let high = this.#history.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#history[middle]!.revision <= revision) low = middle + 1
      else high = middle
    }
    return this.#history.slice(low)
  }

  /** Everything that was released from history counts as gone: used when the store itself compacts. */
  listen(listener: CacheListener): () => void {
    const index = listenerIndex(listener)
    let set = this.#listeners.get(index)
    if (set === undefined) this.#listeners.set(index, (set = new Set()))
    set.add(listener)
    return () => {
      set.delete(listener)
      if (set.size === 0 && this.#listeners.get(index) === set) this.#listeners.delete(index)
    }
  }

  get listenerCount(): number {
    let count = 0
    for (const set of this.#listeners.values()) count += set.size
    return count
  }
}

function listenerIndex({ namespace, name }: CacheListener): string {
  if (namespace === undefined) return '' // by name over all namespaces: the listener filters itself
  return name === undefined ? `${namespace}/` : `${namespace}/${name}`
}
