import type { KubeObject } from '../../api/object.ts'
import type { Client } from '../../client/client.ts'
import { createInformer } from '../../controller/informer.ts'
import type { ReconcileResult } from '../../controller/reconciler.ts'
import { WorkQueue } from '../../controller/workqueue.ts'
import type { ControllerFactory } from '../../feature.ts'
import { ifFound, isReason, unless } from '../api-errors.ts'
import type { ControllerOptions } from '../options.ts'
import { NAMESPACES } from '../resource-ids.ts'
import { runLoop } from '../run-loop.ts'
import { nextConditions } from './conditions.ts'
import { deleteContent } from './content.ts'

const FINALIZER = 'kubernetes'
/** Content that does not go at once waits for someone's finalizer; looking costs one list for each kind. */
const LOOK_AGAIN_MS = 1000
const LOOK_AGAIN_MAX_MS = 15_000

/**
 * Empties namespaces that are being deleted, tells in their conditions what holds them up, and takes the finalizer
 * `kubernetes` from their spec when nothing is left.
 */
export function namespaceDeletion(options: ControllerOptions = {}): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'namespace-deletion',
    run: async (signal) => {
      const timing = {
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      }
      const queue = new WorkQueue(timing)
      const namespaces = createInformer({ client, resource: NAMESPACES, log, ...timing })
      const passes = new Map<string, number>()
      const enqueue = (namespace: KubeObject): void => {
        if (namespace.metadata.deletionTimestamp !== undefined) queue.add(namespace.metadata.name!)
      }
      namespaces.addHandler({
        onAdd: enqueue,
        // Our own writes of the status are no reason to look again.
        onUpdate: (namespace, old) => {
          const begins = old.metadata.deletionTimestamp === undefined
          const finalizers = JSON.stringify(old['spec']?.finalizers) !== JSON.stringify(namespace['spec']?.finalizers)
          if (begins || finalizers) enqueue(namespace)
        },
        onDelete: (namespace) => void passes.delete(namespace.metadata.name!),
      })
      const reconcile = async (name: string): Promise<ReconcileResult | undefined> => {
        const left = await deletePass(client, name, () => clock.now())
        if (left === undefined) {
          passes.delete(name)
          return undefined
        }
        const pass = passes.get(name) ?? 0
        passes.set(name, pass + 1)
        const patience = Math.min(LOOK_AGAIN_MAX_MS, LOOK_AGAIN_MS * 2 ** Math.min(pass, 10))
        return { requeueAfterMs: left.graceSeconds > 0 ? Math.min(patience, left.graceSeconds * 500 + 1000) : patience }
      }
      await runLoop({ informers: [namespaces], queue, reconcile, workers: 4, log }, signal)
    },
  })
}

/** undefined when there is nothing more to do, otherwise how long pods may take. */
async function deletePass(
  client: Client,
  name: string,
  now: () => number,
): Promise<{ graceSeconds: number } | undefined> {
  const namespace = await ifFound(client.get(NAMESPACES, '', name))
  if (namespace === undefined || namespace.metadata.deletionTimestamp === undefined) return undefined
  const finalizers = (namespace['spec']?.finalizers ?? []) as string[]
  if (!finalizers.includes(FINALIZER)) {
    if (finalizers.length === 0) await removeFinalized(client, namespace)
    return undefined
  }
  const pass = await deleteContent(client, name)
  const time = new Date(now()).toISOString().replace(/\.\d+Z$/, 'Z')
  const done = pass.remaining.size + pass.contentFailures.length + pass.discoveryFailures.length === 0
  if (!done || namespace['status']?.conditions !== undefined) await writeStatus(client, namespace, pass, time)
  if (!done) return pass
  await finalize(client, name)
  return undefined
}

async function writeStatus(
  client: Client,
  namespace: KubeObject,
  pass: Parameters<typeof nextConditions>[1],
  time: string,
): Promise<void> {
  const status = namespace['status'] ?? {}
  const conditions = nextConditions(status.conditions ?? [], pass, time)
  if (conditions === undefined && status.phase === 'Terminating') return
  const changed = {
    ...namespace,
    status: { ...status, phase: 'Terminating', conditions: conditions ?? status.conditions },
  }
  await unless(client.update(NAMESPACES, changed, { subresource: 'status' }), 'NotFound', 'Conflict')
}

async function finalize(client: Client, name: string): Promise<void> {
  for (;;) {
    const current = await ifFound(client.get(NAMESPACES, '', name))
    if (current === undefined || current.metadata.deletionTimestamp === undefined) return
    const finalizers = ((current['spec']?.finalizers ?? []) as string[]).filter((finalizer) => finalizer !== FINALIZER)
    const finalized = { ...current, spec: { ...current['spec'], finalizers } }
    try {
      await client.update(NAMESPACES, finalized, { subresource: 'finalize' })
      return
    } catch (error) {
      if (isReason(error, 'NotFound')) return
      if (!isReason(error, 'Conflict')) throw error
    }
  }
}

/** An API server removes it with the last finalizer; one that did not is told again. */
async function removeFinalized(client: Client, namespace: KubeObject): Promise<void> {
  const { name, uid } = namespace.metadata
  await unless(client.delete(NAMESPACES, '', name!, { preconditions: { uid: uid! } }), 'NotFound', 'Conflict')
}
