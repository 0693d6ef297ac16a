import type { KubeObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import type { Client, ResourceId } from '../client/client.ts'
import type { Log } from '../feature.ts'
import { Backoff } from './backoff.ts'
import { IndexedStore, type Indexer, keyOf, type ObjectStore } from './store.ts'
import { sleep, systemTimers, type Timers } from './timers.ts'

export type InformerOptions = {
  client: Pick<Client, 'list' | 'watch'>
  resource: ResourceId
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
  /** What to keep of each object; it must not change its argument. Default: everything but managedFields. */
  transform?: (object: KubeObject) => KubeObject
  indexers?: Readonly<Record<string, Indexer>>
  /** Milliseconds after which every object is handed to onUpdate again; undefined: never. */
  resyncMs?: number
  log: Log
  timers?: Timers
  random?: () => number
}

/**
 * Called in the order of changes, after the store holds them. Handlers are quick and do not throw: they add keys to
 * queues. `initial` is true for what was there when the informer first listed.
 */
export type InformerHandler = {
  onAdd?: (object: KubeObject, initial: boolean) => void
  onUpdate?: (object: KubeObject, old: KubeObject) => void
  onDelete?: (object: KubeObject) => void
}

export type Informer = {
  readonly resource: ResourceId
  readonly store: ObjectStore
  /** A handler added late gets onAdd for everything that is there. Returns how to take it off again. */
  addHandler: (handler: InformerHandler) => () => void
  /** Resolves when the first list is in the store and the handlers have seen it; never, if that never happens. */
  synced: () => Promise<void>
  readonly hasSynced: boolean
  /** Runs until the signal aborts. */
  run: (signal: AbortSignal) => Promise<void>
}

const PAGE = 500
/** Watches end by themselves after 5 to 10 minutes (client-go), so that load spreads over servers again. */
const MIN_WATCH_SECONDS = 300

export const withoutManagedFields = (object: KubeObject): KubeObject => {
  if (object.metadata.managedFields === undefined) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** Keeps a copy of a collection up to date: list, then watch from there; list again only when history is gone. */
export function createInformer(options: InformerOptions): Informer {
  return new ListWatchInformer(options)
}

/** Resolves to true when all have synced, to false when the signal aborts before. */
export async function whenSynced(informers: readonly Informer[], signal: AbortSignal): Promise<boolean> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await Promise.race([Promise.all(informers.map((informer) => informer.synced())), aborted])
  return !signal.aborted
}

class ListWatchInformer implements Informer {
  readonly resource: ResourceId
  readonly store: IndexedStore
  readonly #options: InformerOptions
  readonly #timers: Timers
  readonly #random: () => number
  readonly #transform: (object: KubeObject) => KubeObject
  readonly #backoff: Backoff
  readonly #handlers: Set<InformerHandler> = new Set()
  readonly #synced: PromiseWithResolvers<void> = Promise.withResolvers()
  #hasSynced = false
  /** Everything up to here is in the store; undefined: list first. */
  #version: string | undefined

  constructor(options: InformerOptions) {
    this.resource = options.resource
    this.#options = options
    this.#timers = options.timers ?? systemTimers
    this.#random = options.random ?? Math.random
    this.#transform = options.transform ?? withoutManagedFields
    this.store = new IndexedStore(options.indexers)
    this.#backoff = new Backoff({ baseMs: 250, maxMs: 30_000, jitter: 1, random: this.#random })
  }

  get hasSynced(): boolean {
    return this.#hasSynced
  }

  synced(): Promise<void> {
    return this.#synced.promise
  }

  addHandler(handler: InformerHandler): () => void {
    this.#handlers.add(handler)
    if (this.#hasSynced) for (const object of this.store.list()) this.#guard(() => handler.onAdd?.(object, true))
    return () => void this.#handlers.delete(handler)
  }

  async run(signal: AbortSignal): Promise<void> {
    const stopResync = this.#startResync(signal)
    try {
      while (!signal.aborted) {
        try {
          this.#version ??= await this.#relist()
          await this.#watch(this.#version, signal)
        } catch (error) {
          if (signal.aborted) break
          if (isGone(error)) this.#version = undefined
          else this.#log('warn', (error as Error).message)
          await sleep(this.#timers, this.#backoff.next(), signal)
        }
      }
    } finally {
      stopResync()
    }
  }

  #selection(): { namespace?: string; labelSelector?: string; fieldSelector?: string } {
    const { namespace, labelSelector, fieldSelector } = this.#options
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    }
  }

  /** Returns the resourceVersion to watch from. */
  async #relist(): Promise<string> {
    const { client, resource } = this.#options
    const fresh = new Map<string, KubeObject>()
    let next: string | undefined
    let version: string
    do {
      const page = await client
        .list(resource, { ...this.#selection(), limit: PAGE, ...(next === undefined ? {} : { continue: next }) })
        .catch(async (error) => {
          // History ended while we paged: all at once then, as client-go does.
          if (next === undefined || !isGone(error)) throw error
          fresh.clear()
          return await client.list(resource, this.#selection())
        })
      for (const object of page.items) fresh.set(keyOf(object), this.#transform(object))
      next = page.metadata.continue === '' ? undefined : page.metadata.continue
      version = page.metadata.resourceVersion
    } while (next !== undefined)
    this.#replace(fresh)
    this.#backoff.reset()
    return version
  }

  #replace(fresh: ReadonlyMap<string, KubeObject>): void {
    const initial = !this.#hasSynced
    for (const key of this.store.keys()) if (!fresh.has(key)) this.#deleted(key)
    for (const [key, object] of fresh) this.#changed(key, object, initial)
    this.#hasSynced = true
    this.#synced.resolve()
  }

  /** Watches until the server ends it; #version is where to go on from, however it ends. */
  async #watch(from: string, signal: AbortSignal): Promise<void> {
    const { client, resource } = this.#options
    const started = this.#timers.monotonic()
    const events = client.watch(resource, {
      ...this.#selection(),
      resourceVersion: from,
      allowWatchBookmarks: true,
      timeoutSeconds: Math.floor(MIN_WATCH_SECONDS * (1 + this.#random())),
      signal,
    })
    for await (const event of events) {
      if (signal.aborted) return
      if (event.type === 'ERROR') throw watchError(event.object)
      if (event.type === 'DELETED') this.#deleted(keyOf(event.object), event.object)
      else if (event.type !== 'BOOKMARK') this.#changed(keyOf(event.object), this.#transform(event.object), false)
      this.#version = event.object.metadata.resourceVersion ?? this.#version
    }
    // A server that closes watches as soon as they open is not asked again at once.
    const short = this.#timers.monotonic() - started < 1000 && this.#version === from
    if (short) await sleep(this.#timers, this.#backoff.next(), signal)
    else this.#backoff.reset()
  }

  #changed(key: string, object: KubeObject, initial: boolean): void {
    const old = this.store.get(key)
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) this.#deleted(key)
    else if (old?.metadata.resourceVersion === object.metadata.resourceVersion && old !== undefined) return
    const before = this.store.set(key, object)
    for (const handler of this.#handlers)
      this.#guard(() => (before === undefined ? handler.onAdd?.(object, initial) : handler.onUpdate?.(object, before)))
  }

  /** `last` is the object as it was when it was deleted; a relist does not know it and hands over the one it knew. */
  #deleted(key: string, last?: KubeObject): void {
    const old = this.store.delete(key)
    if (old === undefined) return
    const object = last === undefined || last.metadata.uid !== old.metadata.uid ? old : this.#transform(last)
    for (const handler of this.#handlers) this.#guard(() => handler.onDelete?.(object))
  }

  #startResync(signal: AbortSignal): () => void {
    const { resyncMs } = this.#options
    if (resyncMs === undefined) return () => undefined
    let cancel: () => void = () => undefined
    const arm = (): void => {
      cancel = this.#timers.after(resyncMs, () => {
        for (const object of [...this.store.list()])
          for (const handler of this.#handlers) this.#guard(() => handler.onUpdate?.(object, object))
        if (!signal.aborted) arm()
      })
    }
    arm()
    return () => cancel()
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#log('error', `handler failed: ${(error as Error).stack ?? String(error)}`)
    }
  }

  #log(level: 'warn' | 'error', message: string): void {
    const { group, resource } = this.resource
    this.#options.log(level, `informer of ${group === '' ? resource : `${resource}.${group}`}: ${message}`)
  }
}

function watchError(status: { code?: unknown; reason?: unknown; message?: unknown }): ApiError {
  const message = typeof status.message === 'string' ? status.message : 'the watch failed'
  return status.code === 410 || status.reason === 'Expired' || status.reason === 'Gone'
    ? new ApiError('Expired', message)
    : new ApiError('InternalError', message, undefined, typeof status.code === 'number' ? status.code : 500)
}

const isGone = (error: unknown): boolean => error instanceof ApiError && error.code === 410
