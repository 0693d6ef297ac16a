import { BlockList, isIP } from 'node:net'
import { badRequest } from '../../api/status.ts'

/** `[scheme:]name[:port]` of a proxy path (apimachinery/pkg/util/net: SplitSchemeNamePort). */
export type ProxiedName = { scheme: 'http' | 'https' | ''; name: string; port: string }

/** Throws BadRequest. */
export function parseProxiedName(text: string, resource: string): ProxiedName {
  const parts = text.split(':')
  const [scheme, name, port] =
    parts.length === 1 ? ['', text, ''] : parts.length === 2 ? ['', parts[0]!, parts[1]!] : parts
  const known = scheme === '' || scheme === 'http' || scheme === 'https'
  if (parts.length > 3 || !known || name === undefined || name === '')
    throw badRequest(`invalid ${resource} request ${JSON.stringify(text)}`)
  return { scheme: scheme as ProxiedName['scheme'], name, port: port ?? '' }
}

const notProxied = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
] as const)
  notProxied.addSubnet(net, bits, 'ipv4')
for (const [net, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  notProxied.addSubnet(net, bits, 'ipv6')

/** Statuses name addresses, but none of the API server's own machine or link (k8s.io/kubernetes/pkg/proxy/util: IsProxyableIP). */
export function demandProxyable(address: string): void {
  const family = isIP(address)
  if (family === 0 || notProxied.check(address, family === 6 ? 'ipv6' : 'ipv4')) throw badRequest('address not allowed')
}
