/** id-at-organizationName, 2.5.4.10. */
const ORGANIZATION = Buffer.from([0x55, 0x04, 0x0a])
const BMP_STRING = 0x1e
const UNIVERSAL_STRING = 0x1c

/** The organizations of a distinguished name (X.501; RFC 5280, section 4.1.2.4), from its DER. */
export function organizations(name: Buffer): string[] {
  const out: string[] = []
  for (const rdn of elements(onlyElement(name).body))
    for (const attribute of elements(rdn.body)) {
      const [type, value] = elements(attribute.body)
      if (type === undefined || value === undefined) throw new Error('asn1: structure error: incomplete attribute')
      if (type.body.equals(ORGANIZATION)) out.push(text(value))
    }
  return out
}

type Element = { tag: number; body: Buffer }

function onlyElement(der: Buffer): Element {
  const [first, ...rest] = elements(der)
  if (first === undefined || rest.length > 0) throw new Error('asn1: syntax error: trailing data')
  return first
}

function elements(der: Buffer): Element[] {
  const out: Element[] = []
  for (let at = 0; at < der.length; ) {
    const tag = der[at]!
    let length = der[at + 1] ?? 0
    let start = at + 2
    if (length >= 0x80) {
      const octets = length & 0x7f
      if (octets === 0 || octets > 4 || start + octets > der.length) throw new Error('asn1: syntax error: bad length')
      length = der.readUIntBE(start, octets)
      start += octets
    }
    if (start + length > der.length) throw new Error('asn1: syntax error: data truncated')
    out.push({ tag, body: der.subarray(start, start + length) })
    at = start + length
  }
  return out
}

function text({ tag, body }: Element): string {
  if (tag === UNIVERSAL_STRING) throw new Error('asn1: structure error: UniversalString in a name')
  if (tag !== BMP_STRING) return body.toString('utf8')
  if (body.length % 2 !== 0) throw new Error('asn1: structure error: BMPString of odd length')
  return Buffer.from(body).swap16().toString('utf16le')
}
