import type { KubeObject } from '../../../kernel/api/object.ts'
import type { AddressFamily } from './addresses.ts'
import type { Side } from './match.ts'
import { addressIn, type Pod } from './pod.ts'
import type { ClusterNetworkPolicySpec, NetworkPolicySpec } from './types.ts'

export type PodOptions = {
  labels?: Record<string, string>
  addresses?: string[]
  ports?: { name: string; containerPort: number; protocol?: string }[]
  node?: string
  hostNetwork?: boolean
  phase?: string
}

export const pod = (namespace: string, name: string, options: PodOptions = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name, labels: options.labels ?? {} },
  spec: {
    nodeName: options.node ?? 'n1',
    ...(options.hostNetwork ? { hostNetwork: true } : {}),
    containers: [{ name: 'c', ports: options.ports ?? [] }],
  },
  status: {
    phase: options.phase ?? 'Running',
    podIP: options.addresses?.[0],
    podIPs: (options.addresses ?? []).map((ip) => ({ ip })),
  },
})

export const namespace = (name: string, labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
})

export const node = (
  name: string,
  addresses: string[],
  podCIDRs: string[] = [],
  labels: Record<string, string> = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec: { podCIDR: podCIDRs[0], podCIDRs },
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
})

export const networkPolicy = (
  namespace: string,
  name: string,
  spec: NetworkPolicySpec,
  annotations: Record<string, string> = {},
): KubeObject => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { namespace, name, annotations },
  spec,
})

export const clusterNetworkPolicy = (name: string, spec: ClusterNetworkPolicySpec): KubeObject => ({
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name },
  spec,
})

/** A pod's end of a connection of one family. */
export const sideOf = (pod: Pod, family: AddressFamily): Side => ({ pod, address: addressIn(pod, family) })
