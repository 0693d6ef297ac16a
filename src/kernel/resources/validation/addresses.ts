import { isIPv6 } from 'node:net'
import { type FieldError, fieldError } from '../../api/status.ts'

/** IP addresses and CIDRs as Kubernetes 1.32 reads them: leading zeros in IPv4 are allowed, zones are not. */

export type Address = { family: 4 | 6; value: bigint }
export type Cidr = { family: 4 | 6 /** First address of the network. */; network: bigint; prefix: number }

const BITS = { 4: 32, 6: 128 } as const
const MAPPED = 0xffffn << 32n

function parseIPv4(text: string): bigint | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0n
  for (const part of parts) {
    if (!/^\d+$/.test(part) || part.length > 16 || Number(part) > 255) return undefined
    value = (value << 8n) | BigInt(Number(part))
  }
  return value
}

function parseIPv6(text: string): bigint | undefined {
  if (text.includes('%') || !isIPv6(text)) return undefined
  const tail = text.lastIndexOf(':') + 1
  const embedded = text.includes('.', tail) ? parseIPv4(text.slice(tail)) : undefined
  const groups =
    embedded === undefined ? text : `${text.slice(0, tail)}${hex(embedded >> 16n)}:${hex(embedded & 0xffffn)}`
  const [head = '', rest] = groups.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = rest === undefined || rest === '' ? [] : rest.split(':')
  const zeros = rest === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0')
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

const hex = (value: bigint): string => value.toString(16)

/** Undefined when it is no address. An IPv4 address mapped into IPv6 is an IPv4 address, as in Go. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const value = parseIPv4(text)
    return value === undefined ? undefined : { family: 4, value }
  }
  const value = parseIPv6(text)
  if (value === undefined) return undefined
  return value >> 32n === MAPPED >> 32n ? { family: 4, value: value & 0xffffffffn } : { family: 6, value }
}

/** Undefined when it is no CIDR; bits behind the prefix are cleared. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  if (slash < 0 || !/^\d{1,9}$/.test(text.slice(slash + 1))) return undefined
  const host = text.slice(0, slash)
  const family = host.includes(':') ? 6 : 4
  const value = family === 4 ? parseIPv4(host) : parseIPv6(host)
  const prefix = Number(text.slice(slash + 1))
  if (value === undefined || prefix > BITS[family]) return undefined
  const free = BigInt(BITS[family] - prefix)
  return { family, network: (value >> free) << free, prefix }
}

export function cidrContains(cidr: Cidr, address: Address): boolean {
  const free = BigInt(BITS[cidr.family] - cidr.prefix)
  return cidr.family === address.family && cidr.network >> free === address.value >> free
}

export function validateIP(value: string, path: string): FieldError[] {
  return parseAddress(value) === undefined
    ? [fieldError.invalid(path, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')]
    : []
}

export function validateCidr(value: string, path: string): FieldError[] {
  return parseCidr(value) === undefined
    ? [fieldError.invalid(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')]
    : []
}

const range = (text: string): Cidr => parseCidr(text)!
const SPECIAL: readonly (readonly [readonly Cidr[], (value: string) => string])[] = [
  [[range('0.0.0.0/32'), range('::/128')], (value) => `may not be unspecified (${value})`],
  [[range('127.0.0.0/8'), range('::1/128')], () => 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  [
    [range('169.254.0.0/16'), range('fe80::/10')],
    () => 'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
  ],
  [
    [range('224.0.0.0/24'), range('ff02::/16')],
    () => 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
  ],
]

/** Addresses that no endpoint may have: traffic to them would reach the node instead of a pod. */
export function validateNonSpecialIP(value: string, path: string): FieldError[] {
  const address = parseAddress(value)
  if (address === undefined) return [fieldError.invalid(path, value, 'must be a valid IP address')]
  return SPECIAL.filter(([ranges]) => ranges.some((r) => cidrContains(r, address))).map(([, why]) =>
    fieldError.invalid(path, value, why(value)),
  )
}
