import type { KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, conflict, invalid, notFound, type Status } from '../../api/status.ts'
import type { Entry } from '../cache/entry.ts'
import type { ApiCore, Caller } from '../core.ts'
import type { Kind } from '../kind.ts'
import { admissionRequest } from './admission-request.ts'
import { cacheKey, put, remove } from './commit.ts'
import { isoSeconds, unsaved } from './create.ts'
import { type ListPage, type ListParameters, list } from './list.ts'
import { current, inTurn, isFinished, MODIFIED } from './update.ts'

export type DeleteParameters = {
  dryRun: boolean
  gracePeriodSeconds?: number
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  preconditions?: { uid?: string; resourceVersion?: string }
  /** DeleteOptions, for webhooks. */
  options: KubeObject | undefined
  /** Admission has passed already, as something else than this DELETE (Eviction). */
  admitted?: boolean
}

/** metav1.DeleteOptions from body or query, checked. */
export function parseDeleteOptions(body: KubeObject | undefined, query: URLSearchParams): DeleteParameters {
  const source: Record<string, unknown> = { ...(body ?? {}) }
  for (const name of ['gracePeriodSeconds', 'propagationPolicy', 'orphanDependents'] as const) {
    const value = query.get(name)
    if (value === null || source[name] !== undefined) continue
    source[name] =
      name === 'gracePeriodSeconds'
        ? Number(value || Number.NaN)
        : name === 'orphanDependents'
          ? value === 'true'
          : value
  }
  const grace = source['gracePeriodSeconds']
  const policy = source['propagationPolicy']
  const orphan = source['orphanDependents']
  if (grace !== undefined && (typeof grace !== 'number' || !Number.isInteger(grace)))
    throw badRequest('gracePeriodSeconds must be an integer')
  if (orphan !== undefined && policy !== undefined)
    throw invalidOptions('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set')
  if (policy !== undefined && policy !== 'Orphan' && policy !== 'Background' && policy !== 'Foreground')
    throw invalid('meta.k8s.io', 'DeleteOptions', '', [
      {
        type: 'FieldValueNotSupported',
        field: 'propagationPolicy',
        value: policy,
        detail: 'supported values: "Foreground", "Background", "Orphan"',
      },
    ])
  const dryRun = isDryRun(source['dryRun'], query, 'DeleteOptions')
  if (dryRun) source['dryRun'] = ['All']
  return {
    dryRun,
    ...(grace === undefined ? {} : { gracePeriodSeconds: Math.max(0, grace as number) }),
    ...(policy === undefined
      ? orphan === undefined
        ? {}
        : { propagationPolicy: orphan ? 'Orphan' : 'Background' }
      : { propagationPolicy: policy }),
    ...(source['preconditions']
      ? { preconditions: source['preconditions'] as { uid?: string; resourceVersion?: string } }
      : {}),
    options: { ...source, kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' } as unknown as KubeObject,
  }
}

function invalidOptions(field: string, value: unknown, detail: string): ApiError {
  return invalid('meta.k8s.io', 'DeleteOptions', '', [{ type: 'FieldValueInvalid', field, value, detail }])
}

/** `dryRun` takes exactly `All`. */
export function isDryRun(fromBody: unknown, query: URLSearchParams, optionsKind: string): boolean {
  const values = [...query.getAll('dryRun'), ...(Array.isArray(fromBody) ? fromBody : [])]
  if (values.length === 0) return false
  if (values.some((v) => v !== 'All'))
    throw invalid('meta.k8s.io', optionsKind, '', [
      { type: 'FieldValueNotSupported', field: 'dryRun', value: values, detail: 'supported values: "All"' },
    ])
  return true
}

export type DeleteResult = { entry: Entry; removed: boolean }

/**
 * Deletes at once, or — with grace or finalizers — marks the object and leaves the removal to whoever clears the last
 * finalizer.
 */
export async function deleteOne(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  name: string,
  parameters: DeleteParameters,
  caller: Caller,
): Promise<DeleteResult> {
  const { definition } = kind
  return inTurn(core, kind.prefix + cacheKey(namespace, name), async () => {
    for (let attempt = 1; ; attempt++) {
      const entry = await current(core, kind, namespace, name)
      if (entry === undefined) throw notFound(definition.group, definition.plural, name)
      const result = await attemptDelete(core, kind, entry, parameters, caller)
      if (result !== undefined) return result
      if (attempt === 8) throw conflict(definition.group, definition.plural, name, MODIFIED)
    }
  })
}

async function attemptDelete(
  core: ApiCore,
  kind: Kind,
  entry: Entry,
  parameters: DeleteParameters,
  caller: Caller,
): Promise<DeleteResult | undefined> {
  const old = kind.read(entry)
  checkPreconditions(kind, old, parameters)
  if (!parameters.admitted) await admit(core, kind, entry, old, parameters, caller)

  const marked = markForDeletion(core, kind, kind.read(entry), parameters)
  if (marked === undefined || isFinished(marked)) {
    if (parameters.dryRun) return { entry, removed: true }
    return (await remove(core, kind, entry)) ? { entry, removed: true } : undefined
  }
  if (JSON.stringify(marked) === JSON.stringify(old)) return { entry, removed: false }
  if (parameters.dryRun) return { entry: unsaved(kind, marked), removed: false }
  const written = await put(core, kind, marked, entry.revision)
  return written === undefined ? undefined : { entry: written, removed: false }
}

async function admit(
  core: ApiCore,
  kind: Kind,
  { namespace, name }: Entry,
  oldObject: KubeObject,
  parameters: DeleteParameters,
  caller: Caller,
): Promise<void> {
  const request = admissionRequest(
    'DELETE',
    kind,
    { namespace, name, object: undefined, oldObject },
    { dryRun: parameters.dryRun, options: parameters.options ?? optionsOf(parameters) },
    caller,
  )
  const mutating = core.admission.mutate(request)
  if (mutating) await mutating
  const validating = core.admission.validate(request)
  if (validating) await validating
}

/** DeleteOptions of a delete that came from within the server. */
function optionsOf({ dryRun, gracePeriodSeconds, propagationPolicy, preconditions }: DeleteParameters): KubeObject {
  return {
    kind: 'DeleteOptions',
    apiVersion: 'meta.k8s.io/v1',
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(preconditions === undefined ? {} : { preconditions }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(dryRun ? { dryRun: ['All'] } : {}),
  } as unknown as KubeObject
}

function checkPreconditions(kind: Kind, old: KubeObject, { preconditions }: DeleteParameters): void {
  const fail = (what: string, wanted: string, actual: string | undefined): never => {
    throw conflict(
      kind.definition.group,
      kind.definition.plural,
      old.metadata.name!,
      `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${actual}`,
    )
  }
  if (preconditions?.uid && preconditions.uid !== old.metadata.uid) fail('UID', preconditions.uid, old.metadata.uid)
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== old.metadata.resourceVersion)
    fail('ResourceVersion', preconditions.resourceVersion, old.metadata.resourceVersion)
}

const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

function finalizersFor(old: string[], policy: DeleteParameters['propagationPolicy']): string[] {
  if (policy === undefined) return old
  const others = old.filter((f) => f !== FOREGROUND && f !== ORPHAN)
  if (policy === 'Foreground') return [...others, FOREGROUND]
  return policy === 'Orphan' ? [...others, ORPHAN] : others
}

/** A hundred years: longer graces (an int64 of seconds) end at times that no client can read. */
const MAX_GRACE_SECONDS = 100 * 365 * 24 * 3600

/** Undefined: nothing holds the object back, remove it. */
function markForDeletion(
  core: ApiCore,
  kind: Kind,
  object: KubeObject,
  parameters: DeleteParameters,
): KubeObject | undefined {
  const meta = object.metadata
  const strategy = kind.definition.strategy
  if (meta.deletionTimestamp === undefined)
    strategy?.prepareForDelete?.(object, { now: core.clock.now(), subresource: '', user: '' })
  const finalizers = finalizersFor(meta.finalizers ?? [], parameters.propagationPolicy)
  if (finalizers.length > 0) meta.finalizers = finalizers
  else delete meta.finalizers
  const byDefault = strategy?.gracePeriodSeconds?.(object) ?? 0
  const wanted =
    strategy?.gracePeriodSeconds === undefined || byDefault === 0 ? 0 : (parameters.gracePeriodSeconds ?? byDefault)
  const grace = Math.min(wanted, MAX_GRACE_SECONDS)
  const isNamespace = object.kind === 'Namespace' && object.apiVersion === 'v1'
  const waits = finalizers.length > 0 || grace > 0 || (isNamespace && (object.spec?.finalizers ?? []).length > 0)
  if (!waits) return undefined
  if (meta.deletionTimestamp !== undefined) {
    // A second delete may only shorten the grace.
    if ((meta.deletionGracePeriodSeconds ?? 0) > grace) {
      const started = Date.parse(meta.deletionTimestamp) - (meta.deletionGracePeriodSeconds ?? 0) * 1000
      meta.deletionTimestamp = isoSeconds(started + grace * 1000)
      meta.deletionGracePeriodSeconds = grace
    }
    return object
  }
  meta.deletionTimestamp = isoSeconds(core.clock.now() + grace * 1000)
  meta.deletionGracePeriodSeconds = grace
  if (meta.generation !== undefined && meta.generation > 0) meta.generation += 1
  if (isNamespace) object.status = { ...object.status, phase: 'Terminating' }
  return object
}

/** The answer to a DELETE whose object is gone. */
export function deletedStatus(kind: Kind, entry: Entry): Status {
  const uid = entry.shared().metadata.uid
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: entry.name,
      ...(kind.definition.group === '' ? {} : { group: kind.definition.group }),
      kind: kind.definition.plural,
      ...(uid === undefined ? {} : { uid }),
    },
    code: 200,
  }
}

/** Deletes what a list finds, one by one; what vanishes meanwhile counts as deleted. Returns the list as it was. */
export async function deleteCollection(
  core: ApiCore,
  kind: Kind,
  selection: ListParameters,
  parameters: DeleteParameters,
  caller: Caller,
): Promise<ListPage> {
  const page = await list(core.cache, core.store, kind, selection)
  const pending = [...page.entries]
  const workers = Array.from({ length: Math.min(16, pending.length) }, async () => {
    for (let entry = pending.shift(); entry !== undefined; entry = pending.shift()) {
      if (caller.signal.aborted) throw new ApiError('Timeout', 'the request ended before everything was deleted')
      try {
        await deleteOne(core, kind, entry.namespace, entry.name, parameters, caller)
      } catch (error) {
        if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error
      }
    }
  })
  await Promise.all(workers)
  return page
}
