import type { IncomingMessage, ServerResponse } from 'node:http'
import type { GroupVersionKind, Json, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, invalid, notFound } from '../../api/status.ts'
import { checkReview } from '../compile-kind.ts'
import type { ApiCore, WriteParameters } from '../core.ts'
import type { FieldValidation, Kind } from '../kind.ts'
import { isTrue, type RequestInfo } from '../request-info.ts'
import { patchScale } from '../subresources/patch-scale.ts'
import { scaleOf, withScale } from '../subresources/scale.ts'
import { cacheKey } from '../verbs/commit.ts'
import { bindNamespace, create, type WriteResult } from '../verbs/create.ts'
import { deleteCollection, deletedStatus, deleteOne, isDryRun, parseDeleteOptions } from '../verbs/delete.ts'
import { type ListParameters, list, parseResourceVersion } from '../verbs/list.ts'
import { PATCH_TYPES, type PatchKind, patch, refuseUnknown } from '../verbs/patch.ts'
import { change, current, update } from '../verbs/update.ts'
import { watch } from '../verbs/watch.ts'
import type { VirtualHandlers } from '../virtual.ts'
import { readBody } from './body.ts'
import type { RequestCaller } from './caller.ts'
import { decodeBody, mediaType, requireObject } from './decode.ts'
import { type EncodeContext, encodeList, encodeObject, type IncludeObject } from './encode.ts'
import { decodeDeleteOptions, decodeForeign } from './foreign-body.ts'
import { type Form, negotiate } from './negotiate.ts'
import { type ResponseOptions, sendBytes, sendChunks, statusOf } from './respond.ts'
import { WatchStream } from './watch-stream.ts'

export type ResourceRequest = {
  core: ApiCore
  virtual: VirtualHandlers
  info: Extract<RequestInfo, { isResource: true }>
  kind: Kind
  req: IncomingMessage
  res: ServerResponse
  caller: RequestCaller
  /** Called once the body is decoded, where audit wants it. */
  onRequestObject: ((object: Json) => void) | undefined
  onResponseObject: ((bytes: Buffer) => void) | undefined
  /** Called when a watch is open, with what ends it at shutdown. */
  onLongRunning: (stop: () => void) => void
  /** Sends the warnings that were collected; called right before the head goes out. */
  beforeHead: () => void
}

export async function handleResource(r: ResourceRequest): Promise<void> {
  const { info, kind } = r
  checkScope(r)
  if (kind.definition.stored === false) {
    if (info.name !== '' || info.subresource !== '') throw unknownPath()
    return virtualCreate(r, `${info.group}/${info.resource}`)
  }
  if (info.subresource !== '') return handleSubresource(r)
  const verbs: readonly string[] = kind.definition.verbs ?? [
    'create',
    'delete',
    'deletecollection',
    'get',
    'list',
    'patch',
    'update',
    'watch',
  ]
  if (!verbs.includes(info.verb)) throw methodNotAllowed()
  if (info.name === '' && (info.verb === 'update' || info.verb === 'patch')) throw methodNotAllowed()
  switch (info.verb) {
    case 'get':
      return get(r)
    case 'list':
      return listVerb(r)
    case 'watch':
      return watchVerb(r)
    case 'create':
      return createVerb(r)
    case 'update':
      return updateVerb(r, '')
    case 'patch':
      return patchVerb(r, '')
    case 'delete':
      return deleteVerb(r)
    case 'deletecollection':
      return deleteCollectionVerb(r)
    default:
      throw methodNotAllowed()
  }
}

export function methodNotAllowed(): ApiError {
  return new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource')
}

/**
 * What was authorized in a namespace is served in that namespace only: an object of the cluster has no path inside one
 * (a Namespace is inside itself alone), a namespaced object none outside, except for lists and watches over all of them.
 */
function checkScope({ info, kind }: ResourceRequest): void {
  const { namespace, resource, subresource, name, verb } = info
  if (!kind.definition.namespaced) {
    if (namespace !== '' && !(resource === 'namespaces' && name === namespace)) throw unknownPath()
    return
  }
  if (namespace !== '') return
  if (subresource === '' && (verb === 'list' || verb === 'watch')) return
  throw name === '' ? methodNotAllowed() : unknownPath()
}

