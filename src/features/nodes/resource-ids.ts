import type { ResourceId } from '../../kernel/client/client.ts'

export const PODS: ResourceId = { group: '', version: 'v1', resource: 'pods' }
export const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
export const EVENTS: ResourceId = { group: '', version: 'v1', resource: 'events' }
export const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
/** Where machines renew their Lease as a sign of life. */
export const NODE_LEASES = 'kube-node-lease'
