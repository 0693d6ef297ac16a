import { type Environment, EvaluationError } from '@marcbachmann/cel-js'
import { type Quantity, tryQuantity } from '../../api/quantity.ts'
import { type Address, type Cidr, cidrContains, parseAddress, parseCidr } from '../validation/addresses.ts'

/** Kubernetes' own CEL types: URL, Quantity, IP and CIDR. */

class CelUrl {
  readonly text: string
  readonly url: URL

  constructor(text: string) {
    this.text = text
    // A path alone is a URL too; any base makes it readable.
    this.url = new URL(text, 'relative://')
  }
}

function parseUrl(text: string): CelUrl | undefined {
  if (!text.startsWith('/') && !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text)) return undefined
  try {
    return new CelUrl(text)
  } catch {
    return undefined
  }
}

function must<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw new EvaluationError(message)
  return value
}

export function registerUrls(environment: Environment): void {
  const absolute = (u: CelUrl): boolean => !u.text.startsWith('/')
  environment
    .registerType('CelUrl', { ctor: CelUrl, fields: {} })
    .registerOperator('CelUrl == CelUrl', (a: CelUrl, b: CelUrl) => a.url.href === b.url.href)
    .registerFunction('isURL(string): bool', (text: string) => parseUrl(text) !== undefined)
    .registerFunction('url(string): CelUrl', (text: string) =>
      must(parseUrl(text), `URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI`),
    )
    .registerFunction('CelUrl.getScheme(): string', (u: CelUrl) => (absolute(u) ? u.url.protocol.slice(0, -1) : ''))
    .registerFunction('CelUrl.getHost(): string', (u: CelUrl) => (absolute(u) ? u.url.host : ''))
    .registerFunction('CelUrl.getHostname(): string', (u: CelUrl) =>
      absolute(u) ? u.url.hostname.replace(/^\[|\]$/g, '') : '',
    )
    .registerFunction(
      'CelUrl.getPort(): string',
      (u: CelUrl) => /^[^/]*\/\/[^/?#]*:(\d+)(?:[/?#]|$)/.exec(u.text)?.[1] ?? '',
    )
    .registerFunction('CelUrl.getEscapedPath(): string', (u: CelUrl) =>
      u.url.pathname === '/' && !/^[^?#]*[^/:]\/(?:[?#]|$)/.test(u.text) && absolute(u) ? '' : u.url.pathname,
    )
    .registerFunction('CelUrl.getQuery(): map<string, list<string>>', (u: CelUrl) => {
      const query = new Map<string, string[]>()
      for (const [key, value] of u.url.searchParams) query.set(key, [...(query.get(key) ?? []), value])
      return query
    })
}

class CelQuantity {
  readonly nanos: bigint
  constructor(nanos: bigint) {
    this.nanos = nanos
  }
}

const UNIT = 1_000_000_000n

export function registerQuantities(environment: Environment): void {
  const parse = (text: string): CelQuantity => {
    const quantity: Quantity = must(
      tryQuantity(text),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    )
    return new CelQuantity(quantity.nanos)
  }
  const nanosOf = (value: CelQuantity | bigint): bigint => (typeof value === 'bigint' ? value * UNIT : value.nanos)
  const compare = (a: CelQuantity, b: CelQuantity): bigint => (a.nanos < b.nanos ? -1n : a.nanos > b.nanos ? 1n : 0n)
  environment
    .registerType('CelQuantity', { ctor: CelQuantity, fields: {} })
    .registerOperator('CelQuantity == CelQuantity', (a: CelQuantity, b: CelQuantity) => a.nanos === b.nanos)
    .registerFunction('isQuantity(string): bool', (text: string) => tryQuantity(text) !== undefined)
    .registerFunction('quantity(string): CelQuantity', parse)
    .registerFunction('CelQuantity.isInteger(): bool', (q: CelQuantity) => q.nanos % UNIT === 0n)
    .registerFunction('CelQuantity.asInteger(): int', (q: CelQuantity) => {
      if (q.nanos % UNIT !== 0n) throw new EvaluationError('cannot convert value to integer')
      return q.nanos / UNIT
    })
    .registerFunction('CelQuantity.asApproximateFloat(): double', (q: CelQuantity) => Number(q.nanos) / 1e9)
    .registerFunction('CelQuantity.sign(): int', (q: CelQuantity) => compare(q, new CelQuantity(0n)))
    .registerFunction('CelQuantity.compareTo(CelQuantity): int', compare)
    .registerFunction(
      'CelQuantity.isGreaterThan(CelQuantity): bool',
      (a: CelQuantity, b: CelQuantity) => a.nanos > b.nanos,
    )
    .registerFunction(
      'CelQuantity.isLessThan(CelQuantity): bool',
      (a: CelQuantity, b: CelQuantity) => a.nanos < b.nanos,
    )
  for (const type of ['CelQuantity', 'int'])
    environment
      .registerFunction(
        `CelQuantity.add(${type}): CelQuantity`,
        (a: CelQuantity, b: CelQuantity | bigint) => new CelQuantity(a.nanos + nanosOf(b)),
      )
      .registerFunction(
        `CelQuantity.sub(${type}): CelQuantity`,
        (a: CelQuantity, b: CelQuantity | bigint) => new CelQuantity(a.nanos - nanosOf(b)),
      )
}

class CelIp {
  readonly address: Address
  readonly text: string
  constructor(address: Address, text: string) {
    this.address = address
    this.text = text
  }
}

class CelCidr {
  readonly cidr: Cidr
  readonly host: Address
  constructor(cidr: Cidr, host: Address) {
    this.cidr = cidr
    this.host = host
  }
}

/** netip.ParseAddr refuses leading zeros, and IPv4 mapped into IPv6 in the ip library. */
function ipOf(text: string): CelIp | undefined {
  const address = parseAddress(text)
  if (address === undefined || /(?:^|\.)0\d/.test(text)) return undefined
  return text.includes(':') && address.family === 4 ? undefined : new CelIp(address, text)
}

function cidrOf(text: string): CelCidr | undefined {
  const cidr = parseCidr(text)
  const host = ipOf(text.slice(0, Math.max(0, text.indexOf('/'))))
  return cidr === undefined || host === undefined ? undefined : new CelCidr(cidr, host.address)
}

function printAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(16 * (7 - i))) & 0xffffn).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

