import { setTimeout as sleep } from 'node:timers/promises'
import type { ControllerFactory } from '../kernel/feature.ts'
import { CompactedError, type Store } from '../kernel/store/store.ts'

/** History is kept at least this long and at most twice as long, as kube-apiserver keeps it. */
const INTERVAL_MS = 5 * 60_000

/** Forgets the past of an etcd that nobody else compacts: what was current one interval ago. */
export function historyCompaction(store: Store, intervalMs: number = INTERVAL_MS): ControllerFactory {
  return ({ log }) => ({
    name: 'history-compaction',
    run: async (signal) => {
      let previous = 0
      while (!signal.aborted) {
        try {
          const now = await store.revision()
          if (previous > 0) await store.compact(previous)
          previous = now
        } catch (error) {
          if (!(error instanceof CompactedError))
            log('warn', 'history could not be compacted', { error: (error as Error).message })
        }
        await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => undefined)
      }
    },
  })
}
