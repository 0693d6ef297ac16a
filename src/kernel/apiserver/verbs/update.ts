import type { Json, JsonObject, KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, conflict, invalid, notFound } from '../../api/status.ts'
import { jsonEqual } from '../../merge/json-value.ts'
import { withPlainNumbers } from '../../resources/typed/plain-numbers.ts'
import { pauses } from '../big-work.ts'
import { cloneObject, type Entry } from '../cache/entry.ts'
import type { ApiCore, Caller, WriteParameters } from '../core.ts'
import { managerName } from '../core.ts'
import type { Kind } from '../kind.ts'
import { admissionRequest } from './admission-request.ts'
import { cacheKey, put, remove, storageKey } from './commit.ts'
import { bindNamespace, create, isoSeconds, unsaved, type WriteResult } from './create.ts'

/** Tries of a write that names no resourceVersion before it gives up with Conflict. */
const ATTEMPTS = 8

export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again'

/**
 * One after the other per object: patches of one object wait for each other in memory, where retrying against the store
 * would make all but one of them do their work again.
 */
const turns = new WeakMap<ApiCore, Map<string, Promise<unknown>>>()

export async function inTurn<T>(core: ApiCore, key: string, work: () => Promise<T>): Promise<T> {
  let map = turns.get(core)
  if (map === undefined) turns.set(core, (map = new Map()))
  const before = map.get(key)
  const mine = before === undefined ? work() : before.then(work, work)
  map.set(key, mine)
  try {
    return await mine
  } finally {
    if (map.get(key) === mine) map.delete(key)
  }
}

/** The newest state that this server knows, looked up again in the store when the caller knows a newer one. */
export async function current(core: ApiCore, kind: Kind, namespace: string, name: string): Promise<Entry | undefined> {
  await core.cache.fresh()
  return core.cache.resource(kind.prefix).get(cacheKey(namespace, name))
}

export type Change = {
  subresource: string
  /** The new object from the state that is current; may be called again when somebody else wrote in between. */
  make: (old: KubeObject) => KubeObject | Promise<KubeObject>
  /** Sets ownership of fields; default: an Update by the caller's manager. */
  own?: (old: KubeObject, object: KubeObject) => KubeObject
  /** The kind of subresource writes that may not touch anything but status does this itself. */
  skipReset?: boolean
  /**
   * Validating admission of a change that is shown to it as something else than the object (Scale), or was admitted
   * before (Binding); mutating admission is then `make`'s affair.
   */
  admit?: (object: KubeObject, old: KubeObject) => void | Promise<void>
}

/**
 * Changes an existing object: ownership, mutating admission, validation, validating admission, compare-and-write;
 * again on a lost race unless the new object names a resourceVersion.
 */
export async function change(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  what: Change,
  parameters: WriteParameters,
  caller: Caller,
): Promise<WriteResult> {
  const { definition } = kind
  return inTurn(core, kind.prefix + cacheKey(namespace, name), async () => {
    for (let attempt = 1; ; attempt++) {
      const entry = await current(core, kind, namespace, name)
      if (entry === undefined) throw notFound(definition.group, definition.plural, name)
      const result = await attemptChange(core, kind, entry, what, parameters, caller)
      if (result !== undefined) return { entry: result, created: false }
      if (attempt === ATTEMPTS) throw conflict(definition.group, definition.plural, name, MODIFIED)
    }
  })
}