export function unknownPath(): ApiError {
  return new ApiError('NotFound', 'the server could not find the requested resource')
}

function namespaceOf({ kind, info }: ResourceRequest): string {
  return kind.definition.namespaced ? info.namespace : ''
}

function encodeContext(r: ResourceRequest, forms?: readonly Form[]): EncodeContext {
  const include = r.info.query.get('includeObject')
  if (include !== null && include !== '' && include !== 'None' && include !== 'Metadata' && include !== 'Object')
    throw badRequest(`unrecognized includeObject value: ${JSON.stringify(include)}`)
  return {
    accepted: negotiate(r.req.headers.accept, forms),
    includeObject: (include || 'Metadata') as IncludeObject,
    now: r.core.clock.now(),
  }
}

function responseOptions(r: ResourceRequest, media: 'json' | 'yaml'): ResponseOptions {
  const pretty = r.info.query.get('pretty')
  const agent = r.req.headers['user-agent'] ?? ''
  return {
    acceptEncoding: r.req.headers['accept-encoding'] as string | undefined,
    media,
    pretty: pretty === null ? /^(curl|Wget|Mozilla)\//.test(agent) : isTrue(pretty),
  }
}

async function sendEntry(
  r: ResourceRequest,
  code: number,
  entry: WriteResult['entry'],
  kind: Kind = r.kind,
): Promise<void> {
  const context = encodeContext(r)
  const bytes = encodeObject(kind, entry, context)
  r.onResponseObject?.(bytes)
  r.beforeHead()
  const options = responseOptions(r, context.accepted.media)
  if (!options.pretty && options.media === 'json' && bytes.length < 128 * 1024) return sendBytes(r.res, code, bytes)
  return sendChunks(r.res, code, [bytes], options)
}

async function sendObject(r: ResourceRequest, code: number, object: object): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(object))
  r.onResponseObject?.(bytes)
  r.beforeHead()
  return sendChunks(r.res, code, [bytes], responseOptions(r, negotiate(r.req.headers.accept).media))
}

async function get(r: ResourceRequest): Promise<void> {
  const { core, kind, info } = r
  const version = parseResourceVersion(info.query.get('resourceVersion') ?? undefined)
  if (version === undefined) await core.cache.fresh()
  else if (version > 0) await core.cache.waitFor(version)
  const entry = core.cache.resource(kind.prefix).get(cacheKey(namespaceOf(r), info.name))
  if (entry === undefined) throw notFound(kind.definition.group, kind.definition.plural, info.name)
  return sendEntry(r, 200, entry)
}

function numberParameter(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`${name} must be an integer, not ${JSON.stringify(text)}`)
  return Number(text)
}

