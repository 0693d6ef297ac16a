import { type IPAddress, rangeContains } from './addresses.ts'
import type { Pod } from './pod.ts'
import type { Peer, PortMatch, Rule } from './policy.ts'
import type { Protocol } from './types.ts'

/** One end of a connection as policies see it: an address, and the pod that has it. */
export type Side = { pod: Pod | undefined; address: IPAddress | undefined }

/** What is asked of the destination; ICMP and the like have no port and pass only rules without ports. */
export type Service = { protocol: Protocol | undefined; port: number }

export function peerMatches(peer: Peer, side: Side): boolean {
  const { pod, address } = side
  switch (peer.kind) {
    case 'pods':
      return pod !== undefined && peer.group.members.has(pod.slot)
    case 'block':
      return address !== undefined && peer.ranges.some((range) => rangeContains(range, address))
    case 'nodes':
      return address !== undefined && peer.group.addresses.has(address.text)
  }
}

/** `destination` is the pod whose ports have names, in both directions. */
export function portMatches(match: PortMatch, { protocol, port }: Service, destination: Pod | undefined): boolean {
  if (match.kind === 'range') return match.protocol === protocol && match.first <= port && port <= match.last
  if (match.protocol !== undefined && match.protocol !== protocol) return false
  return (
    destination?.ports.some(
      (named) => named.name === match.name && named.protocol === protocol && named.port === port,
    ) === true
  )
}

export const peersMatch = ({ peers }: Rule, side: Side): boolean =>
  peers === 'any' || peers.some((peer) => peerMatches(peer, side))

export const portsMatch = ({ ports }: Rule, service: Service, destination: Pod | undefined): boolean =>
  ports === 'any' || ports.some((match) => portMatches(match, service, destination))
