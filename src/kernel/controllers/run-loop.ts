import type { Informer } from '../controller/informer.ts'
import { whenSynced } from '../controller/informer.ts'
import { type Reconcile, runReconciler } from '../controller/reconciler.ts'
import type { WorkQueue } from '../controller/workqueue.ts'
import type { Log } from '../feature.ts'

export type LoopOptions = {
  informers: readonly Informer[]
  queue: WorkQueue
  reconcile: Reconcile
  workers?: number
  log: Log
}

/**
 * The body of most controllers: informers feed the queue, and once they have synced the workers reconcile. Resolves when
 * the signal has aborted and everything has stopped; rejects (and stops everything) when one part fails.
 */
export async function runLoop(options: LoopOptions, signal: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const own = AbortSignal.any([signal, stop.signal])
  const reconciling = async (): Promise<void> => {
    if (!(await whenSynced(options.informers, own))) return
    await runReconciler({
      queue: options.queue,
      reconcile: options.reconcile,
      workers: options.workers ?? 2,
      signal: own,
      log: options.log,
    })
  }
  const parts = [...options.informers.map((informer) => informer.run(own)), reconciling()]
  try {
    await Promise.all(parts)
  } finally {
    stop.abort()
    await Promise.allSettled(parts)
  }
}