async function attemptChange(
  core: ApiCore,
  kind: Kind,
  entry: Entry,
  what: Change,
  parameters: WriteParameters,
  caller: Caller,
): Promise<Entry | undefined> {
  const { definition } = kind
  const { strategy } = definition
  const pause = pauses(Math.max(caller.bodyBytes ?? 0, entry.bytes.length))
  const old = kind.read(entry)
  const now = core.clock.now()
  let object = await what.make(kind.read(entry))
  if (pause) await pause()
  checkIdentity(kind, object, old)
  object.metadata.resourceVersion = old.metadata.resourceVersion

  kind.applyDefaults(object)
  if (pause) await pause()
  object = what.own
    ? what.own(old, object)
    : kind
        .fieldManager(what.subresource)
        .update(old, object, managerName(parameters.fieldManager, caller.userAgent), isoSeconds(now))
  if (!what.skipReset) resetForSubresource(kind, object, old, what.subresource)

  const request = admissionRequest(
    'UPDATE',
    kind,
    { subresource: what.subresource, namespace: entry.namespace, name: entry.name, object, oldObject: old },
    parameters,
    caller,
  )
  if (pause) await pause()
  const mutating = what.admit ? undefined : core.admission.mutate(request)
  if (mutating) await mutating
  if (request.object !== object && !what.skipReset) resetForSubresource(kind, request.object!, old, what.subresource)
  object = request.object!
  const context = { now, subresource: what.subresource, user: caller.user.name, userInfo: caller.user }
  strategy?.prepareForUpdate?.(object, old, context)
  if (strategy?.hasGeneration) object.metadata.generation = nextGeneration(kind, object, old, what.subresource)
  if (pause) await pause()
  const errors = kind.validateUpdate(object, old, context)
  if (errors.length > 0) throw invalid(definition.group, definition.kind, entry.name, dedupe(errors))
  if (pause) await pause()
  for (const warning of strategy?.warnings?.(withPlainNumbers(object), withPlainNumbers(old)) ?? [])
    caller.warn(warning)
  const validating = what.admit ? what.admit(object, old) : core.admission.validate(request)
  if (validating) await validating
  if (pause) await pause()

  if (jsonEqual(object as Json, old as Json) && !(await isStoredStale(core, kind, entry))) return entry
  if (parameters.dryRun) return unsaved(kind, object)
  if (isFinished(object)) {
    if (!(await remove(core, kind, entry))) return undefined
    return unsaved(kind, object)
  }
  return put(core, kind, object, entry.revision)
}

function dedupe<T>(errors: T[]): T[] {
  const seen = new Set<string>()
  return errors.filter((e) => {
    const key = JSON.stringify(e)
    return !seen.has(key) && seen.add(key)
  })
}

function checkIdentity(kind: Kind, object: KubeObject, old: KubeObject): void {
  const { definition } = kind
  const meta = object.metadata
  const name = old.metadata.name!
  if (meta.uid && meta.uid !== old.metadata.uid)
    throw conflict(
      definition.group,
      definition.plural,
      name,
      `Precondition failed: UID in precondition: ${meta.uid}, UID in object meta: ${old.metadata.uid}`,
    )
  // "0" is no version of an object: Kubernetes reads both as the number 0.
  if (!meta.resourceVersion || meta.resourceVersion === '0') {
    if (definition.strategy?.allowUnconditionalUpdate === false) throw versionMissing(definition, name)
  } else if (meta.resourceVersion !== old.metadata.resourceVersion)
    throw conflict(definition.group, definition.plural, name, MODIFIED)
  // What only the system writes comes from the stored object, whatever the request says.
  meta.uid = old.metadata.uid
  meta.creationTimestamp = old.metadata.creationTimestamp
  restore(meta, old.metadata, 'generation')
  restore(meta, old.metadata, 'deletionTimestamp')
  restore(meta, old.metadata, 'deletionGracePeriodSeconds')
  delete (meta as { selfLink?: string }).selfLink
}

/** In the registry store's words, which names the resource where others name the kind. */
function versionMissing({ group, plural }: Kind['definition'], name: string): ApiError {
  const message = 'Invalid value: 0x0: must be specified for an update'
  const field = 'metadata.resourceVersion'
  const of = group === '' ? plural : `${plural}.${group}`
  return new ApiError('Invalid', `${of} "${name}" is invalid: ${field}: ${message}`, {
    name,
    group: group || undefined,
    kind: plural,
    causes: [{ reason: 'FieldValueInvalid', message, field }],
  })
}

