import { parseAddress, parseCidr } from '../../../kernel/resources/validation/addresses.ts'

export type AddressFamily = 4 | 6
/** `text` is canonical: two addresses are the same exactly when their texts are. */
export type IPAddress = { family: AddressFamily; value: bigint; text: string }
/** Both ends belong to it. */
export type AddressRange = { family: AddressFamily; first: bigint; last: bigint }

const BITS = { 4: 32, 6: 128 } as const

/** Dotted for IPv4, RFC 5952 for IPv6. */
export function formatAddress(family: AddressFamily, value: bigint): string {
  if (family === 4) {
    const n = Number(value)
    return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`
  }
  const groups: number[] = []
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn))
  let [start, length] = [0, 1]
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end++
    if (end - i > length) [start, length] = [i, end - i]
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  return length === 1 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

export function ipAddress(text: string): IPAddress | undefined {
  const parsed = parseAddress(text)
  return parsed && { ...parsed, text: formatAddress(parsed.family, parsed.value) }
}

/** The addresses of a CIDR; undefined when it is none. */
export function rangeOfCidr(text: string): AddressRange | undefined {
  const cidr = parseCidr(text)
  if (cidr === undefined) return undefined
  const size = 1n << BigInt(BITS[cidr.family] - cidr.prefix)
  return { family: cidr.family, first: cidr.network, last: cidr.network + size - 1n }
}

export const wholeFamily = (family: AddressFamily): AddressRange => ({
  family,
  first: 0n,
  last: (1n << BigInt(BITS[family])) - 1n,
})

/** What is left of a range without `holes`, in order. */
export function subtractRanges(range: AddressRange, holes: readonly AddressRange[]): AddressRange[] {
  const left: AddressRange[] = []
  let { first } = range
  for (const hole of holes.filter((h) => h.family === range.family).sort((a, b) => (a.first < b.first ? -1 : 1))) {
    if (hole.last < first) continue
    if (hole.first > range.last) break
    if (hole.first > first) left.push({ family: range.family, first, last: hole.first - 1n })
    first = hole.last + 1n
  }
  if (first <= range.last) left.push({ family: range.family, first, last: range.last })
  return left
}

export const rangeContains = (range: AddressRange, address: { family: AddressFamily; value: bigint }): boolean =>
  range.family === address.family && range.first <= address.value && address.value <= range.last

/** `10.0.0.0/8` where it is a whole block, a single address bare, otherwise `first-last`: nft's own notation. */
export function formatRange({ family, first, last }: AddressRange): string {
  const from = formatAddress(family, first)
  const size = last - first + 1n
  if (size === 1n) return from
  if ((size & (size - 1n)) !== 0n || first % size !== 0n) return `${from}-${formatAddress(family, last)}`
  return `${from}/${BITS[family] - (size.toString(2).length - 1)}`
}
