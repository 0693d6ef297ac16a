import { BlockList, isIP, SocketAddress } from 'node:net'

export type Family = 'IPv4' | 'IPv6'

export type AddressRange = {
  family: Family
  /** As it was configured, with the host bits cleared: `10.96.0.0/12`. */
  cidr: string
  /** First address that a Service may have; it is that of default/kubernetes. */
  first: string
  /** Number of addresses that can be given out, at most 2^20 for IPv6. */
  size: number
  /** The nth address that can be given out, from 0. */
  at: (offset: number) => string
  /** Inverse of `at`; undefined for an address outside. */
  offsetOf: (address: string) => number | undefined
}

/** kube-apiserver refuses larger ranges; so many Services nobody has. */
const MAX_BITS = 20

export function familyOf(address: string): Family | undefined {
  const version = isIP(address)
  return version === 4 ? 'IPv4' : version === 6 ? 'IPv6' : undefined
}

/** Address as a number, of an address that isIP accepts. */
export function addressToNumber(address: string): bigint {
  if (familyOf(address) === 'IPv4') return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
  const canonical = new SocketAddress({ address: address.replace(/%.*$/, ''), family: 'ipv6' }).address
  const [head = '', tail] = expandMapped(canonical).split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array<string>(zeros).fill('0'), ...right].reduce(
    (sum, part) => (sum << 16n) | BigInt(`0x${part}`),
    0n,
  )
}

/** `::ffff:1.2.3.4` with its last 32 bits in hexadecimal. */
function expandMapped(address: string): string {
  const match = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  if (match === null) return address
  const [a, b, c, d] = match.slice(2).map(Number) as [number, number, number, number]
  return `${match[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** RFC 5952 for IPv6. */
export function numberToAddress(value: bigint, family: Family): string {
  if (family === 'IPv4') return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.')
  const parts = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(16 * (7 - i))) & 0xffffn).toString(16))
  return new SocketAddress({ address: parts.join(':'), family: 'ipv6' }).address
}

/** Throws when the text is no CIDR, or leaves no address to give out. */
export function parseCidr(text: string): AddressRange {
  const [address = '', bits = '', ...rest] = text.split('/')
  const family = familyOf(address)
  const width = family === 'IPv4' ? 32 : 128
  if (family === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > width)
    throw new Error(`"${text}" is not a CIDR`)
  const hostBits = width - Number(bits)
  if (hostBits < 2) throw new Error(`"${text}" has too few addresses`)
  const base = (addressToNumber(address) >> BigInt(hostBits)) << BigInt(hostBits)
  // Neither the network's own address nor, in IPv4, its broadcast address.
  const all = hostBits > MAX_BITS ? 2 ** MAX_BITS : 2 ** hostBits
  const size = all - (family === 'IPv4' && hostBits <= MAX_BITS ? 2 : 1)
  const start = base + 1n
  const at = (offset: number): string => numberToAddress(start + BigInt(offset), family)
  return {
    family,
    cidr: `${numberToAddress(base, family)}/${bits}`,
    first: at(0),
    size,
    at,
    offsetOf: (candidate) => {
      if (familyOf(candidate) !== family) return undefined
      const offset = addressToNumber(candidate) - start
      return offset >= 0n && offset < BigInt(size) ? Number(offset) : undefined
    },
  }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

export function isLoopback(address: string): boolean {
  const family = familyOf(address)
  return family !== undefined && LOOPBACK.check(address, family === 'IPv4' ? 'ipv4' : 'ipv6')
}
