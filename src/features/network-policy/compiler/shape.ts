import type { PodGroup } from '../model/groups.ts'
import type { PortMatch, Rule } from '../model/policy.ts'
import type { Element } from './program.ts'

export const KINDS = ['exact', 'peer', 'block', 'port', 'net', 'pod'] as const
export type Kind = (typeof KINDS)[number]
export const INTERVALS: ReadonlySet<Kind> = new Set(['block', 'net', 'pod'])
/** Which sets a stage has. `all`: everything matches. `anyPod`: every pod does, on any port. */
export type Shape = Record<Kind, boolean> & { all: boolean; anyPod: boolean }
export type Sets = Record<Kind, Set<Element>>

export const noElements = (): Sets => {
  const none = (): Set<Element> => new Set()
  return { exact: none(), peer: none(), block: none(), port: none(), net: none(), pod: none() }
}

/** `looksUp`: what it lets through depends on the names that the peer gives its ports. */
export type DynamicRule = Pick<Rule, 'peers' | 'ports'> & { groups: readonly PodGroup[]; looksUp: boolean }

export const dynamicRule = ({ direction, peers, ports }: Rule): DynamicRule => ({
  peers,
  ports,
  groups:
    peers === 'any'
      ? []
      : peers.flatMap((peer) => (peer.kind === 'pods' && !isEveryPod(peer.group) ? [peer.group] : [])),
  looksUp: direction === 'egress' && ports !== 'any' && ports.some(({ kind }) => kind === 'named'),
})

const isEveryPod = ({ namespace, namespaceSelector, podSelector }: PodGroup): boolean =>
  namespace === undefined && namespaceSelector.length === 0 && podSelector.length === 0

export const namesEveryPod = (peers: Rule['peers']): boolean =>
  peers !== 'any' && peers.some((peer) => peer.kind === 'pods' && isEveryPod(peer.group))

/** Whether ports have to be looked up by name at peers that no group of the rule holds. */
export const namesBeyondGroups = ({ direction, peers, ports }: Rule): boolean =>
  direction === 'egress' &&
  ports !== 'any' &&
  ports.some(({ kind }) => kind === 'named') &&
  (peers === 'any' || namesEveryPod(peers) || peers.some(({ kind }) => kind === 'block'))

const NO_SETS: Shape = {
  exact: false,
  peer: false,
  block: false,
  port: false,
  net: false,
  pod: false,
  all: false,
  anyPod: false,
}

/** `resolved`: what a port means before any peer is known; undefined for names that each peer gives its own ports. */
export function shapeOf(
  rules: readonly Rule[],
  resolved: (match: PortMatch) => readonly { first: number; last: number }[] | undefined,
): Shape {
  const shape: Shape = { ...NO_SETS }
  for (const { peers, ports } of rules) {
    const any = peers === 'any'
    const pods = !any && peers.some((peer) => peer.kind === 'pods' && !isEveryPod(peer.group))
    const blocks = !any && peers.some(({ kind }) => kind !== 'pods')
    const everyPod = namesEveryPod(peers)
    if (ports === 'any') {
      shape.all ||= any
      shape.peer ||= pods
      shape.block ||= blocks
      shape.anyPod ||= everyPod
      continue
    }
    for (const match of ports) {
      const known = resolved(match)
      shape.exact ||= known === undefined
      for (const { first, last } of known ?? []) {
        shape.pod ||= everyPod
        shape.net ||= blocks || (first !== last && (any || pods))
        if (first !== last) continue
        shape.port ||= any
        shape.exact ||= pods
      }
    }
  }
  if (shape.all) return { ...NO_SETS, all: true }
  return { ...shape, peer: shape.peer && !shape.block, port: shape.port && !shape.net }
}
