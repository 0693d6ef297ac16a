import { setTimeout as delay } from 'node:timers/promises'
import type { JsonObject, KubeObject } from '../api/object.ts'
import type {
  Client,
  ClientWatchEvent,
  DeleteOptions,
  ListOptions,
  ListResult,
  PatchType,
  ResourceId,
  WatchOptions,
} from './client.ts'
import { Connection, type CredentialProvider, type Impersonation } from './connection.ts'
import { LineTooLongError, lines } from './lines.ts'
import { collectionPath, listQuery, objectPath, watchQuery, writeQuery } from './resource-path.ts'
import { UnreachableError } from './unreachable.ts'

export type RemoteClientOptions = {
  /** An https URL; a path in it prefixes every request. */
  server: URL
  /** PEM; undefined: the system's roots. */
  ca?: string
  /** Instead of `ca`, asked before every request. */
  caProvider?: () => string
  serverName?: string
  /** PEM, both or neither. */
  cert?: string
  key?: string
  token?: string
  /** Asked before every request. `refresh`: the last token was refused. */
  tokenProvider?: (refresh: boolean) => string | Promise<string>
  /** Instead of cert, key, token and tokenProvider, e.g. an exec credential plugin. */
  credentialProvider?: CredentialProvider
  impersonate?: Impersonation
  userAgent: string
  /** Default 30 s. */
  timeoutMs?: number
  /** Default 512 MiB, which is what a string can hold. */
  maxAnswerBytes?: number
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

export type RemoteClient = Client & {
  /** Closes idle connections. Watches end by their own signals. */
  close: () => void
}

const CONTENT_TYPES: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** Objects are at most 3 MB on the way in; a watch line is one object. */
const MAX_WATCH_LINE = 32 * 1024 * 1024

/** Client of any Kubernetes API server. TLS is always verified. Throws on a server that is not https. */
export function createRemoteClient(options: RemoteClientOptions): RemoteClient {
  const connection = new Connection({
    server: options.server,
    credentials: credentialsOf(options),
    userAgent: options.userAgent,
    timeoutMs: options.timeoutMs ?? 30_000,
    maxAnswerBytes: options.maxAnswerBytes ?? 512 * 1024 * 1024 - 1024,
    sleep: options.sleep ?? (async (ms, signal) => await delay(ms, undefined, signal ? { signal } : {})),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.caProvider === undefined ? {} : { caProvider: options.caProvider }),
    ...(options.serverName === undefined ? {} : { serverName: options.serverName }),
    ...(options.impersonate === undefined ? {} : { impersonate: options.impersonate }),
  })
  const object = async (method: string, path: string, body?: unknown, contentType?: string): Promise<KubeObject> =>
    (await connection.call({ method, path, body, ...(contentType === undefined ? {} : { contentType }) })) as KubeObject
  return {
    get: (id, namespace, name, subresource) => object('GET', objectPath(id, namespace, name, subresource)),
    list: async (id, list = {}) =>
      listResult(await object('GET', collectionPath(id, list.namespace) + listQuery(list))),
    watch: (id, watch) => watchEvents(connection, id, watch),
    create: (id, body, write) => object('POST', createPath(id, body, write) + writeQuery(write), body),
    update: (id, body, write) =>
      object(
        'PUT',
        objectPath(id, body.metadata.namespace, body.metadata.name ?? '', write?.subresource) + writeQuery(write),
        body,
      ),
    patch: (id, namespace, name, type, patch, write) =>
      object(
        'PATCH',
        objectPath(id, namespace, name, write?.subresource) + writeQuery(write),
        patch,
        CONTENT_TYPES[type],
      ),
    delete: async (id, namespace, name, options) => {
      await object('DELETE', objectPath(id, namespace, name), deleteBody(options ?? {}))
    },
    deleteCollection: async (id, options) => {
      await object('DELETE', collectionPath(id, options.namespace) + listQuery(options), deleteBody(options))
    },
    raw: (method, path, body) => connection.call({ method, path, body }),
    close: () => connection.close(),
  }
}

function credentialsOf(options: RemoteClientOptions): CredentialProvider {
  if (options.credentialProvider !== undefined) return options.credentialProvider
  const { cert, key, token, tokenProvider } = options
  if ((cert === undefined) !== (key === undefined))
    throw new Error('a client certificate needs its key, and the key it')
  const fixed = {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(token === undefined ? {} : { token }),
  }
  if (tokenProvider === undefined) return () => fixed
  return async (refresh) => ({ ...fixed, token: await tokenProvider(refresh) })
}

function createPath(
  id: ResourceId,
  body: KubeObject,
  options: { subresource?: string; name?: string } | undefined,
): string {
  const { namespace } = body.metadata ?? {}
  if (options?.subresource === undefined || options.subresource === '') return collectionPath(id, namespace)
  return objectPath(id, namespace, options.name ?? body.metadata.name ?? '', options.subresource)
}

function deleteBody(options: DeleteOptions & ListOptions): JsonObject {
  return {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    gracePeriodSeconds: options.gracePeriodSeconds,
    propagationPolicy: options.propagationPolicy,
    preconditions: options.preconditions,
    dryRun: options.dryRun === true ? ['All'] : undefined,
  }
}

/** Items of built-in kinds come without apiVersion and kind: those of the list stand for them. */
function listResult(list: KubeObject): ListResult {
  const items = (list['items'] ?? []) as KubeObject[]
  const kind = list.kind.replace(/List$/, '')
  for (const item of items) {
    item.apiVersion ??= list.apiVersion
    item.kind ??= kind
  }
  return { items, metadata: list.metadata as ListResult['metadata'] }
}

async function* watchEvents(
  connection: Connection,
  id: ResourceId,
  options: WatchOptions,
): AsyncGenerator<ClientWatchEvent> {
  if (options.signal.aborted) return
  // A peer that is gone without a word is noticed when the watch outlives the time that the server was given.
  const guard = new AbortController()
  const signal = AbortSignal.any([options.signal, guard.signal])
  const seconds = options.timeoutSeconds
  const timer = seconds === undefined ? undefined : setTimeout(() => guard.abort(), (seconds + 30) * 1000)
  try {
    const path = collectionPath(id, options.namespace) + watchQuery(options)
    const response = await connection.stream({ method: 'GET', path, signal })
    try {
      for await (const line of lines(response, MAX_WATCH_LINE)) {
        if (signal.aborted) return
        yield parseEvent(line)
      }
    } finally {
      response.destroy()
    }
  } catch (error) {
    if (signal.aborted || isBrokenStream(error)) return
    if (error instanceof LineTooLongError) throw new UnreachableError('ServiceUnavailable', error.message, error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function parseEvent(line: string): ClientWatchEvent {
  try {
    return JSON.parse(line) as ClientWatchEvent
  } catch (error) {
    throw new UnreachableError('ServiceUnavailable', 'a line of the watch is not JSON', error)
  }
}

/** The connection broke while the watch was running: an end like any other, the caller watches again. */
function isBrokenStream(error: unknown): boolean {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return name !== 'UnreachableError' && typeof code === 'string' && /^(ECONN|EPIPE|ERR_STREAM|ETIMEDOUT)/.test(code)
}
