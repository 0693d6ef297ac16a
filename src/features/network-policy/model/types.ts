import type { LabelSelector } from '../../../kernel/api/selectors.ts'

export type Direction = 'ingress' | 'egress'
export const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']
export type Protocol = 'TCP' | 'UDP' | 'SCTP'
export const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']

/** Annotation of a NetworkPolicy: with the value `observe` it counts and logs what it would drop, and drops nothing. */
export const MODE_ANNOTATION = 'rampart.dev/mode'

/** networking.k8s.io/v1, as it travels; anything may be missing, and null counts as missing. */
export type NetworkPolicySpec = {
  podSelector?: LabelSelector | null
  policyTypes?: string[] | null
  ingress?: NetworkPolicyRule[] | null
  egress?: NetworkPolicyRule[] | null
}
export type NetworkPolicyRule = {
  from?: NetworkPolicyPeer[] | null
  to?: NetworkPolicyPeer[] | null
  ports?: NetworkPolicyPort[] | null
}
export type NetworkPolicyPort = { protocol?: string | null; port?: number | string | null; endPort?: number | null }
export type IPBlock = { cidr?: string; except?: string[] | null }
export type NetworkPolicyPeer = {
  podSelector?: LabelSelector | null
  namespaceSelector?: LabelSelector | null
  ipBlock?: IPBlock | null
}

/** policy.networking.k8s.io/v1alpha2. */
export type Tier = 'Admin' | 'Baseline'
export type Action = 'Accept' | 'Deny' | 'Pass'
export type NamespacedPod = { namespaceSelector?: LabelSelector | null; podSelector?: LabelSelector | null }
export type ClusterNetworkPolicyPort = { number?: number; range?: { start?: number; end?: number } }
export type ClusterNetworkPolicyProtocol = {
  tcp?: { destinationPort?: ClusterNetworkPolicyPort }
  udp?: { destinationPort?: ClusterNetworkPolicyPort }
  sctp?: { destinationPort?: ClusterNetworkPolicyPort }
  destinationNamedPort?: string
}
export type ClusterNetworkPolicyPeer = {
  namespaces?: LabelSelector | null
  pods?: NamespacedPod | null
  nodes?: LabelSelector | null
  networks?: string[] | null
  domainNames?: string[] | null
}
export type ClusterNetworkPolicyRule = {
  name?: string
  action?: string
  from?: ClusterNetworkPolicyPeer[] | null
  to?: ClusterNetworkPolicyPeer[] | null
  protocols?: ClusterNetworkPolicyProtocol[] | null
}
export type ClusterNetworkPolicySpec = {
  tier?: string
  priority?: number
  subject?: { namespaces?: LabelSelector | null; pods?: NamespacedPod | null }
  ingress?: ClusterNetworkPolicyRule[] | null
  egress?: ClusterNetworkPolicyRule[] | null
}
