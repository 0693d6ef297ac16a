import type { KubeObject } from '../../../kernel/api/object.ts'
import { rangeOfCidr, subtractRanges } from './addresses.ts'
import type { Groups, NamespacedPolicy, Peer, PortMatch, Rule } from './policy.ts'
import {
  type Direction,
  type IPBlock,
  MODE_ANNOTATION,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  type NetworkPolicySpec,
  PROTOCOLS,
  type Protocol,
} from './types.ts'

export const namespacedPolicyKey = (namespace: string, name: string): string => `NetworkPolicy/${namespace}/${name}`

/**
 * networking.k8s.io/v1 as its API documentation says it. The API server refuses what is malformed; what arrives all the
 * same matches nothing, so that the policy lets through less, never more.
 */
export function readNetworkPolicy(object: KubeObject, groups: Groups): NamespacedPolicy {
  const { namespace = 'default', name = '', annotations } = object.metadata
  const spec = (object['spec'] ?? {}) as NetworkPolicySpec
  const problems: string[] = []
  const key = namespacedPolicyKey(namespace, name)
  const types = spec.policyTypes?.length ? spec.policyTypes : spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
  const policy: NamespacedPolicy = {
    kind: 'NetworkPolicy',
    key,
    title: `${namespace}/${name}`,
    namespace,
    name,
    observe: annotations?.[MODE_ANNOTATION] === 'observe',
    subject: groups.pods({ namespace, podSelector: spec.podSelector ?? {} }),
    ingress: undefined,
    egress: undefined,
    problems,
  }
  const rules = (direction: Direction): Rule[] =>
    (spec[direction] ?? []).map((rule, index) => {
      const from = direction === 'ingress' ? 'from' : 'to'
      const at = `spec.${direction}[${index}]`
      const peers = rule?.[from]
      return {
        policy,
        direction,
        index,
        name: undefined,
        action: 'Accept',
        peers: peers?.length
          ? peers.flatMap((peer, i) => readPeer(peer ?? {}, namespace, groups, `${at}.${from}[${i}]`, problems))
          : 'any',
        ports: rule?.ports?.length
          ? rule.ports.flatMap((port, i) => readPort(port ?? {}, `${at}.ports[${i}]`, problems))
          : 'any',
      }
    })
  if (types.includes('Ingress')) policy.ingress = rules('ingress')
  if (types.includes('Egress')) policy.egress = rules('egress')
  return policy
}

function readPeer(
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  namespace: string,
  groups: Groups,
  at: string,
  problems: string[],
): Peer[] {
  if (ipBlock) {
    if (!podSelector && !namespaceSelector) return readBlock(ipBlock, `${at}.ipBlock`, problems)
    problems.push(`${at}: ipBlock and selectors together`)
    return []
  }
  if (namespaceSelector)
    return [{ kind: 'pods', group: groups.pods({ namespaceSelector, podSelector: podSelector ?? {} }) }]
  if (podSelector) return [{ kind: 'pods', group: groups.pods({ namespace, podSelector }) }]
  problems.push(`${at}: names no peer`)
  return []
}

function readBlock({ cidr = '', except }: IPBlock, at: string, problems: string[]): Peer[] {
  const range = rangeOfCidr(cidr)
  if (range === undefined) problems.push(`${at}.cidr: ${JSON.stringify(cidr)} is not a CIDR`)
  const holes = (except ?? []).map((text, i) => {
    const hole = rangeOfCidr(text)
    if (hole === undefined) problems.push(`${at}.except[${i}]: ${JSON.stringify(text)} is not a CIDR`)
    return hole
  })
  if (range === undefined || holes.some((hole) => hole === undefined)) return []
  const text = except?.length ? `${cidr} except ${except.join(', ')}` : cidr
  return [{ kind: 'block', text, ranges: subtractRanges(range, holes as never) }]
}

function readPort({ protocol, port, endPort }: NetworkPolicyPort, at: string, problems: string[]): PortMatch[] {
  const name = (protocol ?? 'TCP') as Protocol
  if (!PROTOCOLS.includes(name)) {
    problems.push(`${at}.protocol: ${JSON.stringify(protocol)} is not one of ${PROTOCOLS.join(', ')}`)
    return []
  }
  if (port === undefined || port === null) {
    if (endPort === undefined || endPort === null) return [{ kind: 'range', protocol: name, first: 0, last: 65535 }]
    problems.push(`${at}.endPort: without a port`)
    return []
  }
  if (typeof port === 'string') {
    if (endPort === undefined || endPort === null) return [{ kind: 'named', protocol: name, name: port }]
    problems.push(`${at}.endPort: together with a named port`)
    return []
  }
  const last = endPort ?? port
  const isPort = (n: unknown): boolean => Number.isInteger(n) && (n as number) >= 0 && (n as number) <= 65535
  if (!isPort(port) || !isPort(last) || last < port) {
    problems.push(`${at}: ${port}-${last} is not a range of ports`)
    return []
  }
  return [{ kind: 'range', protocol: name, first: port, last }]
}