function restore<T extends object>(target: T, source: T, field: keyof T): void {
  if (source[field] === undefined) delete target[field]
  else target[field] = source[field]
}

/** Status writes change only status; other writes never change it. */
function resetForSubresource(kind: Kind, object: KubeObject, old: KubeObject, subresource: string): void {
  if (subresource === 'status') {
    for (const field of Object.keys(object))
      if (field !== 'status' && field !== 'metadata' && field !== 'kind' && field !== 'apiVersion') delete object[field]
    for (const field of Object.keys(old)) if (field !== 'status' && field !== 'metadata') object[field] = old[field]
    if (kind.definition.custom) {
      const { managedFields } = object.metadata
      object.metadata = { ...old.metadata, ...(managedFields ? { managedFields } : {}) }
    }
  } else if (subresource === '' && kind.subresource('status') !== undefined) restore(object, old, 'status')
}

function nextGeneration(kind: Kind, object: KubeObject, old: KubeObject, subresource: string): number {
  const before = old.metadata.generation ?? 1
  // A custom kind without the status subresource has no field of that meaning.
  const hasStatus = !kind.definition.custom || kind.subresource('status') !== undefined
  if (!jsonEqual(counted(object, hasStatus), counted(old, hasStatus))) return before + 1
  if (kind.definition.strategy?.generationCountsAnnotations !== true || subresource !== '') return before
  return jsonEqual(object.metadata.annotations ?? {}, old.metadata.annotations ?? {}) ? before : before + 1
}

/** What changes of are counted in metadata.generation. */
function counted(object: KubeObject, hasStatus: boolean): JsonObject {
  const { metadata: _metadata, ...rest } = object
  if (hasStatus) delete rest['status']
  return rest
}

/** An object that waits for its deletion and has nothing left to wait for. */
export function isFinished(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata
  if (deletionTimestamp === undefined || finalizers.length > 0 || deletionGracePeriodSeconds > 0) return false
  if (object.kind === 'Namespace' && object.apiVersion === 'v1') return (object.spec?.finalizers ?? []).length === 0
  return true
}

/** PUT: replaces, or creates where the kind allows it. */
export async function update(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  body: KubeObject,
  subresource: string,
  parameters: WriteParameters,
  caller: Caller,
): Promise<WriteResult> {
  const { definition } = kind
  bindNamespace(kind, body, namespace)
  if (!body.metadata.name) body.metadata.name = name
  if (body.metadata.name !== name)
    throw badRequest(`the name of the object (${body.metadata.name}) does not match the name on the URL (${name})`)
  const version = body.metadata.resourceVersion
  if (version && !/^\d+$/.test(version))
    throw invalid(definition.group, definition.kind, name, [
      {
        type: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        value: version,
        detail: 'must be an unsigned integer',
      },
    ])
  if (definition.strategy?.allowCreateOnUpdate && subresource === '') {
    const entry = await current(core, kind, namespace, name)
    if (entry === undefined && (!version || version === '0')) {
      await caller.authorizeCreate()
      delete body.metadata.resourceVersion
      return create(core, kind, namespace, body, parameters, caller)
    }
  }
  return change(core, kind, namespace, name, { subresource, make: () => cloneObject(body) }, parameters, caller)
}
/** k8s.io/apiserver GuaranteedUpdate: what was stored with an older key is written again, though nothing has changed. */
async function isStoredStale({ store, transformer }: ApiCore, kind: Kind, entry: Entry): Promise<boolean> {
  if (transformer.isStale === undefined) return false
  const key = storageKey(kind, entry.namespace, entry.name)
  const { kvs } = await store.range({ key })
  const stored = kvs[0]
  return stored !== undefined && transformer.isStale(stored.value, key)
}
