import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Json } from '../../api/object.ts'
import { ApiError, badRequest } from '../../api/status.ts'
import type { ApiCore } from '../core.ts'
import type { Kind } from '../kind.ts'
import { isTrue, type RequestInfo } from '../request-info.ts'
import type { WriteResult } from '../verbs/create.ts'
import type { ListParameters } from '../verbs/list.ts'
import type { VirtualHandlers } from '../virtual.ts'
import type { RequestCaller } from './caller.ts'
import { checkForm, type EncodeContext, encodeObject, type IncludeObject } from './encode.ts'
import { type Form, negotiate } from './negotiate.ts'
import { type ResponseOptions, sendBytes, sendChunks } from './respond.ts'

export type ResourceRequest = {
  core: ApiCore
  virtual: VirtualHandlers
  info: Extract<RequestInfo, { isResource: true }>
  kind: Kind
  req: IncomingMessage
  res: ServerResponse
  caller: RequestCaller
  /** Called once the body is read: a big one has to wait its turn, or is refused. */
  onBody: (bytes: number) => Promise<void> | undefined
  /** Called once the body is decoded, where audit wants it. */
  onRequestObject: ((object: Json) => void) | undefined
  onResponseObject: ((bytes: Buffer) => void) | undefined
  /** Called when a watch is open, with what ends it at shutdown. */
  onLongRunning: (stop: () => void) => void
  /** Sends the warnings that were collected; called right before the head goes out. */
  beforeHead: () => void
}

export function methodNotAllowed(): ApiError {
  return new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource')
}

export function unknownPath(): ApiError {
  return new ApiError('NotFound', 'the server could not find the requested resource')
}

export function namespaceOf({ kind, info }: ResourceRequest): string {
  return kind.definition.namespaced ? info.namespace : ''
}

export function encodeContext(r: ResourceRequest, forms?: readonly Form[]): EncodeContext {
  const include = r.info.query.get('includeObject')
  if (include !== null && include !== '' && include !== 'None' && include !== 'Metadata' && include !== 'Object')
    throw badRequest(`unrecognized includeObject value: ${JSON.stringify(include)}`)
  return {
    accepted: negotiate(r.req.headers.accept, forms),
    includeObject: (include || 'Metadata') as IncludeObject,
    now: r.core.clock.now(),
  }
}

export function responseOptions(r: ResourceRequest, media: 'json' | 'yaml'): ResponseOptions {
  const pretty = r.info.query.get('pretty')
  const agent = r.req.headers['user-agent'] ?? ''
  return {
    acceptEncoding: r.req.headers['accept-encoding'] as string | undefined,
    media,
    pretty: pretty === null ? /^(curl|Wget|Mozilla)\//.test(agent) : isTrue(pretty),
  }
}

export async function sendEntry(
  r: ResourceRequest,
  code: number,
  entry: WriteResult['entry'],
  kind: Kind = r.kind,
): Promise<void> {
  const context = encodeContext(r)
  checkForm(kind, context)
  const bytes = encodeObject(kind, entry, context)
  r.onResponseObject?.(bytes)
  r.beforeHead()
  const options = responseOptions(r, context.accepted.media)
  if (!options.pretty && options.media === 'json' && bytes.length < 128 * 1024) return sendBytes(r.res, code, bytes)
  return sendChunks(r.res, code, [bytes], options)
}

export async function sendObject(r: ResourceRequest, code: number, object: object): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(object))
  r.onResponseObject?.(bytes)
  r.beforeHead()
  return sendChunks(r.res, code, [bytes], responseOptions(r, negotiate(r.req.headers.accept).media))
}

export function numberParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`${name} must be an integer, not ${JSON.stringify(text)}`)
  return Number(text)
}

export function listParameters(r: ResourceRequest): ListParameters {
  const { query, name } = r.info
  const limit = numberParameter(query, 'limit')
  const selection: ListParameters = { namespace: namespaceOf(r) }
  if (limit !== undefined) selection.limit = limit
  for (const key of [
    'labelSelector',
    'fieldSelector',
    'continue',
    'resourceVersion',
    'resourceVersionMatch',
  ] as const) {
    const value = query.get(key)
    if (value !== null && value !== '') selection[key] = value
  }
  if (name !== '') {
    const one = `metadata.name=${name}`
    if (selection.fieldSelector !== undefined && selection.fieldSelector !== one)
      throw badRequest('both a name in the path and a field selector were given')
    selection.fieldSelector = one
  }
  return selection
}
