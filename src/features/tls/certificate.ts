import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIP, isIPv6 } from 'node:net'
import { children, extensionValue, rawSubject, readTlv } from '../../kernel/authn/certificate-reader.ts'
import {
  bitString,
  boolean,
  explicit,
  implicit,
  namedBits,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
  time,
  unsignedInteger,
  utf8String,
} from './der.ts'

/** Bit numbers of RFC 5280 section 4.2.1.3. */
const KEY_USAGE_BITS = {
  digitalSignature: 0,
  contentCommitment: 1,
  keyEncipherment: 2,
  dataEncipherment: 3,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
  encipherOnly: 7,
  decipherOnly: 8,
} as const

const EXTENDED_KEY_USAGE_OIDS = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

export type KeyUsage = keyof typeof KEY_USAGE_BITS
export type ExtendedKeyUsage = keyof typeof EXTENDED_KEY_USAGE_OIDS

/** `der`: a whole Name as it came in a request, copied byte for byte. */
export type Subject = { commonName: string; organizations?: readonly string[] } | { der: Uint8Array }
export type SubjectAltNames = {
  dns?: readonly string[]
  ip?: readonly string[]
  email?: readonly string[]
  uri?: readonly string[]
}

/** Of names that are there: DNS names with all below them, and networks as ADDRESS/BITS. */
export type NameConstraints = { permitted?: Subtrees; excluded?: Subtrees }
export type Subtrees = { dns?: readonly string[]; ip?: readonly string[] }

export type Issuer = { certificate: X509Certificate; key: KeyObject }

export type CertificateRequest = {
  subject: Subject
  /** Or its SubjectPublicKeyInfo in DER, as a request holds it: exporting a key costs more than signing with one. */
  publicKey: KeyObject | Uint8Array
  sans?: SubjectAltNames
  usages: readonly KeyUsage[]
  extKeyUsage?: readonly ExtendedKeyUsage[]
  /** Milliseconds since the epoch; whole seconds are kept. */
  notBefore: number
  notAfter: number
  /** Who signs; for a root its own private key. */
  issuer: Issuer | { selfSigned: KeyObject }
  ca?: boolean
  pathLength?: number
  nameConstraints?: NameConstraints
  /** At most 20 octets, unsigned; default: 17 random ones. */
  serial?: Uint8Array
}

/** A certificate that cannot be issued as asked; `code` is stable. */
export class CertificateError extends Error {
  readonly code: 'invalid-subject' | 'invalid-san' | 'invalid-validity' | 'invalid-issuer' | 'unsupported-key'
  constructor(code: CertificateError['code'], message: string) {
    super(message)
    this.name = 'CertificateError'
    this.code = code
  }
}

/** ECDSA P-256. */
export function createKeyPair(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

export const privateKeyPem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string

/** Signature algorithm (RFC 5758, RFC 4055, RFC 8410) and node's digest for an issuer's key. */
function signatureScheme(key: KeyObject): { algorithm: Buffer; digest: string | null } {
  if (key.asymmetricKeyType === 'ec') {
    const curve = key.asymmetricKeyDetails?.namedCurve
    if (curve === 'prime256v1')
      return { algorithm: sequence(objectIdentifier('1.2.840.10045.4.3.2')), digest: 'sha256' }
    if (curve === 'secp384r1') return { algorithm: sequence(objectIdentifier('1.2.840.10045.4.3.3')), digest: 'sha384' }
  }
  if (key.asymmetricKeyType === 'rsa')
    return { algorithm: sequence(objectIdentifier('1.2.840.113549.1.1.11'), nullValue()), digest: 'sha256' }
  if (key.asymmetricKeyType === 'ed25519') return { algorithm: sequence(objectIdentifier('1.3.101.112')), digest: null }
  throw new CertificateError('unsupported-key', `cannot sign certificates with a key of type ${key.asymmetricKeyType}`)
}

function attribute(oid: string, value: string, maximum: number): Buffer {
  // RFC 5280 appendix A.1: ub-common-name and ub-organization-name are 64 characters. Kubernetes' names may be longer
  // (system:node:<253>), Go and OpenSSL take them; the limit here is Kubernetes'.
  if (value === '' || value.includes('\0') || value.length > maximum)
    throw new CertificateError(
      'invalid-subject',
      `subject part ${JSON.stringify(value)} is empty, too long or holds NUL`,
    )
  return setOf(sequence(objectIdentifier(oid), utf8String(value)))
}

/** DER of a Name (RFC 5280 section 4.1.2.4): each organization, then the common name. Throws CertificateError. */
export function encodeName(subject: Subject): Uint8Array {
  if ('der' in subject) return subject.der
  const organizations = (subject.organizations ?? []).map((o) => attribute('2.5.4.10', o, 1024))
  return sequence(...organizations, attribute('2.5.4.3', subject.commonName, 1024))
}

/** 4 or 16 bytes of an IPv4 or IPv6 address. Throws CertificateError. */
export function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%'))
    throw new CertificateError('invalid-san', `${JSON.stringify(address)} is no IP address`)
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const text = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : address
  const [head = '', tail] = text.split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((g) => Number.parseInt(g, 16)))
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const middle = new Array<number>(8 - before.length - after.length).fill(0)
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...before, ...middle, ...after].entries()) bytes.writeUInt16BE(group, i * 2)
  return bytes
}

