import type { JsonObject, KubeObject } from '../api/object.ts'

/** Names a collection: `{ group: '', version: 'v1', resource: 'secrets' }`. */
export type ResourceId = { group: string; version: string; resource: string }

export type ListOptions = {
  /** undefined or '': all namespaces (or cluster-scoped). */
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
  limit?: number
  continue?: string
  resourceVersion?: string
  resourceVersionMatch?: 'Exact' | 'NotOlderThan'
}

export type ListResult = {
  items: KubeObject[]
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
}

export type ClientWatchEvent =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: KubeObject }
  | { type: 'ERROR'; object: JsonObject }

export type WatchOptions = {
  namespace?: string
  labelSelector?: string
  fieldSelector?: string
  resourceVersion?: string
  allowWatchBookmarks?: boolean
  sendInitialEvents?: boolean
  timeoutSeconds?: number
  signal: AbortSignal
}

export type WriteOptions = {
  subresource?: string
  dryRun?: boolean
  fieldManager?: string
}

export type DeleteOptions = {
  dryRun?: boolean
  gracePeriodSeconds?: number
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  preconditions?: { uid?: string; resourceVersion?: string }
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

/**
 * The one way in which controllers, features and commands reach an API server: `local` runs in the API server's
 * process, `remote` over HTTPS against any Kubernetes API server. Every method rejects with ApiError as the server
 * would answer it. Objects handed out may be shared and must not be changed in place: copy first.
 */
export type Client = {
  get: (id: ResourceId, namespace: string, name: string, subresource?: string) => Promise<KubeObject>
  list: (id: ResourceId, options?: ListOptions) => Promise<ListResult>
  /** Ends (returns) when the signal aborts or the server closes; the caller re-watches. */
  watch: (id: ResourceId, options: WatchOptions) => AsyncIterable<ClientWatchEvent>
  create: (id: ResourceId, object: KubeObject, options?: WriteOptions & { name?: string }) => Promise<KubeObject>
  update: (id: ResourceId, object: KubeObject, options?: WriteOptions) => Promise<KubeObject>
  patch: (
    id: ResourceId,
    namespace: string,
    name: string,
    type: PatchType,
    patch: unknown,
    options?: WriteOptions & { force?: boolean },
  ) => Promise<KubeObject>
  delete: (id: ResourceId, namespace: string, name: string, options?: DeleteOptions) => Promise<void>
  deleteCollection: (id: ResourceId, options: ListOptions & DeleteOptions) => Promise<void>
  /** Discovery, e.g. '/apis'; rejects with ApiError on a non-2xx. */
  raw: (method: string, path: string, body?: unknown) => Promise<unknown>
}
