import { createInformer } from '../../kernel/controller/informer.ts'
import { runReconciler } from '../../kernel/controller/reconciler.ts'
import { WorkQueue } from '../../kernel/controller/workqueue.ts'
import type { ControllerFactory } from '../../kernel/feature.ts'
import { aggregatedRules, isAggregated, sameRules } from './aggregation.ts'
import { CLUSTER_ROLES } from './resource-ids.ts'

const FIELD_MANAGER = 'clusterrole-aggregation-controller'

/**
 * Keeps the rules of ClusterRoles that have an aggregationRule equal to what their selectors gather. Any change of any
 * ClusterRole may concern any aggregated one, so all of them are looked at; only real differences are written.
 */
export const clusterRoleAggregation: ControllerFactory = ({ client, log }) => ({
  name: 'clusterrole-aggregation',
  run: async (signal) => {
    const queue = new WorkQueue()
    const informer = createInformer({ client, resource: CLUSTER_ROLES, log })
    const enqueue = (): void => {
      for (const role of informer.store.list()) if (isAggregated(role)) queue.add(role.metadata.name!)
    }
    informer.addHandler({ onAdd: enqueue, onUpdate: enqueue, onDelete: enqueue })

    const reconcile = async (name: string): Promise<void> => {
      const role = informer.store.get(name)
      if (role === undefined || !isAggregated(role)) return
      const rules = aggregatedRules(role, informer.store.list())
      if (sameRules(role['rules'], rules)) return
      const { resourceVersion } = role.metadata
      // With the version that was read: a conflict brings the key again with what is there by then.
      await client.patch(
        CLUSTER_ROLES,
        '',
        name,
        'merge',
        { metadata: { resourceVersion }, rules },
        { fieldManager: FIELD_MANAGER },
      )
    }
    const running = informer.run(signal)
    await Promise.race([informer.synced(), running])
    await runReconciler({ queue, reconcile, workers: 1, signal, log })
    await running
  },
})