const DNS_NAME =
  /^(\*\.)?([A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*\.?$/

function ascii(kind: string, value: string): Buffer {
  if (value === '' || value.length > 2048 || !/^[\x21-\x7e]+$/.test(value))
    throw new CertificateError('invalid-san', `${JSON.stringify(value)} is no ${kind} name`)
  return Buffer.from(value, 'ascii')
}

/** DER of each GeneralName (RFC 5280 section 4.2.1.6). Throws CertificateError. */
export function generalNames(sans: SubjectAltNames): Buffer[] {
  const dns = (sans.dns ?? []).map((value) => {
    if (value.length > 253 || !DNS_NAME.test(value))
      throw new CertificateError('invalid-san', `${JSON.stringify(value)} is no DNS name`)
    return implicit(2, ascii('DNS', value))
  })
  const email = (sans.email ?? []).map((value) => implicit(1, ascii('email', value)))
  const uri = (sans.uri ?? []).map((value) => implicit(6, ascii('URI', value)))
  const ip = (sans.ip ?? []).map((value) => implicit(7, addressBytes(value)))
  return [...dns, ...email, ...uri, ...ip]
}

/** RFC 5280 section 4.2.1.10. */
function nameConstraints({ permitted = {}, excluded = {} }: NameConstraints): Buffer {
  const subtrees = ({ dns = [], ip = [] }: Subtrees): Buffer[] => [
    ...dns.map((name) => sequence(implicit(2, ascii('DNS', name)))),
    ...ip.map((network) => sequence(implicit(7, networkBytes(network)))),
  ]
  const [allow, deny] = [subtrees(permitted), subtrees(excluded)]
  return sequence(
    ...(allow.length > 0 ? [explicit(0, ...allow)] : []),
    ...(deny.length > 0 ? [explicit(1, ...deny)] : []),
  )
}

/** Address and mask of ADDRESS/BITS. */
function networkBytes(network: string): Buffer {
  const [address = '', bits = ''] = network.split('/')
  const base = addressBytes(address)
  const length = Number(bits)
  if (!/^\d{1,3}$/.test(bits) || length > base.length * 8)
    throw new CertificateError('invalid-san', `${JSON.stringify(network)} is no network`)
  const mask = base.map((_, i) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * i)))
  return Buffer.concat([base, Buffer.from(mask)])
}

function extension(oid: string, critical: boolean, value: Uint8Array): Buffer {
  return critical
    ? sequence(objectIdentifier(oid), boolean(true), octetString(value))
    : sequence(objectIdentifier(oid), octetString(value))
}

const spkiOf = (key: KeyObject | Uint8Array): Uint8Array =>
  key instanceof Uint8Array ? key : key.export({ type: 'spki', format: 'der' })

/** RFC 7093 section 2 method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
export function subjectKeyIdentifier(publicKey: KeyObject | Uint8Array): Buffer {
  const spki = spkiOf(publicKey)
  const bits = children(readTlv(spki))[1]!.content
  return createHash('sha256').update(bits.subarray(1)).digest().subarray(0, 20)
}

/** The subjectKeyIdentifier of a certificate; undefined when it has none. */
export function keyIdentifierOf(certificate: X509Certificate): Uint8Array | undefined {
  const value = extensionValue(certificate.raw, '2.5.29.14')
  return value === undefined ? undefined : readTlv(value).content
}

/** A positive serial of 17 octets with 134 random bits (RFC 5280 section 4.1.2.2 allows up to 20 octets). */
function randomSerial(): Buffer {
  const serial = randomBytes(17)
  serial[0] = (serial[0]! & 0x7f) | 0x40
  return serial
}

const isSelfSigned = (issuer: CertificateRequest['issuer']): issuer is { selfSigned: KeyObject } =>
  'selfSigned' in issuer

