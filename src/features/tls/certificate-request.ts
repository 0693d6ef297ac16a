import type { KeyObject } from 'node:crypto'
import {
  COMMON_NAME,
  children,
  DerError,
  nameAttributes,
  ORGANIZATION,
  readTlv,
  type Tlv,
} from '../../kernel/authn/certificate-reader.ts'
import { pemBlock, parseCertificateRequest as verifiedRequest } from '../../kernel/resources/kinds/pkcs10.ts'
import type { SubjectAltNames } from './certificate.ts'
import { objectIdentifier, tlv } from './der.ts'
import type { RequestedCertificate } from './signers.ts'

/** A PKCS#10 request whose signature was verified. */
export type ParsedCertificateRequest = RequestedCertificate & {
  publicKey: KeyObject
  /** SubjectPublicKeyInfo, DER. */
  spki: Uint8Array
  subjectDer: Uint8Array
}

/** A request that cannot be read or trusted; the message is fit for the requester. */
export class CertificateRequestError extends Error {
  readonly code: 'malformed' | 'bad-signature' | 'weak-key' | 'bad-subject'
  constructor(code: CertificateRequestError['code'], message: string) {
    super(message)
    this.name = 'CertificateRequestError'
    this.code = code
  }
}

/** Far more than any real request; a bound on the work done for hostile ones. */
const MAX_BYTES = 64 * 1024
const MAX_NAMES = 256
const PEM = /^\s*-----BEGIN CERTIFICATE REQUEST-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/

/** Reads spec.request of a CertificateSigningRequest: one PEM block. Throws CertificateRequestError. */
export function parseCertificateRequest(pem: string): ParsedCertificateRequest {
  if (pem.length > MAX_BYTES) throw new CertificateRequestError('malformed', `the request is over ${MAX_BYTES} bytes`)
  const der = PEM.test(pem) ? pemBlock(pem, 'CERTIFICATE REQUEST') : undefined
  if (der === undefined) throw new CertificateRequestError('malformed', 'PEM block type must be CERTIFICATE REQUEST')
  const { publicKey, subject } = verified(pem)
  demandStrong(publicKey)
  try {
    const [, , spki, ...attributes] = children(children(readTlv(der))[0]!)
    return {
      ...namesOf(subject),
      publicKey,
      spki: spki!.raw,
      subjectDer: subject,
      sans: alternativeNames(attributes),
    }
  } catch (error) {
    if (error instanceof DerError) throw new CertificateRequestError('malformed', error.message)
    throw error
  }
}

function verified(pem: string): { publicKey: KeyObject; subject: Buffer } {
  try {
    return verifiedRequest(Buffer.from(pem, 'latin1'))
  } catch (error) {
    const { message } = error as Error
    const code = /signature/.test(message) ? 'bad-signature' : 'malformed'
    throw new CertificateRequestError(code, `the request cannot be used: ${message}`)
  }
}

/** ECDSA on P-256, P-384, P-521; RSA of 2048 to 8192 bits; Ed25519. */
function demandStrong({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): void {
  const curve = details?.namedCurve ?? ''
  const bits = details?.modulusLength ?? 0
  if (type === 'ed25519') return
  if (type === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(curve)) return
  if (type === 'rsa' && bits >= 2048 && bits <= 8192) return
  throw new CertificateRequestError('weak-key', `keys of type ${type} ${curve || bits || ''} are not accepted`)
}

/** What is copied into a certificate byte for byte must be DER: one length for one content. */
const inDer = (part: Tlv): Buffer =>
  tlv(part.tag, ...((part.tag & 0x20) === 0 ? [part.content] : children(part).map(inDer)))

function namesOf(subject: Uint8Array): Pick<ParsedCertificateRequest, 'commonName' | 'organizations'> {
  if (!inDer(readTlv(subject)).equals(subject)) throw new DerError('the subject is not encoded in DER')
  const attributes = nameAttributes(subject)
  const of = (oid: string): string[] => attributes.filter((a) => a.oid === oid).map((a) => a.value)
  const [commonName, ...more] = of(COMMON_NAME)
  if (commonName === undefined || commonName === '' || more.length > 0)
    throw new CertificateRequestError('bad-subject', 'the subject must have exactly one common name')
  return { commonName, organizations: of(ORGANIZATION) }
}

const EXTENSION_REQUEST = objectIdentifier('1.2.840.113549.1.9.14')
const SUBJECT_ALT_NAME = objectIdentifier('2.5.29.17')
const ATTRIBUTES = 0xa0
const SEQUENCE = 0x30
const SET = 0x31
const OCTET_STRING = 0x04

const is = (part: Tlv | undefined, oid: Buffer): boolean => part !== undefined && oid.equals(part.raw)

function expect(part: Tlv | undefined, tag: number): Tlv {
  if (part?.tag !== tag) throw new DerError('an attribute or extension of the request is not encoded as it should be')
  return part
}

/** Extensions that the request asks for (RFC 2985 section 5.4.2). */
function extensions(attributes: readonly Tlv[]): Tlv[][] {
  return attributes
    .filter(({ tag }) => tag === ATTRIBUTES)
    .flatMap(children)
    .map((attribute) => children(expect(attribute, SEQUENCE)))
    .filter(([oid]) => is(oid, EXTENSION_REQUEST))
    .flatMap(([, values]) => children(expect(values, SET)))
    .flatMap((list) => children(expect(list, SEQUENCE)))
    .map((extension) => children(expect(extension, SEQUENCE)))
}

function alternativeNames(attributes: readonly Tlv[]): Required<SubjectAltNames> {
  const sans = { dns: [] as string[], ip: [] as string[], email: [] as string[], uri: [] as string[] }
  const names = extensions(attributes)
    .filter(([oid]) => is(oid, SUBJECT_ALT_NAME))
    .flatMap((extension) => children(expect(readTlv(expect(extension.at(-1), OCTET_STRING).content), SEQUENCE)))
  if (names.length > MAX_NAMES) throw new CertificateRequestError('malformed', `more than ${MAX_NAMES} subjectAltNames`)
  for (const { tag, content } of names) {
    if (tag === 0x81) sans.email.push(ascii(content))
    else if (tag === 0x82) sans.dns.push(ascii(content))
    else if (tag === 0x86) sans.uri.push(ascii(content))
    else if (tag === 0x87) sans.ip.push(address(content))
    else throw new CertificateRequestError('malformed', `subjectAltNames of type [${tag & 0x1f}] are not accepted`)
  }
  return sans
}

function ascii(bytes: Uint8Array): string {
  if (bytes.some((octet) => octet < 0x21 || octet > 0x7e))
    throw new CertificateRequestError('malformed', 'a subjectAltName holds other than printable ASCII')
  return Buffer.from(bytes).toString('ascii')
}

function address(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new CertificateRequestError('malformed', 'an IP address of neither 4 nor 16 bytes')
  return Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16)).join(':')
}
