import { BlockList, isIPv6 } from 'node:net'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type {
  ClusterNetworkPolicyPeer,
  ClusterNetworkPolicyProtocol,
  ClusterNetworkPolicyRule,
  IPBlock,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from './types.ts'

/** Manifests as they are: nothing is compiled, indexed or remembered. */
export type World = { namespaces: KubeObject[]; pods: KubeObject[]; nodes: KubeObject[]; policies: KubeObject[] }
export type End = { pod?: KubeObject; address?: string }
export type Asked = { protocol: string; port: number }
type Selector = {
  matchLabels?: Record<string, string>
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}

function selects(selector: Selector, labels: Record<string, string>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = labels[key]
    if (operator === 'In' && !(value !== undefined && values.includes(value))) return false
    if (operator === 'NotIn' && value !== undefined && values.includes(value)) return false
    if (operator === 'Exists' && value === undefined) return false
    if (operator === 'DoesNotExist' && value !== undefined) return false
  }
  return true
}

const labelsOf = (object: KubeObject): Record<string, string> => object.metadata.labels ?? {}

function namespaceLabels(world: World, name: string): Record<string, string> {
  const found = world.namespaces.find((namespace) => namespace.metadata.name === name)
  return { ...(found ? labelsOf(found) : {}), 'kubernetes.io/metadata.name': name }
}

const isPeer = (pod: KubeObject | undefined): pod is KubeObject =>
  pod !== undefined && !pod['spec'].hostNetwork && !['Succeeded', 'Failed'].includes(pod['status'].phase)