/** Issues an X.509 v3 certificate; see signCertificate. Throws CertificateError. */
export function issueCertificate(request: CertificateRequest): X509Certificate {
  return new X509Certificate(signCertificate(request))
}

/** PEM of one block. */
export function pem(label: 'CERTIFICATE', der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  return `-----BEGIN ${label}-----\n${text.replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`
}

type IssuerName = { subject: Uint8Array; keyIdentifier: Uint8Array | undefined }
const issuerNames = new WeakMap<X509Certificate, IssuerName>()

function issuerName(certificate: X509Certificate): IssuerName {
  let name = issuerNames.get(certificate)
  if (name === undefined) {
    name = { subject: rawSubject(certificate.raw), keyIdentifier: keyIdentifierOf(certificate) }
    issuerNames.set(certificate, name)
  }
  return name
}

/**
 * Signs an X.509 v3 certificate (RFC 5280): DER. CAs get keyUsage as given and critical basicConstraints; leaves get
 * CA:FALSE. Throws CertificateError.
 */
export function signCertificate(request: CertificateRequest): Buffer {
  const { issuer } = request
  const publicKey = spkiOf(request.publicKey)
  if (!(request.notAfter > request.notBefore))
    throw new CertificateError('invalid-validity', 'notAfter must lie after notBefore')
  const signingKey = isSelfSigned(issuer) ? issuer.selfSigned : issuer.key
  if (!isSelfSigned(issuer) && !issuer.certificate.ca)
    throw new CertificateError('invalid-issuer', 'the issuer is not a certificate authority')
  const scheme = signatureScheme(signingKey)
  const subject = encodeName(request.subject)
  const keyIdentifier = subjectKeyIdentifier(publicKey)
  const name = isSelfSigned(issuer) ? { subject, keyIdentifier } : issuerName(issuer.certificate)

  const extensions: Buffer[] = [
    extension(
      '2.5.29.19',
      true,
      request.ca
        ? sequence(boolean(true), ...(request.pathLength === undefined ? [] : [smallInteger(request.pathLength)]))
        : sequence(),
    ),
    // RFC 5280, 4.2.1.3: where the extension stands, at least one bit is set.
    ...(request.usages.length === 0
      ? []
      : [extension('2.5.29.15', true, namedBits(request.usages.map((u) => KEY_USAGE_BITS[u])))]),
  ]
  if (request.nameConstraints !== undefined)
    extensions.push(extension('2.5.29.30', true, nameConstraints(request.nameConstraints)))
  if (request.extKeyUsage !== undefined && request.extKeyUsage.length > 0) {
    const purposes = request.extKeyUsage.map((u) => objectIdentifier(EXTENDED_KEY_USAGE_OIDS[u]))
    extensions.push(extension('2.5.29.37', false, sequence(...purposes)))
  }
  extensions.push(extension('2.5.29.14', false, octetString(keyIdentifier)))
  if (name.keyIdentifier !== undefined)
    extensions.push(extension('2.5.29.35', false, sequence(implicit(0, name.keyIdentifier))))
  const names = generalNames(request.sans ?? {})
  if (names.length > 0) extensions.push(extension('2.5.29.17', false, sequence(...names)))

  const tbs = sequence(
    explicit(0, smallInteger(2)),
    unsignedInteger(request.serial ?? randomSerial()),
    scheme.algorithm,
    name.subject,
    sequence(time(request.notBefore), time(request.notAfter)),
    subject,
    publicKey,
    explicit(3, sequence(...extensions)),
  )
  const signature = sign(scheme.digest, tbs, signingKey)
  return sequence(tbs, scheme.algorithm, bitString(signature))
}

/** True when both list the same names, in any order; DNS without regard to case, addresses by value. */
export function sameNames(certificate: X509Certificate, sans: SubjectAltNames): boolean {
  const wanted = new Set([
    ...(sans.dns ?? []).map((d) => `DNS:${d.toLowerCase()}`),
    ...(sans.ip ?? []).map((ip) => `IP:${addressBytes(ip).toString('hex')}`),
  ])
  const present = new Set(
    (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((entry) => entry !== '')
      .map((entry) =>
        entry.startsWith('IP Address:')
          ? `IP:${addressBytes(entry.slice('IP Address:'.length)).toString('hex')}`
          : entry.replace(/^DNS:(.*)$/, (_, dns: string) => `DNS:${dns.toLowerCase()}`),
      ),
  )
  return wanted.size === present.size && [...wanted].every((entry) => present.has(entry))
}
