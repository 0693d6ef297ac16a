import type { GroupVersionKind, Json, KubeObject } from '../../api/object.ts'
import { ApiError, notFound } from '../../api/status.ts'
import { cloneObject } from '../cache/entry.ts'
import type { FieldValidation } from '../kind.ts'
import { CONNECT, connect } from '../subresources/connect.ts'
import { patchScale } from '../subresources/patch-scale.ts'
import { scaleOf, withScale } from '../subresources/scale.ts'
import { SCALE, scaleAdmission } from '../subresources/scale-admission.ts'
import { createVirtual } from '../subresources/virtual-create.ts'
import { change, current } from '../verbs/update.ts'
import { decodeForeign } from './foreign-body.ts'
import { negotiate } from './negotiate.ts'
import { get, listVerb, watchVerb } from './reads.ts'
import { methodNotAllowed, namespaceOf, type ResourceRequest, sendObject, unknownPath } from './resource-request.ts'
import {
  createVerb,
  deleteCollectionVerb,
  deleteVerb,
  patchKind,
  patchVerb,
  readObject,
  readPatch,
  readValue,
  updateVerb,
  writeParameters,
} from './writes.ts'

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

async function handleSubresource(r: ResourceRequest): Promise<void> {
  const { info, kind } = r
  const subresource = kind.subresource(info.subresource)
  if (subresource === undefined || info.name === '') throw unknownPath()
  const virtual = `${info.group}/${info.resource}/${info.subresource}`
  if (r.virtual.has(virtual)) return virtualCreate(r, virtual)
  if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed()
  if (CONNECT.has(info.subresource)) return connect(r)
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
  const { namespace, name } = info
  const request = { core, kind: r.kind, namespace, name, body, dryRun: parameters.dryRun, caller: r.caller }
  return sendObject(r, 201, await createVirtual(handler, info.subresource, request, parameters))
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
  if (info.verb === 'get') {
    const entry = await current(core, kind, namespace, info.name)
    if (entry === undefined) throw notFound(kind.definition.group, kind.definition.plural, info.name)
    return sendObject(r, 200, scaleOf(kind, kind.view(entry)))
  }
  const parameters = writeParameters(r, info.verb === 'patch' ? 'PatchOptions' : 'UpdateOptions')
  const admission = scaleAdmission(core, kind, namespace, info.name, parameters, caller)
  let written: (old: KubeObject) => KubeObject
  if (info.verb === 'patch') {
    const type = patchKind(r)
    if (type === 'apply') throw new ApiError('UnsupportedMediaType', 'apply is not supported on the scale subresource')
    const { value } = await readPatch(r)
    written = (old) => decodeForeign(patchScale(type, old, value) as Json, [], SCALE, parameters.fieldValidation).object
  } else {
    const body = await readForeign(r, SCALE, parameters.fieldValidation)
    written = () => cloneObject(body)
  }
  const make = async (old: KubeObject): Promise<KubeObject> =>
    withScale(kind, old, await admission.mutate(written(scaleOf(kind, old)), scaleOf(kind, old)))
  const what = { subresource: 'scale', make, admit: admission.validate }
  const { entry } = await change(core, kind, namespace, info.name, what, parameters, caller)
  return sendObject(r, 200, scaleOf(kind, kind.view(entry)))
}
