import type { KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import type { KeyValue, Store, Watch, WatchEvent } from '../../store/store.ts'
import { Entry, parseStored, withResourceVersion } from './entry.ts'
import { ResourceCache } from './resource-cache.ts'

/** Turns an object's bytes into what the store keeps and back: encryption at rest plugs in here. */
export type ValueTransformer = {
  toStorage: (value: Buffer, storageKey: string) => Buffer | Promise<Buffer>
  fromStorage: (value: Uint8Array, storageKey: string) => Uint8Array | Promise<Uint8Array>
  /** Whether it would be stored differently today (an older key): a write that changes nothing then rewrites it. */
  isStale?: (value: Uint8Array, storageKey: string) => boolean
}

export const identityTransformer: ValueTransformer = {
  toStorage: (value) => value,
  fromStorage: (value) => value,
}

export const REGISTRY = '/registry/'
const REGISTRY_END = '/registry0'
const LOAD_PAGE = 500
/** How often what cannot be read is tried again. */
const RETRY_MS = 2000

/** `/registry/<group>/<resource>/`; the core group is written `core`. */
export function resourcePrefix(group: string, plural: string): string {
  return `${REGISTRY}${group === '' ? 'core' : group}/${plural}/`
}

function splitKey(storageKey: string): { prefix: string; key: string } | undefined {
  const group = storageKey.indexOf('/', REGISTRY.length)
  const resource = group < 0 ? -1 : storageKey.indexOf('/', group + 1)
  if (resource < 0) return undefined
  return { prefix: storageKey.slice(0, resource + 1), key: storageKey.slice(resource + 1) }
}

type Waiter = { revision: number; resolve: () => void }

/**
 * The whole registry in memory, fed by one watch on the store in revision order. A read that must be linearizable asks
 * the store for its revision first and waits until the cache has seen it.
 */
export class WatchCache {
  readonly #store: Store
  readonly #transformer: ValueTransformer
  readonly #resources = new Map<string, ResourceCache>()
  /** What this process is writing, by the very bytes handed to the store: spares decrypting and decoding it again. */
  readonly #inFlight = new WeakMap<Uint8Array, { object: KubeObject; plain: Buffer }>()
  #waiters: Waiter[] = []
  #watch: Watch | undefined
  #revision = 0
  #floor = 0
  #failure: Error | undefined
  #queue: Promise<void> | undefined
  #probe: Promise<number> | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #closed = false
  readonly #log: (message: string, fields: Record<string, unknown>) => void

  constructor(
    store: Store,
    transformer: ValueTransformer,
    log: (message: string, fields: Record<string, unknown>) => void,
  ) {
    this.#store = store
    this.#transformer = transformer
    this.#log = log
  }

  /** Revision up to which the cache is complete. */
  get revision(): number {
    return this.#revision
  }

  get failure(): Error | undefined {
    return this.#failure
  }

  resource(prefix: string): ResourceCache {
    let cache = this.#resources.get(prefix)
    if (cache === undefined) this.#resources.set(prefix, (cache = new ResourceCache(this.#floor)))
    return cache
  }

  resources(): IterableIterator<[string, ResourceCache]> {
    return this.#resources.entries()
  }

  /** Loads everything and follows. Resolves when the cache may serve. */
  async start(): Promise<void> {
    // Page by page at one revision, so that starting needs no more memory than serving.
    let revision: number | undefined
    let key = REGISTRY
    for (;;) {
      const page = await this.#store.range({
        key,
        end: REGISTRY_END,
        limit: LOAD_PAGE,
        ...(revision === undefined ? {} : { revision }),
      })
      revision ??= this.#begin(page.revision)
      const loaded = new Map<string, Entry[]>()
      for (const kv of page.kvs) {
        const at = splitKey(kv.key)
        if (at === undefined) continue
        const entry = await this.#readable(at, kv)
        if (entry === undefined) continue
        const list = loaded.get(at.prefix)
        if (list === undefined) loaded.set(at.prefix, [entry])
        else list.push(entry)
      }
      for (const [prefix, entries] of loaded) this.resource(prefix).load(entries)
      if (!page.more) break
      key = `${page.kvs.at(-1)!.key}\0`
    }
    this.#follow()
  }

  /** One value that cannot be read takes nothing else down: it is marked, and who asks for it gets the reason. */
  async #readable(at: { prefix: string; key: string }, kv: KeyValue): Promise<Entry | undefined> {
    try {
      const plain = this.#transformer.fromStorage(kv.value, kv.key)
      return this.#entry(at.key, kv, plain instanceof Promise ? await plain : plain)
    } catch (error) {
      this.#unreadable(at, kv, error as Error)
      return undefined
    }
  }

  #unreadable(at: { prefix: string; key: string }, kv: KeyValue, error: Error): void {
    this.resource(at.prefix).setUnreadable(at.key, unreadable(kv.key, error), kv.modRevision)
    this.#log('a stored value cannot be read', { key: kv.key, error: error.message })
    this.#retryTimer ??= setTimeout(() => void this.#retry(), RETRY_MS).unref()
  }

  /** A key may come back: from its plugin, by a new configuration, or because another server was faster to use it. */
  async #retry(): Promise<void> {
    let left = 0
    for (const [prefix, cache] of this.#resources)
      for (const [key, error] of cache.unreadable()) if (!(await this.#retryOne(cache, prefix, key, error))) left++
    this.#retryTimer = left === 0 || this.#closed ? undefined : setTimeout(() => void this.#retry(), RETRY_MS).unref()
  }

  /** True when there is nothing to retry any more. */
  async #retryOne(cache: ResourceCache, prefix: string, key: string, error: ApiError): Promise<boolean> {
    let entry: Entry | undefined
    try {
      const [kv] = (await this.#store.range({ key: prefix + key })).kvs
      // What is gone or newer comes as an event.
      if (kv !== undefined && kv.modRevision <= this.#revision) entry = await this.decode(kv)
    } catch {
      return false // as before: it was logged when it happened
    }
    if (cache.unreadable().get(key) !== error) return true
    if (entry === undefined) return false
    cache.restore(entry, this.#revision)
    this.#log('a stored value can be read again', { key: prefix + key })
    return true
  }

  #begin(revision: number): number {
    this.#floor = revision
    this.#revision = revision
    return revision
  }

  #follow(): void {
    this.#watch = this.#store.watch(
      { key: REGISTRY, prefix: true, fromRevision: this.#revision + 1 },
      {
        onEvents: (events, revision) => this.#receive(events, revision),
        onEnd: (error) => {
          if (error === undefined) return
          this.#failure = error
          this.#log('the watch on the store ended', { error: error.message })
        },
      },
    )
  }

  /** A write that is about to reach the store: the bytes for it, and what they hold. */
  announce(stored: Uint8Array, object: KubeObject, plain: Buffer): void {
    this.#inFlight.set(stored, { object, plain })
  }

  #entry(key: string, kv: Pick<KeyValue, 'modRevision'>, plain: Uint8Array, known?: KubeObject): Entry {
    const bytes = withResourceVersion(plain, kv.modRevision)
    let object = known
    if (object === undefined) object = parseStored(bytes)
    else object.metadata.resourceVersion = String(kv.modRevision)
    return new Entry(key, kv.modRevision, bytes, object)
  }

  #receive(events: WatchEvent[], revision: number): void {
    if (this.#queue !== undefined) {
      this.#queue = this.#queue.then(() => this.#applyAll(events, revision))
      return
    }
    const pending = this.#applyAll(events, revision)
    if (pending !== undefined) {
      const queue = pending.catch((error: Error) => {
        this.#failure = error
        this.#log('an event of the store could not be applied', { error: error.message })
      })
      this.#queue = queue
      void queue.then(() => {
        if (this.#queue === queue) this.#queue = undefined
      })
    }
  }

  /** Synchronous unless the transformer has to wait (a key-management plugin). */
  #applyAll(events: WatchEvent[], revision: number): Promise<void> | undefined {
    for (let i = 0; i < events.length; i++) {
      const pending = this.#apply(events[i]!)
      if (pending !== undefined)
        return pending.then(async () => {
          for (let j = i + 1; j < events.length; j++) await this.#apply(events[j]!)
          this.#advance(revision)
        })
    }
    this.#advance(revision)
    return undefined
  }

  #apply(event: WatchEvent): Promise<void> | undefined {
    const at = splitKey(event.kv.key)
    if (at === undefined) return undefined
    const cache = this.resource(at.prefix)
    const previous = cache.known(at.key)
    if (event.type === 'delete') {
      cache.clearUnreadable(at.key)
      if (previous !== undefined) cache.remove(this.#tombstone(previous, event.kv.modRevision), previous)
      return undefined
    }
    const known = this.#inFlight.get(event.kv.value)
    const put = (plain: Uint8Array): void => {
      const entry = this.#entry(at.key, event.kv, plain, known?.object)
      cache.clearUnreadable(at.key)
      cache.put(entry, previous)
    }
    try {
      const plain = known?.plain ?? this.#transformer.fromStorage(event.kv.value, event.kv.key)
      if (plain instanceof Promise)
        return plain.then(put).catch((error: Error) => this.#unreadable(at, event.kv, error))
      put(plain)
    } catch (error) {
      this.#unreadable(at, event.kv, error as Error)
    }
    return undefined
  }

  #tombstone(previous: Entry, revision: number): Entry {
    const object = previous.copy()
    object.metadata.resourceVersion = String(revision)
    return new Entry(previous.key, revision, Buffer.from(JSON.stringify(object)), object)
  }

  #advance(revision: number): void {
    if (revision > this.#revision) this.#revision = revision
    if (this.#waiters.length === 0) return
    const ready = this.#waiters.filter((w) => w.revision <= this.#revision)
    if (ready.length === 0) return
    this.#waiters = this.#waiters.filter((w) => w.revision > this.#revision)
    for (const waiter of ready) waiter.resolve()
  }

  /** Resolves once the cache has seen `revision`; rejects with Timeout after three seconds, as Kubernetes does. */
  waitFor(revision: number): Promise<void> | undefined {
    if (revision <= this.#revision) return undefined
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      const waiter = { revision, resolve: done }
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((w) => w !== waiter)
        reject(tooLargeResourceVersion(revision, this.#revision))
      }, 3000)
      this.#waiters.push(waiter)
      this.#store.requestProgress()
    })
  }

  /** Waits until the cache holds everything that was acknowledged before this call. One probe serves all callers. */
  async fresh(): Promise<void> {
    this.#probe ??= this.#store.revision().finally(() => {
      this.#probe = undefined
    })
    const revision = await this.#probe
    await this.waitFor(revision)
  }

  /** Decodes a value that was read from the store's history. Rejects with ApiError when it cannot be read. */
  async decode(kv: KeyValue): Promise<Entry | undefined> {
    const at = splitKey(kv.key)
    if (at === undefined) return undefined
    let plain: Uint8Array
    try {
      plain = await this.#transformer.fromStorage(kv.value, kv.key)
    } catch (error) {
      throw unreadable(kv.key, error as Error)
    }
    return this.#entry(at.key, kv, plain)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    this.#watch?.cancel()
  }
}

function unreadable(storageKey: string, error: Error): ApiError {
  const what = error.message.startsWith(storageKey) ? error.message : `${storageKey} cannot be read: ${error.message}`
  return new ApiError('InternalError', `Internal error occurred: ${what}`)
}

export function tooLargeResourceVersion(wanted: number, current: number): ApiError {
  return new ApiError('Timeout', `Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  })
}
