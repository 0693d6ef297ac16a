import type { KubeObject } from '../api/object.ts'
import { ApiError, notFound } from '../api/status.ts'
import { cloneObject } from '../apiserver/cache/entry.ts'
import type { ApiCore, Caller, WriteParameters } from '../apiserver/core.ts'
import type { Kind } from '../apiserver/kind.ts'
import { createVirtual } from '../apiserver/subresources/virtual-create.ts'
import { cacheKey } from '../apiserver/verbs/commit.ts'
import { create } from '../apiserver/verbs/create.ts'
import { type DeleteParameters, deleteCollection, deleteOne } from '../apiserver/verbs/delete.ts'
import { type ListParameters, list } from '../apiserver/verbs/list.ts'
import { patch } from '../apiserver/verbs/patch.ts'
import { update } from '../apiserver/verbs/update.ts'
import { watch } from '../apiserver/verbs/watch.ts'
import type { VirtualHandlers } from '../apiserver/virtual.ts'
import type { UserInfo } from '../authn/types.ts'
import type {
  Client,
  ClientWatchEvent,
  DeleteOptions,
  ListOptions,
  ListResult,
  PatchType,
  ResourceId,
  WatchOptions,
  WriteOptions,
} from './client.ts'

export type LocalClientOptions = {
  core: ApiCore
  virtual: VirtualHandlers
  user: UserInfo
  /** Field manager of its writes when a call names none. */
  fieldManager: string
  /** GET of non-resource paths, e.g. /apis. */
  raw: (method: string, path: string) => Promise<unknown>
}

/**
 * The client of the parts that live in the API server's process: the same verbs, admission and validation as over
 * HTTPS; authorized as a member of system:masters, since it is the server itself.
 */
export function createLocalClient(o: LocalClientOptions): Client {
  const caller: Caller = {
    user: o.user,
    userAgent: o.fieldManager,
    warn: () => undefined,
    annotateAudit: () => undefined,
    signal: new AbortController().signal,
    authorizeCreate: () => undefined,
  }
  const kindOf = (id: ResourceId): Kind => {
    const kind = o.core.kinds.get(id.group, id.version, id.resource)
    if (kind === undefined) throw new ApiError('NotFound', 'the server could not find the requested resource')
    return kind
  }
  const writing = (options: WriteOptions | undefined): WriteParameters => ({
    dryRun: options?.dryRun ?? false,
    fieldManager: options?.fieldManager ?? o.fieldManager,
    options: undefined,
  })
  const deleting = (options: DeleteOptions | undefined): DeleteParameters => ({
    dryRun: options?.dryRun ?? false,
    options: undefined,
    ...(options?.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: options.gracePeriodSeconds }),
    ...(options?.propagationPolicy === undefined ? {} : { propagationPolicy: options.propagationPolicy }),
    ...(options?.preconditions === undefined ? {} : { preconditions: options.preconditions }),
  })

  const get: Client['get'] = async (id, namespace, name) => {
    const kind = kindOf(id)
    await o.core.cache.fresh()
    const entry = o.core.cache.resource(kind.prefix).get(cacheKey(kind.definition.namespaced ? namespace : '', name))
    if (entry === undefined) throw notFound(id.group, id.resource, name)
    return kind.view(entry)
  }

  return {
    get,
    list: async (id, options = {}): Promise<ListResult> => {
      const kind = kindOf(id)
      const page = await list(o.core.cache, o.core.store, kind, selectionOf(options))
      return {
        items: page.entries.map((entry) => kind.view(entry)),
        metadata: {
          resourceVersion: String(page.revision),
          ...(page.continue === undefined ? {} : { continue: page.continue }),
          ...(page.remainingItemCount === undefined ? {} : { remainingItemCount: page.remainingItemCount }),
        },
      }
    },
    watch: (id, options) => watchLocal(o.core, kindOf(id), options),
    create: async (id, object, options): Promise<KubeObject> => {
      const kind = kindOf(id)
      const namespace = kind.definition.namespaced ? (object.metadata?.namespace ?? '') : ''
      const key = options?.subresource
        ? `${id.group}/${id.resource}/${options.subresource}`
        : `${id.group}/${id.resource}`
      const handler = o.virtual.get(key)
      const body = cloneObject({ ...object, metadata: object.metadata ?? {} })
      if (handler !== undefined)
        return createVirtual(
          handler,
          options?.subresource ?? '',
          {
            core: o.core,
            kind,
            namespace,
            name: options?.name ?? '',
            body,
            dryRun: options?.dryRun ?? false,
            caller,
          },
          writing(options),
        )
      const decoded = kind.decode(body, 'Ignore').object
      const { entry } = await create(o.core, kind, namespace, decoded, writing(options), caller)
      return kind.view(entry)
    },
    update: async (id, object, options): Promise<KubeObject> => {
      const kind = kindOf(id)
      const decoded = kind.decode(cloneObject(object), 'Ignore').object
      const { namespace = '', name = '' } = decoded.metadata
      const { entry } = await update(
        o.core,
        kind,
        namespace,
        name,
        decoded,
        options?.subresource ?? '',
        writing(options),
        caller,
      )
      return kind.view(entry)
    },
    patch: async (id, namespace, name, type: PatchType, body, options): Promise<KubeObject> => {
      const kind = kindOf(id)
      const parameters = {
        ...writing(options),
        type,
        force: options?.force ?? false,
        fieldValidation: 'Ignore' as const,
      }
      const scope = kind.definition.namespaced ? namespace : ''
      const { entry } = await patch(
        o.core,
        kind,
        scope,
        name,
        body as never,
        options?.subresource ?? '',
        parameters,
        caller,
      )
      return kind.view(entry)
    },
    delete: async (id, namespace, name, options): Promise<void> => {
      const kind = kindOf(id)
      await deleteOne(o.core, kind, kind.definition.namespaced ? namespace : '', name, deleting(options), caller)
    },
    deleteCollection: async (id, options): Promise<void> => {
      await deleteCollection(o.core, kindOf(id), selectionOf(options), deleting(options), caller)
    },
    raw: (method, path) => o.raw(method, path),
  }
}

