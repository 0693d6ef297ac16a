/**
 * Reads the few parts of a DER certificate (RFC 5280) that node's X509Certificate gives only as printed text: a printed
 * name cannot be taken apart safely. Every length is checked against the bytes that are there.
 */

export type Tlv = { tag: number; content: Uint8Array; raw: Uint8Array }

export class DerError extends Error {
  constructor(message: string) {
    super(`malformed DER: ${message}`)
    this.name = 'DerError'
  }
}

/** The TLV at `offset`. Throws DerError. */
export function readTlv(bytes: Uint8Array, offset = 0): Tlv {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) throw new DerError('it ends within a header')
  if ((tag & 0x1f) === 0x1f) throw new DerError('multi-byte tags do not occur in certificates')
  let start = offset + 2
  let length = first
  if (first >= 0x80) {
    const size = first & 0x7f
    if (size === 0 || size > 4) throw new DerError('indefinite or huge length')
    length = 0
    for (let i = 0; i < size; i++) length = length * 256 + (bytes[start + i] ?? 0)
    start += size
  }
  const end = start + length
  if (end > bytes.length) throw new DerError('it ends within a value')
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(offset, end) }
}

/** The TLVs inside a constructed one. Throws DerError. */
export function children(parent: Tlv): Tlv[] {
  const out: Tlv[] = []
  for (let at = 0; at < parent.content.length; ) {
    const child = readTlv(parent.content, at)
    out.push(child)
    at += child.raw.length
  }
  return out
}

/** Fields of the TBSCertificate, without the optional version in front: serial, signature, issuer, validity, subject, … */
function tbsFields(certificate: Uint8Array): Tlv[] {
  const tbs = children(readTlv(certificate))[0]
  if (tbs === undefined) throw new DerError('no certificate')
  const fields = children(tbs)
  return fields[0]?.tag === 0xa0 ? fields.slice(1) : fields
}

/** The subject's Name as it stands in the certificate, byte for byte. Throws DerError. */
export function rawSubject(certificate: Uint8Array): Uint8Array {
  const subject = tbsFields(certificate)[4]
  if (subject === undefined) throw new DerError('no subject')
  return subject.raw
}

/** Value (the content of the OCTET STRING) of the extension with this dotted object identifier. Throws DerError. */
export function extensionValue(certificate: Uint8Array, oid: string): Uint8Array | undefined {
  const holder = tbsFields(certificate).find((field) => field.tag === 0xa3)
  const list = holder && children(holder)[0]
  for (const extension of list ? children(list) : []) {
    const parts = children(extension)
    if (parts[0] && dottedOid(parts[0].content) === oid) return parts.at(-1)!.content
  }
  return undefined
}

function dottedOid(content: Uint8Array): string {
  const arcs: number[] = []
  let value = 0
  for (const octet of content) {
    value = value * 128 + (octet & 0x7f)
    if (octet < 0x80) {
      if (arcs.length === 0) {
        const first = Math.min(Math.floor(value / 40), 2)
        arcs.push(first, value - first * 40)
      } else arcs.push(value)
      value = 0
    }
  }
  return arcs.join('.')
}

export type NameAttribute = { oid: string; value: string }

export const COMMON_NAME = '2.5.4.3'
export const ORGANIZATION = '2.5.4.10'

/**
 * Attributes of a Name in their order, those of multi-valued parts too. Throws DerError for string types other than
 * UTF8String, PrintableString and IA5String: their meaning would be a guess.
 */
export function nameAttributes(name: Uint8Array): NameAttribute[] {
  const out: NameAttribute[] = []
  for (const part of children(readTlv(name)))
    for (const pair of children(part)) {
      const [oid, value] = children(pair)
      if (oid === undefined || value === undefined) throw new DerError('a name attribute without a value')
      out.push({ oid: dottedOid(oid.content), value: text(value) })
    }
  return out
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function text(value: Tlv): string {
  if (value.tag !== 0x0c && value.tag !== 0x13 && value.tag !== 0x16)
    throw new DerError(`a name attribute has the string type ${value.tag}`)
  try {
    return UTF8.decode(value.content)
  } catch (error) {
    throw new DerError(`a name attribute is not UTF-8: ${(error as Error).message}`)
  }
}
