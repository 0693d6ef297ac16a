import 'reflect-metadata'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import {
  COMMON_NAME,
  children,
  DerError,
  nameAttributes,
  ORGANIZATION,
  readTlv,
} from '../../kernel/authn/certificate-reader.ts'
import type { SubjectAltNames } from './certificate.ts'
import type { RequestedCertificate } from './signers.ts'

/** A PKCS#10 request whose signature was verified. */
export type ParsedCertificateRequest = RequestedCertificate & { publicKey: KeyObject; subjectDer: Uint8Array }

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

/** Reads spec.request of a CertificateSigningRequest: one PEM block. Rejects with CertificateRequestError. */
export async function parseCertificateRequest(pem: string): Promise<ParsedCertificateRequest> {
  if (pem.length > MAX_BYTES) throw new CertificateRequestError('malformed', `the request is over ${MAX_BYTES} bytes`)
  const body = PEM.exec(pem)
  if (body === null) throw new CertificateRequestError('malformed', 'PEM block type must be CERTIFICATE REQUEST')
  const der = Buffer.from(body[1]!, 'base64')
  const request = decode(der)
  const publicKey = strongKey(Buffer.from(request.publicKey.rawData))
  await verifySignature(request)
  try {
    return { ...subjectOf(request, der), publicKey, sans: alternativeNames(request) }
  } catch (error) {
    if (error instanceof DerError) throw new CertificateRequestError('malformed', error.message)
    throw error
  }
}

function decode(der: Buffer): Pkcs10CertificateRequest {
  try {
    if (readTlv(der).raw.length !== der.length) throw new DerError('bytes after the request')
    return new Pkcs10CertificateRequest(der)
  } catch (error) {
    throw new CertificateRequestError('malformed', `the request cannot be read: ${(error as Error).message}`)
  }
}

async function verifySignature(request: Pkcs10CertificateRequest): Promise<void> {
  let verified = false
  try {
    verified = await request.verify()
  } catch (error) {
    throw new CertificateRequestError('bad-signature', `the signature cannot be checked: ${(error as Error).message}`)
  }
  if (!verified) throw new CertificateRequestError('bad-signature', 'the request is not signed with its own key')
}

/** ECDSA on P-256, P-384, P-521; RSA of 2048 to 8192 bits; Ed25519. */
function strongKey(spki: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch (error) {
    throw new CertificateRequestError('malformed', `the public key cannot be read: ${(error as Error).message}`)
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  const curve = details?.namedCurve ?? ''
  const bits = details?.modulusLength ?? 0
  if (type === 'ed25519') return key
  if (type === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(curve)) return key
  if (type === 'rsa' && bits >= 2048 && bits <= 8192) return key
  throw new CertificateRequestError('weak-key', `keys of type ${type} ${curve || bits || ''} are not accepted`)
}

function subjectOf(
  request: Pkcs10CertificateRequest,
  der: Buffer,
): Pick<ParsedCertificateRequest, 'commonName' | 'organizations' | 'subjectDer'> {
  const subjectDer = Buffer.from(request.subjectName.toArrayBuffer())
  if (!der.includes(subjectDer)) throw new CertificateRequestError('malformed', 'the subject is not encoded in DER')
  const attributes = nameAttributes(subjectDer)
  const of = (oid: string): string[] => attributes.filter((a) => a.oid === oid).map((a) => a.value)
  const [commonName, ...more] = of(COMMON_NAME)
  if (commonName === undefined || commonName === '' || more.length > 0)
    throw new CertificateRequestError('bad-subject', 'the subject must have exactly one common name')
  return { commonName, organizations: of(ORGANIZATION), subjectDer }
}

const SUBJECT_ALT_NAME = '2.5.29.17'

/** Read here and not by the library, which leaves out kinds of names that it does not know. */
function alternativeNames(request: Pkcs10CertificateRequest): Required<SubjectAltNames> {
  const sans = { dns: [] as string[], ip: [] as string[], email: [] as string[], uri: [] as string[] }
  const names = request.extensions
    .filter((e) => e.type === SUBJECT_ALT_NAME)
    .flatMap((e) => children(readTlv(new Uint8Array(e.value))))
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
