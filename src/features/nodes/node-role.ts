import { once } from 'node:events'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { ResourceId } from '../../kernel/client/client.ts'
import { sleep, systemTimers } from '../../kernel/controller/timers.ts'
import type { ControllerFactory } from '../../kernel/feature.ts'
import { BOOTSTRAPPERS_GROUP, NODES_GROUP } from './identity.ts'

const GROUP = 'rbac.authorization.k8s.io'
const ROLES: ResourceId = { group: GROUP, version: 'v1', resource: 'clusterroles' }
const BINDINGS: ResourceId = { group: GROUP, version: 'v1', resource: 'clusterrolebindings' }
const RETRY_MS = 5_000
const AUTO_APPROVED = 'system:certificates.k8s.io:certificatesigningrequests'

const role = (name: string, rules: object[]): [ResourceId, KubeObject] => [
  ROLES,
  { apiVersion: `${GROUP}/v1`, kind: 'ClusterRole', metadata: metadata(name), rules } as unknown as KubeObject,
]
const binding = (name: string, roleName: string, subject: string, kind = 'Group'): [ResourceId, KubeObject] => [
  BINDINGS,
  {
    apiVersion: `${GROUP}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: metadata(name),
    roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name: roleName },
    subjects: [{ apiGroup: GROUP, kind, name: subject }],
  } as unknown as KubeObject,
]
const metadata = (name: string): object => ({ name, labels: { 'app.kubernetes.io/managed-by': 'rampart' } })

const OBJECTS: readonly [ResourceId, KubeObject][] = [
  // Routes and tunnels between pods need to know the other machines.
  role('rampart:node', [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] }]),
  binding('rampart:node', 'rampart:node', NODES_GROUP),
  // What kubeadm grants too: a token may ask for a machine's first certificate, a machine for its next ones.
  binding('rampart:node-bootstrap', 'system:node-bootstrapper', BOOTSTRAPPERS_GROUP),
  binding('rampart:node-autoapprove-bootstrap', `${AUTO_APPROVED}:nodeclient`, BOOTSTRAPPERS_GROUP),
  binding('rampart:node-autoapprove-certificate-rotation', `${AUTO_APPROVED}:selfnodeclient`, NODES_GROUP),
  role('rampart:node-serving', [
    { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests/selfnodeserver'], verbs: ['create'] },
  ]),
  binding('rampart:node-autoapprove-serving', 'rampart:node-serving', NODES_GROUP),
  // The API server itself is asked about by kubelets, before they serve logs and streams.
  binding('rampart:kubelet-api', 'system:kubelet-api-admin', 'kube-apiserver-kubelet-client', 'User'),
]

/**
 * What machines may do beyond Kubernetes' Node authorizer, as RBAC that anybody can see and take away. Made where it is
 * missing, and put right when Rampart starts.
 */
export const nodeRole: ControllerFactory = ({ client, log }) => ({
  name: 'node-role',
  run: async (signal) => {
    while (!signal.aborted) {
      try {
        for (const [id, object] of OBJECTS)
          await client.patch(id, '', object.metadata.name!, 'apply', object, { fieldManager: 'rampart', force: true })
        if (!signal.aborted) await once(signal, 'abort')
      } catch (error) {
        if (signal.aborted) return
        log('warn', `roles of machines: ${(error as Error).message}; trying again`)
        await sleep(systemTimers, RETRY_MS, signal)
      }
    }
  },
})