const inside = (ranges: readonly string[]): ((ip: CelIp) => boolean) => {
  const parsed = ranges.map((range) => parseCidr(range)!)
  return (ip) => parsed.some((range) => cidrContains(range, ip.address))
}

const RANGES: Readonly<Record<string, (ip: CelIp) => boolean>> = {
  isUnspecified: inside(['0.0.0.0/32', '::/128']),
  isLoopback: inside(['127.0.0.0/8', '::1/128']),
  isLinkLocalMulticast: inside(['224.0.0.0/24', 'ff02::/16']),
  isLinkLocalUnicast: inside(['169.254.0.0/16', 'fe80::/10']),
}
const isMulticast = inside(['224.0.0.0/4', 'ff00::/8', '255.255.255.255/32'])

export function registerAddresses(environment: Environment): void {
  const ip = (text: string): CelIp =>
    must(
      ipOf(text),
      `IP Address parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`,
    )
  const cidr = (text: string): CelCidr =>
    must(cidrOf(text), `network address parse error during conversion from string: ${JSON.stringify(text)}`)
  const containsCidr = (a: CelCidr, b: CelCidr): boolean =>
    a.cidr.prefix <= b.cidr.prefix && cidrContains(a.cidr, { family: b.cidr.family, value: b.cidr.network })
  environment
    .registerType('CelIp', { ctor: CelIp, fields: {} })
    .registerType('CelCidr', { ctor: CelCidr, fields: {} })
    .registerOperator(
      'CelIp == CelIp',
      (a: CelIp, b: CelIp) => a.address.value === b.address.value && a.address.family === b.address.family,
    )
    .registerOperator(
      'CelCidr == CelCidr',
      (a: CelCidr, b: CelCidr) => containsCidr(a, b) && containsCidr(b, a) && a.host.value === b.host.value,
    )
    .registerFunction('isIP(string): bool', (text: string) => ipOf(text) !== undefined)
    .registerFunction('ip(string): CelIp', ip)
    .registerFunction('string(CelIp): string', (a: CelIp) => printAddress(a.address))
    .registerFunction('CelIp.family(): int', (a: CelIp) => BigInt(a.address.family))
    .registerFunction(
      'CelIp.isGlobalUnicast(): bool',
      (a: CelIp) =>
        !isMulticast(a) && !['isUnspecified', 'isLoopback', 'isLinkLocalUnicast'].some((name) => RANGES[name]!(a)),
    )
    .registerFunction('isCIDR(string): bool', (text: string) => cidrOf(text) !== undefined)
    .registerFunction('cidr(string): CelCidr', cidr)
    .registerFunction('string(CelCidr): string', (a: CelCidr) => `${printAddress(a.host)}/${a.cidr.prefix}`)
    .registerFunction('CelCidr.containsIP(CelIp): bool', (a: CelCidr, b: CelIp) => cidrContains(a.cidr, b.address))
    .registerFunction('CelCidr.containsIP(string): bool', (a: CelCidr, b: string) =>
      cidrContains(a.cidr, ip(b).address),
    )
    .registerFunction('CelCidr.containsCIDR(CelCidr): bool', containsCidr)
    .registerFunction('CelCidr.containsCIDR(string): bool', (a: CelCidr, b: string) => containsCidr(a, cidr(b)))
    .registerFunction('CelCidr.ip(): CelIp', (a: CelCidr) => new CelIp(a.host, printAddress(a.host)))
    .registerFunction('CelCidr.prefixLength(): int', (a: CelCidr) => BigInt(a.cidr.prefix))
    .registerFunction(
      'CelCidr.masked(): CelCidr',
      (a: CelCidr) => new CelCidr(a.cidr, { family: a.cidr.family, value: a.cidr.network }),
    )
  for (const [name, holds] of Object.entries(RANGES)) environment.registerFunction(`CelIp.${name}(): bool`, holds)
}
