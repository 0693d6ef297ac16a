import { ApiError } from '../api/status.ts'
import type { Log } from '../feature.ts'
import type { WorkQueue } from './workqueue.ts'

/** Look at this key again after so many milliseconds, though nothing has changed. */
export type ReconcileResult = { requeueAfterMs: number }

export type Reconcile =
  | ((key: string, signal: AbortSignal) => Promise<ReconcileResult | undefined>)
  | ((key: string, signal: AbortSignal) => Promise<void>)

export type ReconcilerOptions = {
  queue: WorkQueue
  /** Brings one key from actual to desired state. A rejection is logged, and the key comes again with back-off. */
  reconcile: Reconcile
  workers: number
  signal: AbortSignal
  log: Log
}

/** Runs until the signal aborts, and resolves when the last worker has finished what it was doing. */
export async function runReconciler(options: ReconcilerOptions): Promise<void> {
  const { queue, signal } = options
  const stop = (): void => queue.shutDown()
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  await Promise.all(Array.from({ length: options.workers }, () => work(options)))
}

async function work({ queue, reconcile, signal, log }: ReconcilerOptions): Promise<void> {
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    try {
      const result = await reconcile(key, signal)
      queue.forget(key)
      if (typeof result === 'object') queue.addAfter(key, result.requeueAfterMs)
    } catch (error) {
      queue.addRateLimited(key)
      if (!signal.aborted) logFailure(log, key, queue.failures(key), error as Error)
    } finally {
      queue.done(key)
    }
  }
}

/** A conflict only says that the cache was behind: the next try sees the newer object. */
function logFailure(log: Log, key: string, failures: number, error: Error): void {
  const expected = error instanceof ApiError && error.reason === 'Conflict'
  log(expected && failures < 5 ? 'debug' : 'warn', `${key}: ${error.message}; trying again`, { key, failures })
}
