import { ApiError, expired, type FieldError } from '../../api/status.ts'
import { CompactedError, type Store } from '../../store/store.ts'
import { Entry } from '../cache/entry.ts'
import { CacheEvent } from '../cache/resource-cache.ts'
import type { WatchCache } from '../cache/watch-cache.ts'
import type { Kind } from '../kind.ts'
import { compileFilter, invalidOptions, parseResourceVersion } from './list.ts'

export type WatchParameters = {
  namespace: string
  labelSelector?: string
  fieldSelector?: string
  resourceVersion?: string
  resourceVersionMatch?: string
  sendInitialEvents?: boolean
  allowWatchBookmarks?: boolean
}

export type WatchType = 'ADDED' | 'MODIFIED' | 'DELETED'

/**
 * Receives what a watcher is to see. For DELETED by selector (the object no longer matches) `entry` is the state before
 * with the revision of the change, as Kubernetes sends it.
 */
export type WatchSink = {
  /** `event` is shared by all watchers: encoders keep serialised frames on it. Undefined for initial state. */
  send: (type: WatchType, entry: Entry, event: CacheEvent | undefined) => void
  /** Revision up to which everything was sent; `initialEnd` ends a streaming list (KEP-3157). */
  bookmark: (revision: number, initialEnd: boolean) => void
  /** Called when the first events went out, with the revision from which the watch is live. */
  started: (revision: number) => void
  /** Some event cannot be shown now: the watcher has to come back, at the last revision that it saw. */
  ended: () => void
}

/**
 * Starts a watch; resolves with its cancel function once past events were sent. Rejects with Expired when the
 * resourceVersion lies before what store and memory remember.
 */
export async function watch(
  cache: WatchCache,
  store: Store,
  kind: Kind,
  p: WatchParameters,
  sink: WatchSink,
): Promise<() => void> {
  checkOptions(p)
  const filter = compileFilter(kind, p.labelSelector, p.fieldSelector)
  const version = parseResourceVersion(p.resourceVersion)
  const resource = cache.resource(kind.prefix)

  const matches = filter.matches
  const deliver = (event: CacheEvent): void => {
    const now = !event.deleted && (matches === undefined || matches(event.entry))
    const before = event.previous !== undefined && (matches === undefined || matches(event.previous))
    if (now) sink.send(before ? 'MODIFIED' : 'ADDED', event.entry, event)
    else if (before)
      sink.send('DELETED', event.deleted ? event.entry : atRevision(event.previous!, event.revision), event)
  }

  const initial = p.sendInitialEvents ?? (version === undefined || version === 0)
  if (version === undefined) await cache.fresh()
  else if (initial && version > 0) await cache.waitFor(version)

  const past = initial || version === undefined ? [] : await pastEvents(cache, store, kind, version)

  // From here to `listen` nothing awaits: no event can fall between the past and the live ones.
  if (initial) {
    const [from, to] = resource.range(p.namespace)
    for (let i = from; i < to; i++) {
      const entry = resource.at(i)
      if (matches === undefined || matches(entry)) sink.send('ADDED', entry, undefined)
    }
    if (p.sendInitialEvents === true && p.allowWatchBookmarks === true) sink.bookmark(cache.revision, true)
  }
  const inScope = (event: CacheEvent): boolean => p.namespace === '' || event.entry.namespace === p.namespace
  for (const event of past) if (inScope(event)) deliver(event)
  const floor = initial ? 0 : (version ?? 0)
  sink.started(cache.revision)
  return resource.listen({
    namespace:
      p.namespace !== '' ? p.namespace : filter.name !== undefined && !kind.definition.namespaced ? '' : undefined,
    name: filter.name,
    onEvent: (event) => {
      if (event.revision > floor) deliver(event)
    },
    onEnd: sink.ended,
  })
}

function checkOptions(p: WatchParameters): void {
  const errors: FieldError[] = []
  const forbid = (field: string, detail: string): void => {
    errors.push({ type: 'FieldValueForbidden', field, detail })
  }
  if (p.sendInitialEvents !== undefined && p.resourceVersionMatch !== 'NotOlderThan')
    forbid('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  if (p.sendInitialEvents === undefined && p.resourceVersionMatch)
    forbid('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')
  if (p.sendInitialEvents === true && p.allowWatchBookmarks !== true)
    forbid('allowWatchBookmarks', 'sendInitialEvents requires setting allowWatchBookmarks to true')
  if (errors.length > 0) throw invalidOptions(errors)
}

/** The state before a change, shown at the change's revision. */
function atRevision(entry: Entry, revision: number): Entry {
  const object = entry.copy()
  object.metadata.resourceVersion = String(revision)
  return new Entry(entry.key, revision, Buffer.from(JSON.stringify(object)), object)
}

/** Everything after `version`, up to the moment this resolves: the caller must subscribe without awaiting. */
async function pastEvents(
  cache: WatchCache,
  store: Store,
  kind: Kind,
  version: number,
): Promise<readonly CacheEvent[]> {
  const resource = cache.resource(kind.prefix)
  const remembered = resource.eventsSince(version)
  if (remembered !== undefined) return remembered
  const target = cache.revision
  const older = await replay(cache, store, kind, version, target)
  const newer = resource.eventsSince(target)
  if (newer === undefined) throw tooOld(version, target)
  return [...older, ...newer]
}

/** Events after `version` and up to `target` from the store's history, for watchers older than what memory keeps. */
function replay(cache: WatchCache, store: Store, kind: Kind, version: number, target: number): Promise<CacheEvent[]> {
  const collected: CacheEvent[] = []
  return new Promise((resolve, reject) => {
    let chain: Promise<void> = Promise.resolve()
    const timer = setTimeout(() => {
      subscription.cancel()
      reject(new ApiError('Timeout', 'the past of this watch could not be read in time', { retryAfterSeconds: 1 }))
    }, 10_000)
    const finish = (error?: Error): void => {
      clearTimeout(timer)
      subscription.cancel()
      if (error === undefined) resolve(collected)
      else reject(error instanceof CompactedError ? tooOld(version, error.compactRevision) : error)
    }
    const subscription = store.watch(
      { key: kind.prefix, prefix: true, fromRevision: version + 1 },
      {
        onEvents: (events, revision) => {
          chain = chain.then(async () => {
            for (const event of events) {
              if (event.kv.modRevision > target) break
              const previous = event.previous === undefined ? undefined : await cache.decode(event.previous)
              if (event.type === 'delete') {
                if (previous === undefined) continue
                collected.push(
                  new CacheEvent(event.kv.modRevision, atRevision(previous, event.kv.modRevision), previous, true),
                )
              } else {
                const entry = await cache.decode(event.kv)
                if (entry !== undefined) collected.push(new CacheEvent(event.kv.modRevision, entry, previous, false))
              }
            }
            if (revision >= target) finish()
          })
          chain.catch(finish)
        },
        onEnd: (error) => finish(error ?? new ApiError('ServiceUnavailable', 'the store closed')),
      },
    )
    store.requestProgress()
  })
}

function tooOld(version: number, oldest: number): ApiError {
  return expired(`too old resource version: ${version} (${oldest})`)
}
