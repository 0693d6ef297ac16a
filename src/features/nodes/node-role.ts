import { once } from 'node:events'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { ResourceId } from '../../kernel/client/client.ts'
import { sleep, systemTimers } from '../../kernel/controller/timers.ts'
import type { ControllerFactory } from '../../kernel/feature.ts'
import { NODES_GROUP } from './identity.ts'

const GROUP = 'rbac.authorization.k8s.io'
const NAME = 'rampart:node'
const rbac = (resource: string): ResourceId => ({ group: GROUP, version: 'v1', resource })
const RETRY_MS = 5_000

/**
 * What machines may do beyond Kubernetes' Node authorizer: read each other's Node, for routes and tunnels between pods.
 * Made where it is missing, and put right when Rampart starts; visible and revocable as any RBAC.
 */
export const nodeRole: ControllerFactory = ({ client, log }) => ({
  name: 'node-role',
  run: async (signal) => {
    const metadata = { name: NAME, labels: { 'app.kubernetes.io/managed-by': 'rampart' } }
    const objects: [ResourceId, object][] = [
      [
        rbac('clusterroles'),
        {
          apiVersion: `${GROUP}/v1`,
          kind: 'ClusterRole',
          metadata,
          rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] }],
        },
      ],
      [
        rbac('clusterrolebindings'),
        {
          apiVersion: `${GROUP}/v1`,
          kind: 'ClusterRoleBinding',
          metadata,
          roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name: NAME },
          subjects: [{ apiGroup: GROUP, kind: 'Group', name: NODES_GROUP }],
        },
      ],
    ]
    while (!signal.aborted) {
      try {
        for (const [id, object] of objects)
          await client.patch(id, '', NAME, 'apply', object as KubeObject, { fieldManager: 'rampart', force: true })
        await once(signal, 'abort')
      } catch (error) {
        if (signal.aborted) return
        log('warn', `${NAME}: ${(error as Error).message}; trying again`)
        await sleep(systemTimers, RETRY_MS, signal)
      }
    }
  },
})