function listParameters(r: ResourceRequest): ListParameters {
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

async function listVerb(r: ResourceRequest): Promise<void> {
  const context = encodeContext(r)
  const page = await list(r.core.cache, r.core.store, r.kind, listParameters(r))
  r.beforeHead()
  return sendChunks(r.res, 200, encodeList(r.kind, page, context), responseOptions(r, context.accepted.media))
}

/** Without timeoutSeconds a watch lives between 30 and 60 minutes, as kube-apiserver's default has it. */
const MIN_WATCH_SECONDS = 1800

async function watchVerb(r: ResourceRequest): Promise<void> {
  const { core, kind, info, res } = r
  const allowBookmarks = isTrue(info.query.get('allowWatchBookmarks'))
  const sendInitial = info.query.get('sendInitialEvents')
  // A list that is streamed is never a table (KEP-3157).
  const context = encodeContext(r, allowBookmarks && isTrue(sendInitial) ? ['object', 'partial'] : undefined)
  const { limit: _limit, continue: _continue, ...selection } = listParameters(r)
  const timeout = numberParameter(info.query, 'timeoutSeconds') ?? 0
  const seconds = timeout > 0 ? timeout : MIN_WATCH_SECONDS * (1 + Math.random())
  const stream = new WatchStream(res, { kind, encode: context, allowBookmarks, now: core.clock.now })

  let headSent = false
  const sendHead = (): void => {
    if (headSent) return
    headSent = true
    r.beforeHead()
    const contentType =
      context.accepted.form === 'object'
        ? 'application/json'
        : `application/json;as=${context.accepted.form === 'table' ? 'Table' : 'PartialObjectMetadata'};v=${context.accepted.metaVersion};g=meta.k8s.io`
    res.writeHead(200, {
      'Content-Type': contentType,
      'Cache-Control': 'no-cache, private',
      'Transfer-Encoding': 'chunked',
    })
    res.flushHeaders()
  }
  let cancel: () => void
  try {
    cancel = await watch(
      core.cache,
      core.store,
      kind,
      {
        ...selection,
        allowWatchBookmarks: allowBookmarks,
        ...(sendInitial === null ? {} : { sendInitialEvents: isTrue(sendInitial) }),
      },
      {
        send: (type, entry, event) => stream.send(type, entry, event),
        bookmark: (revision, end) => stream.bookmark(revision, end),
        started: (revision) => {
          sendHead()
          stream.started(revision)
        },
      },
    )
  } catch (error) {
    // Too old: Kubernetes answers such a watch with 200 and one ERROR event; a bad request stays an HTTP error.
    if (!(error instanceof ApiError) || error.reason !== 'Expired') throw error
    sendHead()
    stream.error(statusOf(error).status)
    stream.finish()
    return
  }
  stream.startBookmarks(() => core.cache.revision)
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => stream.finish(), Math.min(seconds * 1000, 2 ** 31 - 1))
    timer.unref()
    r.onLongRunning(() => stream.finish())
    // Nothing to send for long is how watches are; a reader that takes nothing of what is there is not.
    res.on('timeout', () => {
      if (res.writableLength > 0) res.destroy()
    })
    res.once('close', () => {
      clearTimeout(timer)
      cancel()
      stream.stop()
      resolve()
    })
    if (res.destroyed) res.emit('close')
  })
}

function fieldValidationOf(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation')
  if (value === null || value === '') return 'Warn'
  if (value === 'Ignore' || value === 'Warn' || value === 'Strict') return value
  throw invalid('meta.k8s.io', 'CreateOptions', '', [
    {
      type: 'FieldValueNotSupported',
      field: 'fieldValidation',
      value,
      detail: 'supported values: "Ignore", "Strict", "Warn"',
    },
  ])
}

function writeParameters(
  r: ResourceRequest,
  optionsKind: string,
): WriteParameters & { fieldValidation: FieldValidation } {
  const { query } = r.info
  const fieldManager = query.get('fieldManager') ?? ''
  if (fieldManager.length > 128)
    throw invalid('meta.k8s.io', optionsKind, '', [
      { type: 'FieldValueTooLong', field: 'fieldManager', detail: 'may not be more than 128 bytes' },
    ])
  if (/[^\x20-\x7e]/.test(fieldManager))
    throw invalid('meta.k8s.io', optionsKind, '', [
      {
        type: 'FieldValueInvalid',
        field: 'fieldManager',
        value: fieldManager,
        detail: 'should only contain printable characters',
      },
    ])
  const dryRun = isDryRun(undefined, query)
  const fieldValidation = fieldValidationOf(query)
  return {
    dryRun,
    fieldManager,
    fieldValidation,
    options: {
      kind: optionsKind,
      apiVersion: 'meta.k8s.io/v1',
      ...(dryRun ? { dryRun: ['All'] } : {}),
      ...(fieldManager === '' ? {} : { fieldManager }),
      ...(query.get('fieldValidation') ? { fieldValidation } : {}),
    } as unknown as KubeObject,
  }
}

async function readValue(r: ResourceRequest): Promise<{ value: Json; duplicates: readonly string[] }> {
  const decoded = decodeBody(mediaType(r.req), await readBody(r.req))
  r.onRequestObject?.(decoded.value)
  return decoded
}

