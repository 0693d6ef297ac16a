export { nodes } from './feature.ts'
export { nodeIdentity } from './identity.ts'
export { CLUSTER_CIDR } from './lifecycle/cluster-cidr.ts'
