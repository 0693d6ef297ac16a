import type { Store } from '../../../kernel/store/store.ts'
import type { EncryptionAtRest, Protection } from '../encryption/index.ts'
import type { Unreadable } from './rewrite.ts'
import { resourceOfKey, storedPages } from './stored.ts'

/** How many objects of one resource one key protects. */
export type KeyUsage = Pick<Protection, 'provider' | 'name' | 'keyId'> & {
  resource: string
  objects: number
  /** Of them, those that would be written otherwise today. */
  stale: number
  /** Data keys among them (kms). */
  dataKeys: number
  /** When the object that was not written for longest was; milliseconds since the epoch. */
  oldestWrite?: number
  /** When the oldest data key was made. */
  oldestDataKey?: number
}

export type Survey = { usage: KeyUsage[]; unreadable: Unreadable[] }

/**
 * Reads every stored value: which key protects how many objects of which resource, and what cannot be read. The time of
 * a write is the newest time in the object's managed fields, or its creation.
 */
export async function survey(store: Store, encryption: EncryptionAtRest, signal?: AbortSignal): Promise<Survey> {
  const found = new Map<string, KeyUsage & { seen: Set<string> }>()
  const unreadable: Unreadable[] = []
  for await (const page of storedPages(store, signal))
    for (const { key, value } of page) {
      let protection: Protection
      let written: number | undefined
      let stale: boolean
      try {
        protection = encryption.protectionOf(value)
        stale = encryption.isStale(value, key)
        written = writeTime(await encryption.fromStorage(value, key), key)
      } catch (error) {
        unreadable.push({ key, error: (error as Error).message })
        continue
      }
      const { provider, name, keyId, dataKey, dataKeyCreated } = protection
      const resource = resourceOfKey(key)
      const id = JSON.stringify([provider, name, keyId, resource])
      let usage = found.get(id)
      if (usage === undefined) {
        usage = {
          provider,
          name,
          ...(keyId !== undefined && { keyId }),
          resource,
          objects: 0,
          stale: 0,
          dataKeys: 0,
          seen: new Set(),
        }
        found.set(id, usage)
      }
      usage.objects++
      if (stale) usage.stale++
      if (dataKey !== undefined) usage.seen.add(dataKey)
      usage.oldestWrite = earlier(usage.oldestWrite, written)
      usage.oldestDataKey = earlier(usage.oldestDataKey, dataKeyCreated)
    }
  const usage = [...found.values()].map(({ seen, oldestWrite, oldestDataKey, ...rest }) => ({
    ...rest,
    dataKeys: seen.size,
    ...(oldestWrite !== undefined && { oldestWrite }),
    ...(oldestDataKey !== undefined && { oldestDataKey }),
  }))
  return { usage: usage.sort((a, b) => (order(a) < order(b) ? -1 : 1)), unreadable }
}

const order = (u: KeyUsage): string =>
  `${u.provider === 'identity' ? 1 : 0}/${u.provider}/${u.name}/${u.keyId}/${u.resource}`

const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || (b !== undefined && b < a) ? b : a

type Stored = {
  metadata?: { name?: string; namespace?: string; creationTimestamp?: string; managedFields?: { time?: string }[] }
}

/** Throws when the value is not the object that its key names. */
function writeTime(plain: Uint8Array, key: string): number | undefined {
  let object: Stored
  try {
    object = JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString('utf8')) as Stored
  } catch {
    throw new Error(`${key} does not hold an object`) // the parser's message would quote it
  }
  const { name, namespace, creationTimestamp, managedFields = [] } = object.metadata ?? {}
  if (!key.endsWith(namespace ? `/${namespace}/${name}` : `/${name}`))
    throw new Error(`${key} holds an object of another name`)
  const times = [creationTimestamp, ...managedFields.map((entry) => entry.time)]
    .map((time) => Date.parse(time ?? ''))
    .filter((time) => !Number.isNaN(time))
  return times.length === 0 ? undefined : Math.max(...times)
}
