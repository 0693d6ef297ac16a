import type { KeyValue, Store } from '../../../kernel/store/store.ts'
import type { EncryptionAtRest } from '../encryption/index.ts'
import { storedPages } from './stored.ts'

export type Unreadable = { key: string; error: string }

export type RewriteProgress = {
  /** Stale values found when it began. */
  total: number
  rewritten: number
  /** Values that somebody else wrote, and thereby renewed, or deleted meanwhile. */
  overtaken: number
  /** Left as they are. */
  unreadable: Unreadable[]
}

export type RewriteOptions = {
  store: Store
  encryption: EncryptionAtRest
  /** Stops between values; what was rewritten stays so, and another run goes on from there. */
  signal?: AbortSignal
  onProgress?: (progress: RewriteProgress) => void
  /** Writes under way at once: they share the store's syncs. */
  concurrency?: number
}

const CONCURRENCY = 64

/**
 * Rewrites every stored value that today's configuration and keys would write otherwise (Kubernetes: storage
 * migration). Each value is replaced only if nobody has changed it since it was read, so that the API stays in use
 * meanwhile; what a crash leaves undone is still stale, and the next run finds it. Objects get a new resourceVersion.
 * Rejects with what the store or a key service refuses, and with the signal's reason.
 */
export async function rewriteStale(options: RewriteOptions): Promise<RewriteProgress> {
  const { store, encryption, signal, onProgress = () => undefined, concurrency = CONCURRENCY } = options
  const progress: RewriteProgress = { total: 0, rewritten: 0, overtaken: 0, unreadable: [] }
  for await (const page of storedPages(store, signal)) progress.total += page.filter(isStale).length
  onProgress(progress)

  for await (const page of storedPages(store, signal)) {
    const stale = page.filter(isStale)
    let next = 0
    const work = async (): Promise<void> => {
      for (let kv = stale[next++]; kv !== undefined; kv = stale[next++]) {
        signal?.throwIfAborted()
        await renew(kv)
      }
    }
    // All end before an error goes on: none may still write behind the caller's back.
    const ended = await Promise.allSettled(Array.from({ length: Math.min(concurrency, stale.length) }, work))
    for (const end of ended) if (end.status === 'rejected') throw end.reason
    if (stale.length > 0) onProgress(progress)
  }
  return progress

  function isStale(kv: KeyValue): boolean {
    try {
      return encryption.isStale(kv.value, kv.key)
    } catch {
      return true // a header that makes no sense: reading it will say what is wrong
    }
  }

  async function renew(first: KeyValue): Promise<void> {
    for (let kv: KeyValue | undefined = first; ; ) {
      let plain: Uint8Array
      try {
        plain = await encryption.fromStorage(kv.value, kv.key)
      } catch (error) {
        progress.unreadable.push({ key: kv.key, error: (error as Error).message })
        return
      }
      const value = await encryption.toStorage(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength), kv.key)
      const { succeeded } = await store.txn({
        compare: [{ key: kv.key, modRevision: kv.modRevision }],
        success: [{ type: 'put', key: kv.key, value }],
      })
      if (succeeded) {
        progress.rewritten++
        return
      }
      kv = (await store.range({ key: kv.key })).kvs[0]
      if (kv === undefined || !isStale(kv)) {
        progress.overtaken++
        return
      }
    }
  }
}
