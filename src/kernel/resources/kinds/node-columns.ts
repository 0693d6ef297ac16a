import type { KubeObject } from '../../api/object.ts'
import type { TableColumn } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import type { NodeSpec, NodeStatus } from './node-types.ts'

/** How a node looks in a table (pkg/printers/internalversion, printNode). */

const ROLE_PREFIX = 'node-role.kubernetes.io/'
const statusOf = (node: KubeObject): NodeStatus => (node['status'] ?? {}) as NodeStatus

function statusCell(node: KubeObject): string {
  const ready = statusOf(node).conditions?.find((c) => c.type === 'Ready')
  const status = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return (node['spec'] as NodeSpec | undefined)?.unschedulable ? `${status},SchedulingDisabled` : status
}

/** From labels `node-role.kubernetes.io/ROLE` and `kubernetes.io/role=ROLE`. */
function rolesCell(node: KubeObject): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    const role = key.startsWith(ROLE_PREFIX) ? key.slice(ROLE_PREFIX.length) : key === 'kubernetes.io/role' ? value : ''
    if (role !== '') roles.add(role)
  }
  return roles.size === 0 ? '<none>' : [...roles].sort().join(',')
}

const address =
  (type: string) =>
  (node: KubeObject): string =>
    statusOf(node).addresses?.find((a) => a.type === type)?.address || '<none>'

const info =
  (field: 'osImage' | 'kernelVersion' | 'containerRuntimeVersion') =>
  (node: KubeObject): string =>
    statusOf(node).nodeInfo?.[field] || '<unknown>'

export const nodeColumns: readonly TableColumn[] = [
  nameColumn,
  column('Status', 'string', 'Whether the node is ready, and whether it takes new pods.', statusCell),
  column('Roles', 'string', 'Roles that the labels give to the node.', rolesCell),
  ageColumn,
  column('Version', 'string', 'Version of the kubelet.', (node) => statusOf(node).nodeInfo?.kubeletVersion ?? ''),
  column('Internal-IP', 'string', 'Address inside the cluster.', address('InternalIP'), 1),
  column('External-IP', 'string', 'Address from outside.', address('ExternalIP'), 1),
  column('OS-Image', 'string', 'Operating system, as the node names it.', info('osImage'), 1),
  column('Kernel-Version', 'string', 'Version of the kernel.', info('kernelVersion'), 1),
  column('Container-Runtime', 'string', 'Runtime and its version.', info('containerRuntimeVersion'), 1),
]