function selectionOf(options: ListOptions): ListParameters {
  return { ...options, namespace: options.namespace ?? '' }
}

async function* watchLocal(core: ApiCore, kind: Kind, options: WatchOptions): AsyncIterable<ClientWatchEvent> {
  const queue: ClientWatchEvent[] = []
  let wake: (() => void) | undefined
  const push = (event: ClientWatchEvent): void => {
    queue.push(event)
    wake?.()
  }
  const { signal } = options
  let cancel: () => void
  let expired = false
  const expire = (): void => {
    expired = true
    wake?.()
  }
  try {
    cancel = await watch(
      core.cache,
      core.store,
      kind,
      {
        namespace: options.namespace ?? '',
        ...(options.labelSelector === undefined ? {} : { labelSelector: options.labelSelector }),
        ...(options.fieldSelector === undefined ? {} : { fieldSelector: options.fieldSelector }),
        ...(options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }),
        ...(options.sendInitialEvents === undefined
          ? {}
          : { sendInitialEvents: options.sendInitialEvents, resourceVersionMatch: 'NotOlderThan' }),
        allowWatchBookmarks: options.allowWatchBookmarks ?? false,
      },
      {
        send: (type, entry) => push({ type, object: kind.view(entry) }),
        bookmark: (revision, initialEnd) =>
          push({
            type: 'BOOKMARK',
            object: {
              kind: kind.definition.kind,
              apiVersion: kind.apiVersion,
              metadata: {
                resourceVersion: String(revision),
                ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
              },
            },
          }),
        started: () => undefined,
        ended: () => expire(),
      },
    )
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'Expired') throw error
    yield { type: 'ERROR', object: error.toStatus() }
    return
  }
  const onAbort = (): void => wake?.()
  signal.addEventListener('abort', onAbort)
  const timer = options.timeoutSeconds === undefined ? undefined : setTimeout(expire, options.timeoutSeconds * 1000)
  try {
    while (!signal.aborted && !expired) {
      const event = queue.shift()
      if (event !== undefined) yield event
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
  } finally {
    cancel()
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