/** Body → object of this kind, with unknown and duplicate fields handled as fieldValidation says. */
async function readObject(r: ResourceRequest, kind: Kind, fieldValidation: FieldValidation): Promise<KubeObject> {
  const { value, duplicates } = await readValue(r)
  const body = requireObject(value)
  const { definition } = kind
  if (body['kind'] === undefined || body['kind'] === '') body['kind'] = definition.kind
  if (body['apiVersion'] === undefined || body['apiVersion'] === '') body['apiVersion'] = kind.apiVersion
  if (body['kind'] !== definition.kind || body['apiVersion'] !== kind.apiVersion)
    throw badRequest(
      `${definition.kind} in version "${definition.version}" cannot be handled as a ${definition.kind}: the body is ${JSON.stringify(body['apiVersion'])} ${JSON.stringify(body['kind'])}, expected ${kind.apiVersion} ${definition.kind}`,
    )
  const { object, unknown } = kind.decode(body, fieldValidation)
  // Custom kinds are parsed before their schema is known; built-in ones are parsed by it.
  const complaints = definition.custom ? [...duplicates, ...unknown] : [...unknown, ...duplicates]
  refuseUnknown(kind, complaints, fieldValidation)
  if (fieldValidation === 'Warn') for (const text of complaints) r.caller.warn(text)
  return object
}

async function createVerb(r: ResourceRequest): Promise<void> {
  if (r.info.name !== '') throw methodNotAllowed()
  const parameters = writeParameters(r, 'CreateOptions')
  const object = await readObject(r, r.kind, parameters.fieldValidation)
  const { entry } = await create(r.core, r.kind, namespaceOf(r), object, parameters, r.caller)
  return sendEntry(r, 201, entry)
}

async function updateVerb(r: ResourceRequest, subresource: string): Promise<void> {
  const parameters = writeParameters(r, 'UpdateOptions')
  const object = await readObject(r, r.kind, parameters.fieldValidation)
  const { entry, created } = await update(
    r.core,
    r.kind,
    namespaceOf(r),
    r.info.name,
    object,
    subresource,
    parameters,
    r.caller,
  )
  return sendEntry(r, created ? 201 : 200, entry)
}

