import { matchesSelector, type Selector } from '../../../kernel/api/selectors.ts'
import { peersMatch, portsMatch, type Service, type Side } from './match.ts'
import type { NetworkPolicyModel } from './model.ts'
import type { Pod } from './pod.ts'
import type { Peer, PortMatch, Rule } from './policy.ts'

/** A rule that would have allowed the connection if a little had been different. */
export type NearMiss = {
  policy: string
  rule: number
  /** What would have to be so; all of it. */
  changes: Change[]
}

export type Change =
  | { kind: 'pod-label' | 'namespace-label'; of: string; key: string; want: string }
  | { kind: 'port'; allowed: string }
  | { kind: 'address'; allowed: string }

const MOST = 5

/** Rules by how little is missing, the nearest first; at most five, and none that would need more than three changes. */
export function nearMisses(
  model: NetworkPolicyModel,
  rules: readonly Rule[],
  peer: Side,
  service: Service,
  destination: Pod | undefined,
): NearMiss[] {
  const found: NearMiss[] = []
  for (const rule of rules) {
    const ports: Change[] = portsMatch(rule, service, destination)
      ? []
      : [{ kind: 'port', allowed: describePorts(rule.ports) }]
    if (rule.ports !== 'any' && rule.ports.length === 0) continue
    const ways = peersMatch(rule, peer)
      ? [[]]
      : (rule.peers as readonly Peer[]).flatMap((p) => changesFor(model, p, peer))
    const [way] = ways.sort((a, b) => a.length - b.length)
    if (way !== undefined && way.length + ports.length <= 3)
      found.push({ policy: rule.policy.title, rule: rule.index, changes: [...way, ...ports] })
  }
  return found.sort((a, b) => a.changes.length - b.changes.length).slice(0, MOST)
}

function changesFor(model: NetworkPolicyModel, peer: Peer, { pod, address }: Side): Change[][] {
  if (peer.kind === 'block') {
    const sameFamily = peer.ranges.some((range) => range.family === address?.family)
    return sameFamily && pod === undefined ? [[{ kind: 'address', allowed: peer.text }]] : []
  }
  if (peer.kind === 'nodes' || pod === undefined) return []
  const { group } = peer
  if (group.namespace !== undefined && group.namespace !== pod.namespace) return []
  const namespace = group.namespace === undefined ? group.namespaceSelector : []
  const namespaceChanges = missing(namespace, model.namespaceLabels(pod.namespace), 'namespace-label', pod.namespace)
  const podChanges = missing(group.podSelector, pod.labels, 'pod-label', pod.key)
  return namespaceChanges && podChanges ? [[...podChanges, ...namespaceChanges]] : []
}

/** Undefined when no label could make the selector select. */
function missing(
  selector: Selector,
  labels: Readonly<Record<string, string>>,
  kind: 'pod-label' | 'namespace-label',
  of: string,
): Change[] | undefined {
  const changes: Change[] = []
  for (const requirement of selector) {
    if (matchesSelector([requirement], labels)) continue
    const { key, operator, values } = requirement
    if (operator === 'in' && values.size === 0) return undefined
    if (operator === 'in') changes.push({ kind, of, key, want: [...values].join(' or ') })
    else if (operator === 'exists') changes.push({ kind, of, key, want: 'any value' })
    else if (operator === 'notin') changes.push({ kind, of, key, want: `not ${[...values].join(' or ')}` })
    else changes.push({ kind, of, key, want: 'absent' })
  }
  return changes
}

export function describePorts(ports: Rule['ports']): string {
  if (ports === 'any') return 'any port'
  const text = (match: PortMatch): string => {
    if (match.kind === 'named') return match.protocol ? `${match.name}/${match.protocol}` : match.name
    const { protocol, first, last } = match
    if (first === 0 && last === 65535) return `any ${protocol} port`
    return `${first === last ? first : `${first}-${last}`}/${protocol}`
  }
  return ports.map(text).join(', ')
}

export function describeChange(change: Change): string {
  switch (change.kind) {
    case 'pod-label':
    case 'namespace-label': {
      const what = change.kind === 'pod-label' ? 'pod' : 'namespace'
      const { key, want } = change
      if (want === 'absent') return `${what} ${change.of} had no label ${key}`
      if (want === 'any value') return `${what} ${change.of} had a label ${key}`
      return `${what} ${change.of} had ${want.startsWith('not ') ? `${key} other than ${want.slice(4)}` : `the label ${key}=${want}`}`
    }
    case 'port':
      return `the port were ${change.allowed}`
    case 'address':
      return `the address were in ${change.allowed}`
  }
}

/** `policy db/allow-web, rule 0, would allow it if pod shop/web had the label app=web`. */
export const describeNearMiss = ({ policy, rule, changes }: NearMiss): string =>
  `policy ${policy}, rule ${rule}, would allow it if ${changes.map(describeChange).join(' and ')}`
