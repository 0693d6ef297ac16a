import type { KubeObject } from '../../kernel/api/object.ts'

/** What this machine needs to know of another to reach its pods. */
export type Peer = {
  name: string
  /** The machine's own address, where tunnelled packets go. */
  address: string
  podCidr: string
}

export type Tunnel = {
  /** Host address of this machine's end, the first of its block. */
  address: string
  mac: string
  entries: readonly { podCidr: string; gateway: string; mac: string; remote: string }[]
}

const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
const CIDR = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/

const octetsOf = (address: string): number[] | undefined => {
  const octets = IPV4.exec(address)?.slice(1).map(Number)
  return octets?.every((octet) => octet <= 255) ? octets : undefined
}

/**
 * Locally administered and derived from the machine's address, so that no machine needs to be told another's, and nobody
 * can claim it by writing an annotation.
 */
export function tunnelMac(address: string): string {
  const octets = octetsOf(address)
  if (octets === undefined) throw new Error(`${JSON.stringify(address)} is not an IPv4 address`)
  return ['0a', '58', ...octets.map((octet) => octet.toString(16).padStart(2, '0'))].join(':')
}

/** The machine's address and block, when its Node says both in a form that can be used. */
export function peerOf(node: KubeObject): Peer | undefined {
  const podCidr = node['spec']?.podCIDR as unknown
  const addresses = (node['status']?.addresses ?? []) as { type?: string; address?: string }[]
  const address = addresses.find(({ type, address }) => type === 'InternalIP' && octetsOf(address ?? ''))?.address
  if (typeof podCidr !== 'string' || address === undefined) return undefined
  const match = CIDR.exec(podCidr)
  if (match === null || octetsOf(match[1]!) === undefined || Number(match[2]) > 32 || Number(match[2]) < 8)
    return undefined
  return { name: node.metadata.name!, address, podCidr }
}

/**
 * What the tunnel of `own` must hold: one route, neighbour and forwarding entry for each other machine, nothing learned
 * and nothing flooded. Of two machines that claim one block or one address, the older entry (by name) wins, and ours
 * always does.
 */
export function planTunnel(own: Peer, others: readonly Peer[]): Tunnel {
  const gateway = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'))
  const blocks = new Set([own.podCidr])
  const addresses = new Set([own.address])
  const entries: Tunnel['entries'][number][] = []
  for (const peer of [...others].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (peer.name === own.name || blocks.has(peer.podCidr) || addresses.has(peer.address)) continue
    blocks.add(peer.podCidr)
    addresses.add(peer.address)
    entries.push({
      podCidr: peer.podCidr,
      gateway: gateway(peer.podCidr),
      mac: tunnelMac(peer.address),
      remote: peer.address,
    })
  }
  return { address: gateway(own.podCidr), mac: tunnelMac(own.address), entries }
}
