import type { KubeObject } from '../../../kernel/api/object.ts'
import { rangeOfCidr } from './addresses.ts'
import type { ClusterPolicy, Groups, Peer, PortMatch, Rule } from './policy.ts'
import type {
  Action,
  ClusterNetworkPolicyPeer,
  ClusterNetworkPolicyPort,
  ClusterNetworkPolicyProtocol,
  ClusterNetworkPolicyRule,
  ClusterNetworkPolicySpec,
  Direction,
  Protocol,
} from './types.ts'

export const clusterPolicyKey = (name: string): string => `ClusterNetworkPolicy/${name}`

const NOTHING = { matchExpressions: [{ key: 'rampart.dev/none', operator: 'In' as const, values: [] }] }
const TRANSPORTS: readonly (readonly [keyof ClusterNetworkPolicyProtocol, Protocol])[] = [
  ['tcp', 'TCP'],
  ['udp', 'UDP'],
  ['sctp', 'SCTP'],
]

/**
 * policy.networking.k8s.io/v1alpha2. A rule with a part that cannot be understood fails closed, as the API's
 * documentation demands: Accept matches nothing by that part, Deny and Pass deny everything.
 */
export function readClusterNetworkPolicy(object: KubeObject, groups: Groups): ClusterPolicy {
  const { name = '' } = object.metadata
  const spec = (object['spec'] ?? {}) as ClusterNetworkPolicySpec
  const problems: string[] = []
  const tier = spec.tier === 'Baseline' ? 'Baseline' : 'Admin'
  if (tier !== spec.tier) problems.push(`spec.tier: ${JSON.stringify(spec.tier)} is neither Admin nor Baseline`)
  const { namespaces, pods } = spec.subject ?? {}
  if (!namespaces && !pods) problems.push('spec.subject: names no subject')
  const policy: ClusterPolicy = {
    kind: 'ClusterNetworkPolicy',
    key: clusterPolicyKey(name),
    title: name,
    name,
    tier,
    priority: Number(spec.priority ?? 0),
    subject: groups.pods(
      pods
        ? { namespaceSelector: pods.namespaceSelector ?? {}, podSelector: pods.podSelector ?? {} }
        : { namespaceSelector: namespaces ?? undefined, podSelector: namespaces ? {} : NOTHING },
    ),
    ingress: undefined,
    egress: undefined,
    problems,
  }
  for (const direction of ['ingress', 'egress'] as const)
    if (spec[direction]?.length)
      policy[direction] = spec[direction].map((rule, index) =>
        readRule(policy, rule, direction, index, groups, problems),
      )
  return policy
}

function readRule(
  policy: ClusterPolicy,
  rule: ClusterNetworkPolicyRule,
  direction: Direction,
  index: number,
  groups: Groups,
  problems: string[],
): Rule {
  const from = direction === 'ingress' ? 'from' : 'to'
  const at = `spec.${direction}[${index}]`
  const known = rule.action === 'Accept' || rule.action === 'Pass' || rule.action === 'Deny'
  const action: Action = known ? (rule.action as Action) : 'Deny'
  const before = problems.length
  if (!known) problems.push(`${at}.action: ${JSON.stringify(rule.action)} is not Accept, Deny or Pass`)
  if (!rule[from]?.length) problems.push(`${at}.${from}: names no peer`)
  const peers = (rule[from] ?? []).flatMap((peer, i) =>
    readPeer(peer, groups, direction, `${at}.${from}[${i}]`, problems),
  )
  const ports = rule.protocols?.length
    ? rule.protocols.flatMap((protocol, i) => readProtocol(protocol, `${at}.protocols[${i}]`, problems))
    : 'any'
  const common = { policy, direction, index, name: rule.name || undefined }
  if (problems.length > before && action !== 'Accept') {
    release(peers, groups)
    return { ...common, action: 'Deny', peers: 'any', ports: 'any' }
  }
  return { ...common, action, peers, ports }
}

function release(peers: readonly Peer[], groups: Groups): void {
  for (const peer of peers) if (peer.kind !== 'block') groups.release(peer)
}

function readPeer(
  { namespaces, pods, nodes, networks, ...rest }: ClusterNetworkPolicyPeer,
  groups: Groups,
  direction: Direction,
  at: string,
  problems: string[],
): Peer[] {
  if (namespaces) return [{ kind: 'pods', group: groups.pods({ namespaceSelector: namespaces, podSelector: {} }) }]
  if (pods) {
    const { namespaceSelector, podSelector } = pods
    return [
      {
        kind: 'pods',
        group: groups.pods({ namespaceSelector: namespaceSelector ?? {}, podSelector: podSelector ?? {} }),
      },
    ]
  }
  if (nodes && direction === 'egress') return [{ kind: 'nodes', group: groups.nodes(nodes) }]
  if (networks && direction === 'egress')
    return networks.flatMap((text, i) => {
      const range = rangeOfCidr(text)
      if (range !== undefined) return [{ kind: 'block' as const, text, ranges: [range] }]
      problems.push(`${at}.networks[${i}]: ${JSON.stringify(text)} is not a CIDR`)
      return []
    })
  problems.push(`${at}: ${Object.keys(rest).join(', ') || 'names no peer'} is not supported`)
  return []
}

function readProtocol(protocol: ClusterNetworkPolicyProtocol, at: string, problems: string[]): PortMatch[] {
  for (const [field, name] of TRANSPORTS) {
    const match = protocol[field] as { destinationPort?: ClusterNetworkPolicyPort } | undefined
    if (!match) continue
    const { destinationPort } = match
    if (!destinationPort) return [{ kind: 'range', protocol: name, first: 0, last: 65535 }]
    const first = destinationPort.number ?? destinationPort.range?.start
    const last = destinationPort.number ?? destinationPort.range?.end
    if (Number.isInteger(first) && Number.isInteger(last) && first! >= 1 && last! <= 65535 && first! <= last!)
      return [{ kind: 'range', protocol: name, first: first!, last: last! }]
    problems.push(`${at}.${field}.destinationPort: is not a port or a range of ports`)
    return []
  }
  if (protocol.destinationNamedPort)
    return [{ kind: 'named', protocol: undefined, name: protocol.destinationNamedPort }]
  problems.push(`${at}: names no protocol that is supported`)
  return []
}