function patchKind(r: ResourceRequest): PatchKind {
  const media = mediaType(r.req)
  if (Object.hasOwn(PATCH_TYPES, media)) return PATCH_TYPES[media as keyof typeof PATCH_TYPES]
  throw new ApiError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${Object.keys(PATCH_TYPES).join(', ')}`,
  )
}

async function patchVerb(r: ResourceRequest, subresource: string): Promise<void> {
  const type = patchKind(r)
  const { value, duplicates } = await readPatch(r)
  const parameters = { ...writeParameters(r, 'PatchOptions'), type, force: r.info.query.get('force') === 'true' }
  if (duplicates.length > 0) {
    refuseUnknown(r.kind, duplicates, parameters.fieldValidation)
    if (parameters.fieldValidation === 'Warn') for (const text of duplicates) r.caller.warn(text)
  }
  const { entry, created } = await patch(
    r.core,
    r.kind,
    namespaceOf(r),
    r.info.name,
    value,
    subresource,
    parameters,
    r.caller,
  )
  return sendEntry(r, created ? 201 : 200, entry)
}

async function readPatch(r: ResourceRequest): Promise<{ value: Json; duplicates: readonly string[] }> {
  const media = mediaType(r.req)
  const bytes = await readBody(r.req)
  const decoded = decodeBody(media === 'application/apply-patch+yaml' ? media : 'application/json', bytes)
  r.onRequestObject?.(decoded.value)
  return decoded
}

async function readDeleteOptions(r: ResourceRequest): Promise<ReturnType<typeof parseDeleteOptions>> {
  const bytes = await readBody(r.req)
  if (bytes.length === 0) return parseDeleteOptions(undefined, r.info.query)
  const options = decodeDeleteOptions(decodeBody(mediaType(r.req), bytes).value)
  r.onRequestObject?.(options as unknown as Json)
  return parseDeleteOptions(options, r.info.query)
}

/** Kinds whose DELETE answers with the object that was deleted (Kubernetes' ReturnDeletedObject). */
const RETURNS_OBJECT = new Set([
  'pods',
  'services',
  'serviceaccounts',
  'podtemplates',
  'resourcequotas',
  'persistentvolumes',
  'persistentvolumeclaims',
])

async function deleteVerb(r: ResourceRequest): Promise<void> {
  const options = await readDeleteOptions(r)
  const { entry, removed } = await deleteOne(r.core, r.kind, namespaceOf(r), r.info.name, options, r.caller)
  const { definition } = r.kind
  if (!removed || (definition.group === '' && RETURNS_OBJECT.has(definition.plural))) return sendEntry(r, 200, entry)
  return sendObject(r, 200, deletedStatus(r.kind, entry))
}

async function deleteCollectionVerb(r: ResourceRequest): Promise<void> {
  const options = await readDeleteOptions(r)
  const page = await deleteCollection(r.core, r.kind, listParameters(r), options, r.caller)
  r.beforeHead()
  const context = encodeContext(r)
  return sendChunks(r.res, 200, encodeList(r.kind, page, context), responseOptions(r, context.accepted.media))
}

async function handleSubresource(r: ResourceRequest): Promise<void> {
  const { info, kind } = r
  const subresource = kind.subresource(info.subresource)
  if (subresource === undefined || info.name === '') throw unknownPath()
  const virtual = `${info.group}/${info.resource}/${info.subresource}`
  if (r.virtual.has(virtual)) return virtualCreate(r, virtual)
  if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed()
  if (info.subresource === 'scale') return scaleVerb(r)
  switch (info.verb) {
    case 'get':
      return get(r)
    case 'update':
      return updateVerb(r, info.subresource)
    case 'patch':
      return patchVerb(r, info.subresource)
    default:
      throw methodNotAllowed()
  }
}

/** POST of something that is answered, not stored. */
async function virtualCreate(r: ResourceRequest, key: string): Promise<void> {
  const { info, core } = r
  const handler = r.virtual.get(key)
  if (handler === undefined) throw unknownPath()
  if (info.verb !== 'create') throw methodNotAllowed()
  negotiate(r.req.headers.accept, ['object'])
  const parameters = writeParameters(r, 'CreateOptions')
  const wanted = info.subresource === '' ? undefined : r.kind.subresource(info.subresource)?.kind
  const body =
    wanted === undefined
      ? await readObject(r, r.kind, parameters.fieldValidation)
      : await readForeign(r, wanted, parameters.fieldValidation)
  if (wanted === undefined) {
    bindNamespace(r.kind, body, namespaceOf(r))
    checkReview(r.kind, body)
  }
  const answer = await handler({
    core,
    kind: r.kind,
    namespace: info.namespace,
    name: info.name,
    body,
    dryRun: parameters.dryRun,
    caller: r.caller,
  })
  return sendObject(r, 201, answer)
}

/** Body of a subresource whose kind is not the parent's, e.g. TokenRequest, Eviction, Binding, Scale. */
async function readForeign(
  r: ResourceRequest,
  wanted: GroupVersionKind,
  fieldValidation: FieldValidation,
): Promise<KubeObject> {
  const { value, duplicates } = await readValue(r)
  const { object, complaints } = decodeForeign(value, duplicates, wanted, fieldValidation)
  if (fieldValidation === 'Warn') for (const text of complaints) r.caller.warn(text)
  return object
}

async function scaleVerb(r: ResourceRequest): Promise<void> {
  const { core, kind, info, caller } = r
  const namespace = namespaceOf(r)
  const scaleKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' }
  if (info.verb === 'get') {
    const entry = await current(core, kind, namespace, info.name)
    if (entry === undefined) throw notFound(kind.definition.group, kind.definition.plural, info.name)
    return sendObject(r, 200, scaleOf(kind, kind.view(entry)))
  }
  const parameters = writeParameters(r, info.verb === 'patch' ? 'PatchOptions' : 'UpdateOptions')
  let make: (old: KubeObject) => KubeObject
  if (info.verb === 'patch') {
    const type = patchKind(r)
    if (type === 'apply') throw new ApiError('UnsupportedMediaType', 'apply is not supported on the scale subresource')
    const { value } = await readPatch(r)
    make = (old) => {
      const patched = patchScale(type, scaleOf(kind, old), value)
      return withScale(kind, old, decodeForeign(patched as Json, [], scaleKind, parameters.fieldValidation).object)
    }
  } else {
    const body = await readForeign(r, scaleKind, parameters.fieldValidation)
    make = (old) => withScale(kind, old, body)
  }
  const { entry } = await change(core, kind, namespace, info.name, { subresource: 'scale', make }, parameters, caller)
  return sendObject(r, 200, scaleOf(kind, kind.view(entry)))
}
