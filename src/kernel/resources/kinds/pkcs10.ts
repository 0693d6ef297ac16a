import { createPublicKey, type KeyObject, verify } from 'node:crypto'

/** Reads PKCS #10 certificate requests (RFC 2986) as far as their signature can be checked. */

const MAX_PEM_BYTES = 64 * 1024

type Element = { tag: number /** Content. */; body: Buffer /** Header and content. */; whole: Buffer }

function readElement(der: Buffer, at: number): Element {
  const tag = der[at]
  let length = der[at + 1]
  let start = at + 2
  if (tag === undefined || length === undefined) throw new Error('asn1: syntax error: data truncated')
  if (length >= 0x80) {
    const octets = length & 0x7f
    if (octets === 0 || octets > 4 || start + octets > der.length) throw new Error('asn1: syntax error: bad length')
    length = der.readUIntBE(start, octets)
    start += octets
  }
  if (start + length > der.length) throw new Error('asn1: syntax error: data truncated')
  return { tag, body: der.subarray(start, start + length), whole: der.subarray(at, start + length) }
}

const SEQUENCE = 0x30
const BIT_STRING = 0x03
const OID = 0x06

function children(element: Element): Element[] {
  if (element.tag !== SEQUENCE) throw new Error('asn1: structure error: expected a sequence')
  const out: Element[] = []
  for (let at = 0; at < element.body.length; ) {
    const child = readElement(element.body, at)
    out.push(child)
    at += child.whole.length
  }
  return out
}

/** Signature algorithms (by the hex of their OID's content) and the digest they use. */
const DIGESTS: Readonly<Record<string, string | null>> = {
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2b6570': null, // Ed25519
}

export type CertificateRequest = { publicKey: KeyObject /** DER of the subject. */; subject: Buffer }

/** The DER inside a PEM block of this type; undefined when there is none. Text around the block is ignored. */
export function pemBlock(pem: string, type: string): Buffer | undefined {
  const begin = `-----BEGIN ${type}-----`
  const start = pem.indexOf(begin)
  const end = start < 0 ? -1 : pem.indexOf(`-----END ${type}-----`, start)
  if (end < 0) return undefined
  const text = pem.slice(start + begin.length, end).replace(/\s+/g, '')
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}

/** Requests that were read and verified, by their text: one is looked at when it is created, approved and signed. */
const verified = new Map<string, CertificateRequest>()
const MAX_VERIFIED = 1024
const MAX_VERIFIED_BYTES = 2048

/** Parses a PEM request and checks that it is signed with its own key. Throws an Error that says what is wrong. */
export function parseCertificateRequest(pem: Buffer): CertificateRequest {
  if (pem.length > MAX_PEM_BYTES) throw new Error(`request is longer than ${MAX_PEM_BYTES} bytes`)
  const text = pem.toString('latin1')
  const known = verified.get(text)
  if (known !== undefined) return known
  const request = parseAndVerify(text)
  if (text.length <= MAX_VERIFIED_BYTES) {
    verified.set(text, request)
    if (verified.size > MAX_VERIFIED) verified.delete(verified.keys().next().value!)
  }
  return request
}

function parseAndVerify(pem: string): CertificateRequest {
  const der = pemBlock(pem, 'CERTIFICATE REQUEST')
  if (der === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST')
  const root = readElement(der, 0)
  if (root.whole.length !== der.length) throw new Error('asn1: syntax error: trailing data')
  const [info, algorithm, signature] = children(root)
  if (info === undefined || algorithm === undefined || signature?.tag !== BIT_STRING)
    throw new Error('asn1: structure error: not a certificate request')
  const [, subject, key] = children(info)
  if (subject === undefined || key === undefined) throw new Error('asn1: structure error: no subject or key')
  const [oid] = children(algorithm)
  const id = oid?.tag === OID ? oid.body.toString('hex') : ''
  const digest = Object.hasOwn(DIGESTS, id) ? DIGESTS[id] : undefined
  if (digest === undefined) throw new Error('x509: cannot verify signature: algorithm unimplemented')
  let publicKey: KeyObject
  try {
    publicKey = createPublicKey({ key: key.whole, format: 'der', type: 'spki' })
  } catch {
    throw new Error('x509: public key cannot be read')
  }
  if (!verify(digest, info.whole, publicKey, signature.body.subarray(1)))
    throw new Error('x509: signature of the request does not match its key')
  return { publicKey, subject: subject.whole }
}
