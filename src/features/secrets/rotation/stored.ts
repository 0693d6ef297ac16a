import { REGISTRY } from '../../../kernel/apiserver/cache/watch-cache.ts'
import type { KeyValue, Store } from '../../../kernel/store/store.ts'
import { BUILT_IN, kmsHeader } from '../encryption/index.ts'

const PAGE = 500

/**
 * All stored objects as they are while it reads, page by page. Not one revision: what changes meanwhile was written
 * with the keys of now.
 */
export async function* storedPages(store: Store, signal?: AbortSignal): AsyncGenerator<readonly KeyValue[]> {
  const end = `${REGISTRY.slice(0, -1)}0`
  let key = REGISTRY
  for (;;) {
    signal?.throwIfAborted()
    const page = await store.range({ key, end, limit: PAGE })
    if (page.kvs.length > 0) yield page.kvs
    if (!page.more) return
    key = `${page.kvs.at(-1)!.key}\0`
  }
}

/** Whether the store holds a value that only the local key file's keys can read. */
export async function holdsLocalValues(store: Store): Promise<boolean> {
  const header = Buffer.from(kmsHeader(BUILT_IN))
  for await (const page of storedPages(store))
    if (page.some(({ value }) => header.compare(value, 0, Math.min(header.length, value.length)) === 0)) return true
  return false
}

/** `secrets`, `deployments.apps`: the resource that a storage key belongs to; the key itself when it fits none. */
export function resourceOfKey(storageKey: string): string {
  const [group, resource] = storageKey.slice(REGISTRY.length).split('/')
  if (!group || !resource) return storageKey
  return group === 'core' ? resource : `${resource}.${group}`
}
