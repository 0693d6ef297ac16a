import type { KubeObject } from '../../../kernel/api/object.ts'
import { createInformer, whenSynced } from '../../../kernel/controller/informer.ts'
import { sleep, systemTimers, type Timers } from '../../../kernel/controller/timers.ts'
import { ifFound, unless } from '../../../kernel/controllers/api-errors.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import { NODES, PODS } from '../resource-ids.ts'

/** A machine's Node may be made anew: its pods wait this long. */
const QUARANTINE_MS = 40_000
const PERIOD_MS = 10_000

export type OrphanedPodsOptions = { timers?: Timers; quarantineMs?: number; periodMs?: number }

/** Deletes pods whose machine no longer exists: nobody else would ever finish them (kube-controller-manager's pod GC). */
export function orphanedPods(options: OrphanedPodsOptions = {}): ControllerFactory {
  const { timers = systemTimers, quarantineMs = QUARANTINE_MS, periodMs = PERIOD_MS } = options
  return ({ client, log }) => ({
    name: 'orphaned-pods',
    run: async (signal) => {
      const nodes = createInformer({ client, resource: NODES, log })
      const pods = createInformer({ client, resource: PODS, log })
      /** Missing machine → when it was first missed. */
      const missed = new Map<string, number>()

      const sweep = async (): Promise<void> => {
        const orphans = new Map<string, KubeObject[]>()
        for (const pod of pods.store.list()) {
          const node = pod['spec']?.nodeName as string | undefined
          if (!node || nodes.store.get(node) !== undefined) continue
          orphans.set(node, [...(orphans.get(node) ?? []), pod])
        }
        for (const node of missed.keys()) if (!orphans.has(node)) missed.delete(node)
        for (const [node, list] of orphans) {
          const since = missed.get(node)
          if (since === undefined) missed.set(node, timers.monotonic())
          else if (timers.monotonic() - since >= quarantineMs) await remove(node, list)
        }
      }

      const remove = async (node: string, orphans: readonly KubeObject[]): Promise<void> => {
        // The memory of this process may be behind.
        if ((await ifFound(client.get(NODES, '', node))) !== undefined) return
        for (const { metadata } of orphans) {
          const uid = metadata.uid!
          log('info', `pod ${metadata.namespace}/${metadata.name} is deleted: its node ${node} is gone`)
          await unless(
            client.delete(PODS, metadata.namespace!, metadata.name!, { gracePeriodSeconds: 0, preconditions: { uid } }),
            'NotFound',
            'Conflict',
          )
        }
      }

      const running = [nodes, pods].map((informer) => informer.run(signal))
      if (await whenSynced([nodes, pods], signal))
        while (!signal.aborted) {
          await sweep().catch((error: Error) => {
            if (!signal.aborted) log('warn', `orphaned pods: ${error.message}`)
          })
          await sleep(timers, periodMs, signal)
        }
      await Promise.all(running)
    },
  })
}
