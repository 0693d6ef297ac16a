/**
 * A writer of DER (ITU-T X.690, the subset that X.509 needs). Every function returns one whole TLV.
 */

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

function lengthOctets(length: number): number[] {
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return [0x80 | octets.length, ...octets]
}

/** Tag, length, content. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of content) length += part.length
  const octets = length < 0x80 ? undefined : lengthOctets(length)
  const bytes = Buffer.allocUnsafe(1 + (octets?.length ?? 1) + length)
  bytes[0] = tag
  if (octets === undefined) bytes[1] = length
  else bytes.set(octets, 1)
  let at = 1 + (octets?.length ?? 1)
  for (const part of content) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => tlv(TAG.sequence, ...content)

/** SET OF: DER orders the elements by their encodings (X.690 section 11.6). */
export const setOf = (...content: readonly Uint8Array[]): Buffer =>
  tlv(TAG.set, ...content.toSorted((a, b) => Buffer.compare(a, b)))

export const boolean = (value: boolean): Buffer => tlv(TAG.boolean, Buffer.from([value ? 0xff : 0x00]))
export const nullValue = (): Buffer => tlv(TAG.null)
export const octetString = (bytes: Uint8Array): Buffer => tlv(TAG.octetString, bytes)

/** An INTEGER from unsigned big-endian bytes: the shortest form, always positive (or zero). */
export function unsignedInteger(bytes: Uint8Array): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const shortest = bytes.length === 0 ? Buffer.from([0]) : bytes.subarray(start)
  return shortest[0]! >= 0x80 ? tlv(TAG.integer, Buffer.from([0]), shortest) : tlv(TAG.integer, shortest)
}

/** Throws RangeError unless `value` is a safe integer of 0 or more. */
export function smallInteger(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`)
  const hex = value.toString(16)
  return unsignedInteger(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'))
}

export const bitString = (bytes: Uint8Array): Buffer => tlv(TAG.bitString, Buffer.from([0]), bytes)

/**
 * A named-bit BIT STRING such as KeyUsage: bit 0 is the first bit of the first byte; trailing zero bits are dropped
 * (X.690 section 11.2.2).
 */
export function namedBits(bits: readonly number[]): Buffer {
  if (bits.length === 0) return tlv(TAG.bitString, Buffer.from([0]))
  const highest = Math.max(...bits)
  const bytes = Buffer.alloc(Math.floor(highest / 8) + 1)
  for (const bit of bits) bytes[bit >> 3] = bytes[bit >> 3]! | (0x80 >> (bit & 7))
  return tlv(TAG.bitString, Buffer.from([7 - (highest & 7)]), bytes)
}

/** Programs name a few dozen of them, again and again. */
const identifiers = new Map<string, Buffer>()
const MAX_IDENTIFIERS = 256

/** `dotted` such as 1.2.840.10045.2.1. Throws RangeError when it is no object identifier. */
export function objectIdentifier(dotted: string): Buffer {
  const known = identifiers.get(dotted)
  if (known !== undefined) return known
  const encoded = encodeIdentifier(dotted)
  if (identifiers.size < MAX_IDENTIFIERS) identifiers.set(dotted, encoded)
  return encoded
}

function encodeIdentifier(dotted: string): Buffer {
  const arcs = dotted.split('.').map(Number)
  const [first, second, ...rest] = arcs
  if (
    first === undefined ||
    second === undefined ||
    first > 2 ||
    (first < 2 && second > 39) ||
    arcs.some((arc) => !Number.isSafeInteger(arc) || arc < 0)
  )
    throw new RangeError(`not an object identifier: ${dotted}`)
  const octets: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const group = [arc % 128]
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) group.unshift((high % 128) | 0x80)
    octets.push(...group)
  }
  return tlv(TAG.oid, Buffer.from(octets))
}

export const utf8String = (text: string): Buffer => tlv(TAG.utf8String, Buffer.from(text, 'utf8'))

/** Context-specific tag around whole TLVs, e.g. `[3] EXPLICIT`. */
export const explicit = (number: number, ...content: readonly Uint8Array[]): Buffer => tlv(0xa0 | number, ...content)
/** Context-specific tag that replaces a primitive's own, e.g. `[2] IMPLICIT IA5String`. */
export const implicit = (number: number, content: Uint8Array): Buffer => tlv(0x80 | number, content)

const two = (value: number): string => String(value).padStart(2, '0')

/**
 * RFC 5280 section 4.1.2.5: UTCTime through the year 2049, GeneralizedTime after it; whole seconds, UTC.
 * `milliseconds` since the epoch. Throws RangeError outside the years 1950 to 9999.
 */
export function time(milliseconds: number): Buffer {
  const date = new Date(milliseconds)
  const year = date.getUTCFullYear()
  if (!(year >= 1950 && year <= 9999)) throw new RangeError(`a certificate cannot hold the time ${milliseconds}`)
  const tail =
    two(date.getUTCMonth() + 1) +
    two(date.getUTCDate()) +
    two(date.getUTCHours()) +
    two(date.getUTCMinutes()) +
    `${two(date.getUTCSeconds())}Z`
  return year < 2050
    ? tlv(TAG.utcTime, Buffer.from(two(year % 100) + tail, 'ascii'))
    : tlv(TAG.generalizedTime, Buffer.from(String(year) + tail, 'ascii'))
}
