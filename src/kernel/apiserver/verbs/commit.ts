import type { KubeObject } from '../../api/object.ts'
import { ApiError, alreadyExists } from '../../api/status.ts'
import { qualifiedResource } from '../../resources/definition.ts'
import { StoreError, type TxnResult } from '../../store/store.ts'
import { Entry, serializeForStorage, withResourceVersion } from '../cache/entry.ts'
import type { ApiCore } from '../core.ts'
import type { Kind } from '../kind.ts'

export function storageKey(kind: Kind, namespace: string, name: string): string {
  return kind.prefix + cacheKey(namespace, name)
}

export function cacheKey(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

/** The largest object that is stored: etcd's request limit of 1.5 MiB, for both stores. */
const MAX_OBJECT_BYTES = 1.5 * 1024 * 1024

/**
 * Writes the object if its key is still at `expected` (0: must not exist). Returns undefined when somebody else was
 * faster. Resolves when the write is durable and every reader of this server sees it.
 */
export async function put(
  core: ApiCore,
  kind: Kind,
  written: KubeObject,
  expected: number,
): Promise<Entry | undefined> {
  const { namespace = '', name = '' } = written.metadata
  const key = storageKey(kind, namespace, name)
  const object = kind.toStored(written)
  const plain = serializeForStorage(object)
  if (plain.length > MAX_OBJECT_BYTES)
    throw new ApiError(
      'RequestEntityTooLarge',
      `the object has ${plain.length} bytes, at most ${MAX_OBJECT_BYTES} can be stored`,
    )
  let value: Buffer
  try {
    const transformed = core.transformer.toStorage(plain, key)
    value = transformed instanceof Promise ? await transformed : transformed
  } catch (error) {
    throw new ApiError('InternalError', `Internal error occurred: nothing was written: ${(error as Error).message}`)
  }
  core.cache.announce(value, object, plain)
  const result = await txn(core, key, expected, { type: 'put', key, value })
  if (!result.succeeded) return undefined
  const cached = core.cache.resource(kind.prefix).get(cacheKey(namespace, name))
  if (cached !== undefined && cached.revision === result.revision) return cached
  object.metadata.resourceVersion = String(result.revision)
  return new Entry(cacheKey(namespace, name), result.revision, withResourceVersion(plain, result.revision), object)
}

/** Removes the object if it is still at `expected`. False when somebody else was faster. */
export async function remove(core: ApiCore, kind: Kind, entry: Entry): Promise<boolean> {
  const key = storageKey(kind, entry.namespace, entry.name)
  return (await txn(core, key, entry.revision, { type: 'delete', key })).succeeded
}

type WriteOperation = { type: 'put'; key: string; value: Uint8Array } | { type: 'delete'; key: string }

async function txn(core: ApiCore, key: string, expected: number, operation: WriteOperation): Promise<TxnResult> {
  try {
    const result = await core.store.txn({ compare: [{ key, modRevision: expected }], success: [operation] })
    await core.cache.waitFor(result.succeeded ? result.revision : 0)
    return result
  } catch (error) {
    throw storeFailure(error)
  }
}

/** What a client is told when the store cannot do it. */
export function storeFailure(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error
  switch (error.code) {
    case 'too-large':
      return new ApiError('RequestEntityTooLarge', error.message)
    case 'unavailable':
    case 'closed':
      return new ApiError('ServiceUnavailable', `the store cannot be reached: ${error.message}`, {
        retryAfterSeconds: 1,
      })
    case 'no-space':
      return new ApiError(
        'InternalError',
        `the store has no space left, nothing was written: ${error.message}`,
        undefined,
        507,
      )
    default:
      return new ApiError('InternalError', `the store failed: ${error.message}`)
  }
}

export function duplicateName(kind: Kind, name: string): ApiError {
  return alreadyExists(kind.definition.group, kind.definition.plural, name)
}

export function describe(kind: Kind, name: string): string {
  return `${qualifiedResource(kind.definition)} "${name}"`
}
