import type { Json, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, invalid } from '../../api/status.ts'
import type { WriteParameters } from '../core.ts'
import type { FieldValidation, Kind } from '../kind.ts'
import { create, refuseWhileTerminating } from '../verbs/create.ts'
import { deleteCollection, deletedStatus, deleteOne, isDryRun, parseDeleteOptions } from '../verbs/delete.ts'
import { PATCH_TYPES, type PatchKind, patch, refuseUnknown } from '../verbs/patch.ts'
import { update } from '../verbs/update.ts'
import { readBody } from './body.ts'
import { decodeBody, mediaType, requireObject } from './decode.ts'
import { encodeList } from './encode.ts'
import { decodeDeleteOptions } from './foreign-body.ts'
import {
  encodeContext,
  listParameters,
  methodNotAllowed,
  namespaceOf,
  type ResourceRequest,
  responseOptions,
  sendEntry,
  sendObject,
} from './resource-request.ts'
import { sendChunks } from './respond.ts'

function fieldValidationOf(query: URLSearchParams, optionsKind: string): FieldValidation {
  const value = query.get('fieldValidation')
  if (value === null || value === '') return 'Warn'
  if (value === 'Ignore' || value === 'Warn' || value === 'Strict') return value
  throw invalid('meta.k8s.io', optionsKind, '', [
    {
      type: 'FieldValueNotSupported',
      field: 'fieldValidation',
      value,
      detail: 'supported values: "Ignore", "Strict", "Warn"',
    },
  ])
}

export function writeParameters(
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
  const dryRun = isDryRun(undefined, query, optionsKind)
  const fieldValidation = fieldValidationOf(query, optionsKind)
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

/** Reads the body; a big one waits until it may be worked on. */
async function admittedBody(r: ResourceRequest): Promise<Buffer> {
  const bytes = await readBody(r.req)
  const waiting = r.onBody(bytes.length)
  if (waiting) await waiting
  return bytes
}

export async function readValue(r: ResourceRequest): Promise<{ value: Json; duplicates: readonly string[] }> {
  const decoded = decodeBody(mediaType(r.req), await admittedBody(r))
  r.onRequestObject?.(decoded.value)
  return decoded
}

/** Body → object of this kind, with unknown and duplicate fields handled as fieldValidation says. */
export async function readObject(
  r: ResourceRequest,
  kind: Kind,
  fieldValidation: FieldValidation,
): Promise<KubeObject> {
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

export async function createVerb(r: ResourceRequest): Promise<void> {
  if (r.info.name !== '') throw methodNotAllowed()
  refuseWhileTerminating(r.kind)
  const parameters = writeParameters(r, 'CreateOptions')
  const object = await readObject(r, r.kind, parameters.fieldValidation)
  const { entry } = await create(r.core, r.kind, namespaceOf(r), object, parameters, r.caller)
  return sendEntry(r, 201, entry)
}

export async function updateVerb(r: ResourceRequest, subresource: string): Promise<void> {
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

export function patchKind(r: ResourceRequest): PatchKind {
  const media = mediaType(r.req)
  if (Object.hasOwn(PATCH_TYPES, media)) return PATCH_TYPES[media as keyof typeof PATCH_TYPES]
  throw new ApiError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${Object.keys(PATCH_TYPES).join(', ')}`,
  )
}

export async function patchVerb(r: ResourceRequest, subresource: string): Promise<void> {
  const type = patchKind(r)
  const { value, duplicates } = await readPatch(r)
  const parameters = {
    ...writeParameters(r, 'PatchOptions'),
    type,
    force: r.info.query.get('force') === 'true',
    complaints: type === 'json' ? jsonPatchComplaints(value, duplicates) : duplicates,
  }
  if (type === 'apply' && duplicates.length > 0) {
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

const OPERATION_FIELDS = new Set(['op', 'path', 'from', 'value'])
/** sigs.k8s.io/json stops collecting there. */
const MAX_COMPLAINTS = 100

/** Repeated and unknown fields of JSON patch operations, in the words of the PATCH handler. */
function jsonPatchComplaints(patch: Json, duplicates: readonly string[]): string[] {
  const complaints = duplicates.map((text) => `json patch ${text}`)
  if (!Array.isArray(patch)) return complaints
  for (const [i, operation] of patch.entries()) {
    if (complaints.length >= MAX_COMPLAINTS) break
    if (operation === null || typeof operation !== 'object' || Array.isArray(operation)) continue
    for (const key of Object.keys(operation))
      if (!OPERATION_FIELDS.has(key)) complaints.push(`json patch unknown field ${JSON.stringify(`[${i}].${key}`)}`)
  }
  return complaints.slice(0, MAX_COMPLAINTS)
}

export async function readPatch(r: ResourceRequest): Promise<{ value: Json; duplicates: readonly string[] }> {
  const media = mediaType(r.req)
  const bytes = await admittedBody(r)
  const decoded = decodeBody(media === 'application/apply-patch+yaml' ? media : 'application/json', bytes)
  r.onRequestObject?.(decoded.value)
  return decoded
}

async function readDeleteOptions(r: ResourceRequest): Promise<ReturnType<typeof parseDeleteOptions>> {
  const bytes = await admittedBody(r)
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

export async function deleteVerb(r: ResourceRequest): Promise<void> {
  const options = await readDeleteOptions(r)
  const { entry, removed } = await deleteOne(r.core, r.kind, namespaceOf(r), r.info.name, options, r.caller)
  const { definition } = r.kind
  if (!removed || (definition.group === '' && RETURNS_OBJECT.has(definition.plural))) return sendEntry(r, 200, entry)
  return sendObject(r, 200, deletedStatus(r.kind, entry))
}

export async function deleteCollectionVerb(r: ResourceRequest): Promise<void> {
  const options = await readDeleteOptions(r)
  const page = await deleteCollection(r.core, r.kind, listParameters(r), options, r.caller)
  r.beforeHead()
  const context = encodeContext(r)
  return sendChunks(r.res, 200, encodeList(r.kind, page, context), responseOptions(r, context.accepted.media))
}
