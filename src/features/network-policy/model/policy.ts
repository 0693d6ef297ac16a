import type { LabelSelector } from '../../../kernel/api/selectors.ts'
import type { AddressRange } from './addresses.ts'
import type { PodGroup } from './groups.ts'
import type { NodeGroup } from './nodes.ts'
import type { Action, Direction, Protocol, Tier } from './types.ts'

export type Peer =
  | { kind: 'pods'; group: PodGroup }
  /** `ranges` are what is left without the exceptions. */
  | { kind: 'block'; text: string; ranges: readonly AddressRange[] }
  | { kind: 'nodes'; group: NodeGroup }

export type PortMatch =
  | { kind: 'range'; protocol: Protocol; first: number; last: number }
  /** Resolved by the destination pod; of any protocol when none is named. */
  | { kind: 'named'; protocol: Protocol | undefined; name: string }

export type Rule = {
  policy: Policy
  direction: Direction
  /** Its place among the policy's rules of this direction. */
  index: number
  name: string | undefined
  action: Action
  peers: 'any' | readonly Peer[]
  ports: 'any' | readonly PortMatch[]
}

type Common = {
  /** `kind/namespace/name`: sorts and identifies. */
  key: string
  /** As people write it: `db/allow-web`; cluster policies by their name alone. */
  title: string
  name: string
  subject: PodGroup
  /** What could not be understood, with its field; such parts match so that nothing more is let through. */
  problems: readonly string[]
}

/** `ingress` and `egress` are undefined where the policy does not speak of that direction. */
export type NamespacedPolicy = Common & {
  kind: 'NetworkPolicy'
  namespace: string
  observe: boolean
  ingress: readonly Rule[] | undefined
  egress: readonly Rule[] | undefined
}

export type ClusterPolicy = Common & {
  kind: 'ClusterNetworkPolicy'
  tier: Tier
  /** Lower goes first; at the same priority the name decides. */
  priority: number
  ingress: readonly Rule[] | undefined
  egress: readonly Rule[] | undefined
}

export type Policy = NamespacedPolicy | ClusterPolicy

/** Selectors become groups, shared with every policy that selects alike. */
export type Groups = {
  pods: (source: {
    namespace?: string
    namespaceSelector?: LabelSelector | undefined
    podSelector: LabelSelector
  }) => PodGroup
  nodes: (selector: LabelSelector) => NodeGroup
  /** A group that was taken and is not held after all. */
  release: (peer: Exclude<Peer, { kind: 'block' }>) => void
}

/** Every group that a policy holds, each as often as it is held. */
export function groupsOf(policy: Policy): { pods: PodGroup[]; nodes: NodeGroup[] } {
  const pods = [policy.subject]
  const nodes: NodeGroup[] = []
  for (const rule of [...(policy.ingress ?? []), ...(policy.egress ?? [])])
    if (rule.peers !== 'any')
      for (const peer of rule.peers) {
        if (peer.kind === 'pods') pods.push(peer.group)
        else if (peer.kind === 'nodes') nodes.push(peer.group)
      }
  return { pods, nodes }
}
