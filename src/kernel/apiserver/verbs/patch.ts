import type { Json, JsonObject, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, type FieldError, invalid } from '../../api/status.ts'
import { applyJsonPatch } from '../../merge/json-patch.ts'
import { applyMergePatch } from '../../merge/merge-patch.ts'
import { applyStrategicMergePatch } from '../../merge/strategic.ts'
import { cloneObject } from '../cache/entry.ts'
import type { ApiCore, Caller, WriteParameters } from '../core.ts'
import type { FieldValidation, Kind } from '../kind.ts'
import { create, isoSeconds, type WriteResult } from './create.ts'
import { change, current } from './update.ts'

export const PATCH_TYPES = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
  'application/apply-patch+json': 'apply',
} as const

export type PatchKind = (typeof PATCH_TYPES)[keyof typeof PATCH_TYPES]

export type PatchParameters = WriteParameters & {
  type: PatchKind
  force: boolean
  fieldValidation: FieldValidation
  /** What is wrong with the patch's own text: repeated fields, unknown fields of JSON patch operations. */
  complaints?: readonly string[]
}

/** PATCH of the object or of a subresource; an apply of what does not exist creates it. */
export async function patch(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  body: Json,
  subresource: string,
  parameters: PatchParameters,
  caller: Caller,
): Promise<WriteResult> {
  if (parameters.type === 'apply') return apply(core, kind, namespace, name, body, subresource, parameters, caller)
  if (parameters.force) throw invalidPatchOptions('force', 'may not be specified for non-apply patch')
  if (parameters.type === 'strategic' && kind.definition.custom)
    throw new ApiError(
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    )
  const { type } = parameters
  let warned = false
  const make = (old: KubeObject): KubeObject => {
    const patched = applyPatch(type, old, body, kind)
    if (patched === null || typeof patched !== 'object' || Array.isArray(patched))
      throw badRequest('the patched document is not an object')
    const { object, unknown } = kind.decode(patched, parameters.fieldValidation)
    const complaints = [...(parameters.complaints ?? []), ...unknown]
    refuseUnknown(kind, complaints, parameters.fieldValidation)
    if (!warned && parameters.fieldValidation === 'Warn') for (const text of complaints) caller.warn(text)
    warned = true
    if (
      object.metadata.name !== old.metadata.name ||
      (object.metadata.namespace ?? '') !== (old.metadata.namespace ?? '')
    )
      throw invalid(kind.definition.group, kind.definition.kind, name, [
        {
          type: 'FieldValueInvalid',
          field: 'metadata.name',
          value: object.metadata.name ?? '',
          detail: 'field is immutable',
        },
      ])
    return object
  }
  return change(core, kind, namespace, name, { subresource, make }, parameters, caller)
}

export function refuseUnknown(kind: Kind, unknown: readonly string[], fieldValidation: FieldValidation): void {
  if (fieldValidation !== 'Strict' || unknown.length === 0) return
  throw badRequest(
    `${kind.definition.kind} in version "${kind.definition.version}" cannot be handled as a ${kind.definition.kind}: strict decoding error: ${unknown.join(', ')}`,
  )
}

function applyPatch(type: 'json' | 'merge' | 'strategic', old: KubeObject, body: Json, kind: Kind): Json {
  if (type === 'json') return applyJsonPatch(old as Json, body)
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw badRequest('the patch must be a JSON object')
  if (type === 'merge') return applyMergePatch(old as Json, body)
  return applyStrategicMergePatch(old, body, kind.schema, kind.schemas) as Json
}

function invalidPatchOptions(field: string, detail: string): ApiError {
  const error: FieldError =
    field === 'fieldManager'
      ? { type: 'FieldValueRequired', field, detail }
      : { type: 'FieldValueForbidden', field, detail }
  return invalid('meta.k8s.io', 'PatchOptions', '', [error])
}

async function apply(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  body: Json,
  subresource: string,
  parameters: PatchParameters,
  caller: Caller,
): Promise<WriteResult> {
  if (parameters.fieldManager === '') throw invalidPatchOptions('fieldManager', 'is required for apply patch')
  const config = decodeConfig(kind, body, namespace, name)
  const manager = kind.fieldManager(subresource)
  const merge = (live: KubeObject | undefined): KubeObject =>
    manager.apply(live, cloneObject(config), parameters.fieldManager, parameters.force, isoSeconds(core.clock.now()))
  for (let attempt = 1; ; attempt++) {
    if ((await current(core, kind, namespace, name)) === undefined && subresource === '') {
      if (config.metadata.uid || config.metadata.resourceVersion)
        throw new ApiError(
          'Conflict',
          'uid mismatch: the provided object specified uid or resourceVersion, and no existing object was found',
        )
      await caller.authorizeCreate()
      try {
        return await create(core, kind, namespace, cloneObject(config), parameters, caller, () => merge(undefined))
      } catch (error) {
        if (attempt < 3 && error instanceof ApiError && error.reason === 'AlreadyExists') continue
        throw error
      }
    }
    return change(
      core,
      kind,
      namespace,
      name,
      { subresource, make: (old) => merge(old), own: (_old, object) => object },
      parameters,
      caller,
    )
  }
}

/** Nobody can own a field that the schema does not have: fieldValidation is not asked (structured-merge-diff, typed). */
function undeclared(kind: Kind, namespace: string, name: string, unknown: readonly string[]): ApiError {
  const { group, version, kind: kindName } = kind.definition
  const fields = unknown.map((u) => `.${u.replace(/^unknown field "(.*)"$/, '$1')}: field not declared in schema`)
  const text = fields.length === 1 ? fields[0] : `errors:\n${fields.map((field) => `  ${field}`).join('\n')}`
  return badRequest(
    `failed to create typed patch object (${namespace}/${name}; ${group}/${version}, Kind=${kindName}): ${text}`,
  )
}

function decodeConfig(kind: Kind, body: Json, namespace: string, name: string): KubeObject {
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw badRequest('the applied configuration must be an object')
  const { apiVersion, kind: bodyKind } = body as JsonObject
  if (apiVersion !== kind.apiVersion || bodyKind !== kind.definition.kind)
    throw badRequest(
      `the applied configuration is ${String(apiVersion)} ${String(bodyKind)}, this path takes ${kind.apiVersion} ${kind.definition.kind}`,
    )
  const { object, unknown } = kind.decode(body, 'Strict')
  if (unknown.length > 0) throw undeclared(kind, namespace, name, unknown)
  if (object.metadata.name && object.metadata.name !== name)
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`)
  object.metadata.name = name
  if (kind.definition.namespaced) {
    if (object.metadata.namespace && object.metadata.namespace !== namespace)
      throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
    object.metadata.namespace = namespace
  }
  return object
}
