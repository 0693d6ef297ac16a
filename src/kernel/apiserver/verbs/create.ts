import { randomBytes, randomUUID } from 'node:crypto'
import type { KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, invalid } from '../../api/status.ts'
import { withPlainNumbers } from '../../resources/typed/plain-numbers.ts'
import { pauses } from '../big-work.ts'
import { Entry } from '../cache/entry.ts'
import type { ApiCore, Caller, WriteParameters } from '../core.ts'
import { managerName } from '../core.ts'
import type { Kind } from '../kind.ts'
import { admissionRequest } from './admission-request.ts'
import { duplicateName, put } from './commit.ts'

export type WriteResult = { entry: Entry; created: boolean }

const NAME_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const GENERATED_PREFIX = 58
const GENERATE_ATTEMPTS = 8

/** Five random characters behind the prefix (k8s.io/apiserver/pkg/storage/names). */
export function generateName(prefix: string): string {
  const bytes = randomBytes(5)
  let suffix = ''
  for (const byte of bytes) suffix += NAME_ALPHABET[byte % NAME_ALPHABET.length]
  return prefix.slice(0, GENERATED_PREFIX) + suffix
}

export function isoSeconds(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}

/** Namespace of the path and of the body must agree; an empty one in the body is filled. */
export function bindNamespace(kind: Kind, object: KubeObject, namespace: string): void {
  if (!kind.definition.namespaced) {
    if (object.metadata.namespace) throw badRequest('namespace may not be set on a cluster-scoped object')
    delete object.metadata.namespace
    return
  }
  if (object.metadata.namespace && object.metadata.namespace !== namespace)
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`)
  object.metadata.namespace = namespace
}

/** What is created while its kind goes away would be lost. */
export function refuseWhileTerminating({ definition }: Kind): void {
  if (definition.terminating)
    throw new ApiError('MethodNotAllowed', 'create not allowed while custom resource definition is terminating')
}

/**
 * Creates an object: system metadata, defaults, ownership of fields, mutating admission, validation, validating
 * admission, one durable write.
 */
export async function create(
  core: ApiCore,
  kind: Kind,
  namespace: string,
  body: KubeObject,
  parameters: WriteParameters,
  caller: Caller,
  apply?: (config: KubeObject) => KubeObject,
): Promise<WriteResult> {
  const { definition } = kind
  refuseWhileTerminating(kind)
  bindNamespace(kind, body, namespace)
  // An applied configuration owns what it names, not what defaults add: it goes through the field manager first.
  let object = apply ? apply(body) : body
  const meta = object.metadata
  if (meta.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created')
  if (!meta.name && !meta.generateName && definition.stored !== false)
    throw invalid(definition.group, definition.kind, '', [
      { type: 'FieldValueRequired', field: 'metadata.name', detail: 'name or generateName is required' },
    ])
  const pause = pauses(caller.bodyBytes ?? 0)
  const now = core.clock.now()
  delete meta.deletionTimestamp
  delete meta.deletionGracePeriodSeconds
  delete meta.resourceVersion
  delete (meta as { selfLink?: string }).selfLink
  const generated = !meta.name
  if (generated) meta.name = generateName(meta.generateName ?? '')
  meta.uid = randomUUID()
  meta.creationTimestamp = isoSeconds(now)

  if (pause) await pause()
  kind.applyDefaults(object)
  if (pause) await pause()
  if (!apply) {
    const manager = managerName(parameters.fieldManager, caller.userAgent)
    object = kind.fieldManager('').update(undefined, object, manager, isoSeconds(now))
  }

  const request = admissionRequest(
    'CREATE',
    kind,
    { namespace, name: object.metadata.name ?? '', object, oldObject: undefined },
    parameters,
    caller,
  )
  if (pause) await pause()
  const mutating = core.admission.mutate(request)
  if (mutating) await mutating
  object = request.object!
  const strategy = definition.strategy
  strategy?.prepareForCreate?.(object, { now, subresource: '', user: caller.user.name, userInfo: caller.user })
  if (strategy?.hasGeneration) object.metadata.generation = 1
  if (pause) await pause()
  const errors = kind.validate(object)
  if (errors.length > 0) throw invalid(definition.group, definition.kind, object.metadata.name ?? '', errors)
  if (definition.createWarning !== undefined) caller.warn(definition.createWarning)
  if (pause) await pause()
  for (const warning of strategy?.warnings?.(withPlainNumbers(object), undefined) ?? []) caller.warn(warning)
  const validating = core.admission.validate(request)
  if (validating) await validating
  if (pause) await pause()

  for (let attempt = 1; ; attempt++) {
    if (parameters.dryRun) {
      if (core.cache.resource(kind.prefix).get(keyOf(object)) === undefined)
        return { entry: unsaved(kind, object), created: true }
    } else {
      const entry = await put(core, kind, object, 0)
      if (entry !== undefined) return { entry, created: true }
    }
    if (!generated) throw duplicateName(kind, object.metadata.name!)
    if (attempt === GENERATE_ATTEMPTS)
      throw new ApiError(
        'AlreadyExists',
        `no free name was found for generateName ${JSON.stringify(meta.generateName)}`,
        {
          name: meta.generateName,
          kind: definition.plural,
          retryAfterSeconds: 1,
        },
      )
    object.metadata.name = generateName(meta.generateName ?? '')
  }
}

function keyOf(object: KubeObject): string {
  const { namespace, name = '' } = object.metadata
  return namespace ? `${namespace}/${name}` : name
}

/** The answer to a dry run: never stored, so without a resourceVersion of its own. */
export function unsaved(kind: Kind, object: KubeObject): Entry {
  const stored = kind.toStored(object)
  return new Entry(keyOf(stored), 0, Buffer.from(JSON.stringify(stored)), stored)
}