function inCidr(address: string | undefined, cidr: string): boolean {
  if (address === undefined) return false
  const [network, prefix] = cidr.split('/') as [string, string]
  if (isIPv6(address) !== isIPv6(network)) return false
  const list = new BlockList()
  list.addSubnet(network, Number(prefix), isIPv6(network) ? 'ipv6' : 'ipv4')
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

const inBlock = (address: string | undefined, { cidr, except }: IPBlock): boolean =>
  inCidr(address, cidr!) && !(except ?? []).some((text) => inCidr(address, text))

function podSelected(
  world: World,
  pod: KubeObject | undefined,
  namespaceSelector: Selector,
  podSelector: Selector,
): boolean {
  if (!isPeer(pod)) return false
  return (
    selects(namespaceSelector, namespaceLabels(world, pod.metadata.namespace!)) && selects(podSelector, labelsOf(pod))
  )
}

function peerMatches(world: World, peer: NetworkPolicyPeer, policyNamespace: string, { pod, address }: End): boolean {
  if (peer.ipBlock) return inBlock(address, peer.ipBlock)
  if (peer.namespaceSelector) return podSelected(world, pod, peer.namespaceSelector, peer.podSelector ?? {})
  return isPeer(pod) && pod.metadata.namespace === policyNamespace && selects(peer.podSelector!, labelsOf(pod))
}

function named(destination: KubeObject | undefined, name: string, protocol: string | undefined, asked: Asked): boolean {
  if (!isPeer(destination)) return false
  for (const container of destination['spec'].containers)
    for (const port of container.ports)
      if (
        port.name === name &&
        port.containerPort === asked.port &&
        (port.protocol ?? 'TCP') === asked.protocol &&
        (protocol === undefined || protocol === asked.protocol)
      )
        return true
  return false
}

function portMatches(rule: NetworkPolicyPort, asked: Asked, destination: KubeObject | undefined): boolean {
  const protocol = rule.protocol ?? 'TCP'
  if (typeof rule.port === 'string') return named(destination, rule.port, protocol, asked)
  if (protocol !== asked.protocol) return false
  if (rule.port === undefined || rule.port === null) return true
  return rule.port <= asked.port && asked.port <= (rule.endPort ?? rule.port)
}

function ruleAllows(
  world: World,
  rule: NetworkPolicyRule,
  namespace: string,
  peer: End,
  asked: Asked,
  destination: KubeObject | undefined,
): boolean {
  const peers = rule.from ?? rule.to ?? []
  const ports = rule.ports ?? []
  if (peers.length > 0 && !peers.some((p) => peerMatches(world, p, namespace, peer))) return false
  return ports.length === 0 || ports.some((port) => portMatches(port, asked, destination))
}

function clusterPeer(world: World, peer: ClusterNetworkPolicyPeer, { pod, address }: End): boolean {
  if (peer.namespaces) return podSelected(world, pod, peer.namespaces, {})
  if (peer.pods) return podSelected(world, pod, peer.pods.namespaceSelector ?? {}, peer.pods.podSelector ?? {})
  if (peer.networks) return peer.networks.some((cidr) => inCidr(address, cidr))
  return world.nodes.some(
    (node) =>
      selects(peer.nodes!, labelsOf(node)) &&
      node['status'].addresses.some((known: { address: string }) => known.address === address),
  )
}

function clusterPort(match: ClusterNetworkPolicyProtocol, asked: Asked, destination: KubeObject | undefined): boolean {
  if (match.destinationNamedPort) return named(destination, match.destinationNamedPort, undefined, asked)
  const field = asked.protocol.toLowerCase() as 'tcp' | 'udp' | 'sctp'
  const found = match[field]
  if (found === undefined) return false
  const { destinationPort } = found
  if (destinationPort === undefined) return true
  if (destinationPort.number !== undefined) return destinationPort.number === asked.port
  return destinationPort.range!.start! <= asked.port && asked.port <= destinationPort.range!.end!
}

function tierDecides(
  world: World,
  tier: string,
  direction: 'ingress' | 'egress',
  pod: KubeObject,
  peer: End,
  asked: Asked,
  destination: KubeObject | undefined,
): string | undefined {
  const policies = world.policies
    .filter(({ kind, spec }) => kind === 'ClusterNetworkPolicy' && spec.tier === tier)
    .filter(({ spec: { subject } }) =>
      subject.pods
        ? podSelected(world, pod, subject.pods.namespaceSelector ?? {}, subject.pods.podSelector ?? {})
        : podSelected(world, pod, subject.namespaces, {}),
    )
    .sort((a, b) => a['spec'].priority - b['spec'].priority || (a.metadata.name! < b.metadata.name! ? -1 : 1))
  for (const policy of policies)
    for (const rule of (policy['spec'][direction] ?? []) as ClusterNetworkPolicyRule[]) {
      if (!(rule.from ?? rule.to)!.some((p) => clusterPeer(world, p, peer))) continue
      if (rule.protocols && !rule.protocols.some((p) => clusterPort(p, asked, destination))) continue
      return rule.action
    }
  return undefined
}

/** The pod's own policies about one direction; `destination` is the pod whose port names count. */
export function naiveAllows(
  world: World,
  direction: 'ingress' | 'egress',
  pod: KubeObject | undefined,
  peer: End,
  asked: Asked,
  destination: KubeObject | undefined,
): boolean {
  if (!isPeer(pod)) return true
  const admin = tierDecides(world, 'Admin', direction, pod, peer, asked, destination)
  if (admin === 'Accept') return true
  if (admin === 'Deny') return false
  const isolating = world.policies.filter((policy) => {
    const { kind, metadata, spec } = policy
    if (kind !== 'NetworkPolicy' || metadata.annotations?.['rampart.dev/mode'] === 'observe') return false
    if (metadata.namespace !== pod.metadata.namespace || !selects(spec.podSelector, labelsOf(pod))) return false
    if (!spec.policyTypes || spec.policyTypes.length === 0)
      return direction === 'ingress' || (spec.egress ?? []).length > 0
    return spec.policyTypes.includes(direction === 'ingress' ? 'Ingress' : 'Egress')
  })
  if (isolating.length > 0)
    return isolating.some(({ metadata, spec }) =>
      ((spec[direction] ?? []) as NetworkPolicyRule[]).some((rule) =>
        ruleAllows(world, rule, metadata.namespace!, peer, asked, destination),
      ),
    )
  return tierDecides(world, 'Baseline', direction, pod, peer, asked, destination) !== 'Deny'
}

/** The whole question: both ends, a pod to itself, a machine to its own pods. */
export function naiveVerdict(world: World, from: End, to: End, asked: Asked): { egress: boolean; ingress: boolean } {
  if (isPeer(from.pod) && from.pod === to.pod) return { egress: true, ingress: true }
  const machine = world.nodes.find((node) => node.metadata.name === to.pod?.['spec'].nodeName)
  const own =
    !isPeer(from.pod) &&
    machine?.['status'].addresses.some((known: { address: string }) => known.address === from.address) === true
  return {
    egress: naiveAllows(world, 'egress', from.pod, to, asked, to.pod),
    ingress: own || naiveAllows(world, 'ingress', to.pod, from, asked, to.pod),
  }
}
