import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rawSubject } from '../../kernel/authn/certificate-reader.ts'
import { writePrivate, writePublic } from '../../platform/files.ts'
import {
  createKeyPair,
  type ExtendedKeyUsage,
  type Issuer,
  issueCertificate,
  type NameConstraints,
  privateKeyPem,
} from './certificate.ts'

/** What an intermediate may issue for; each has a key of its own, so that none can stand in for another. */
export type IntermediateName = 'api-server' | 'client' | 'kubelet-client' | 'kubelet-serving' | 'front-proxy' | 'etcd'

export const PURPOSES: Readonly<Record<IntermediateName, readonly ExtendedKeyUsage[]>> = {
  'api-server': ['serverAuth'],
  client: ['clientAuth'],
  'kubelet-client': ['clientAuth'],
  'kubelet-serving': ['serverAuth'],
  'front-proxy': ['clientAuth'],
  etcd: ['serverAuth', 'clientAuth'],
}

/**
 * What an intermediate can never vouch for, whoever has its key. Clients of the API server trust the root: no certificate
 * of a machine can pass for the API server's names in the cluster. The cluster's own etcd is on loopback only. Users'
 * and machines' client certificates name nobody by what constraints could tell.
 */
export const NAME_CONSTRAINTS: Readonly<Partial<Record<IntermediateName, NameConstraints>>> = {
  'kubelet-serving': { excluded: { dns: ['kubernetes', 'kubernetes.default', 'svc', 'cluster.local'] } },
  etcd: { permitted: { dns: ['localhost'], ip: ['127.0.0.0/8', '::1/128'] } },
}

export type Authorities = { root: Issuer; intermediates: Readonly<Record<IntermediateName, Issuer>> }

export type AuthorityOptions = {
  directory: string
  clusterName: string
  /** Milliseconds since the epoch. */
  now: number
  lifetimeSeconds: number
}

/** Files that do not fit together, named; never repaired by guessing, since trust hangs on them. */
export class PkiError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PkiError'
  }
}

/** A clock that is set right after the first start must not find its own root "not yet valid". */
const BACKDATE_MS = 24 * 3600_000

/** Loads the root and the intermediates, creating what is missing. Throws PkiError. */
export function openAuthorities(options: AuthorityOptions): Authorities {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 })
  chmodSync(options.directory, 0o700)
  const notBefore = options.now - BACKDATE_MS
  const notAfter = options.now + options.lifetimeSeconds * 1000
  const root = openAuthority(options, 'ca', undefined, (key, publicKey) =>
    issueCertificate({
      subject: { commonName: `${options.clusterName} root CA`, organizations: ['rampart'] },
      publicKey,
      usages: ['keyCertSign', 'cRLSign'],
      notBefore,
      notAfter,
      issuer: { selfSigned: key },
      ca: true,
      pathLength: 1,
    }),
  )
  const rootEnd = root.certificate.validToDate.getTime()
  const open = (purpose: IntermediateName): Issuer =>
    openAuthority(options, `ca-${purpose}`, root, (_key, publicKey) =>
      issueCertificate({
        subject: { commonName: `${options.clusterName} ${purpose} CA`, organizations: ['rampart'] },
        publicKey,
        usages: ['keyCertSign', 'cRLSign'],
        extKeyUsage: PURPOSES[purpose],
        notBefore,
        notAfter: Math.min(notAfter, rootEnd),
        issuer: root,
        ca: true,
        pathLength: 0,
        ...constraintsOf(purpose),
      }),
    )
  const purposes = Object.keys(PURPOSES) as IntermediateName[]
  const intermediates = Object.fromEntries(purposes.map((p) => [p, open(p)])) as Record<IntermediateName, Issuer>
  return { root, intermediates }
}

const constraintsOf = (purpose: IntermediateName): { nameConstraints?: NameConstraints } => {
  const nameConstraints = NAME_CONSTRAINTS[purpose]
  return nameConstraints === undefined ? {} : { nameConstraints }
}

/**
 * The key is written first: a key without a certificate is a creation that was interrupted, and is carried on. A
 * certificate without its key, or one that does not fit, is an error for the operator.
 */
function openAuthority(
  options: AuthorityOptions,
  name: string,
  parent: Issuer | undefined,
  create: (key: KeyObject, publicKey: KeyObject) => X509Certificate,
): Issuer {
  const keyFile = join(options.directory, `${name}.key`)
  const certificateFile = join(options.directory, `${name}.crt`)
  if (!existsSync(certificateFile)) {
    if (!existsSync(keyFile)) writePrivate(keyFile, privateKeyPem(createKeyPair().privateKey))
    const { key, publicKey } = readKey(keyFile)
    writePublic(certificateFile, create(key, publicKey).toString())
  }
  if (!existsSync(keyFile)) throw new PkiError(`${certificateFile} is there, but its key ${keyFile} is not`)
  const { key } = readKey(keyFile)
  const certificate = readCertificate(certificateFile)
  if (!certificate.checkPrivateKey(key)) throw new PkiError(`${keyFile} is not the key of ${certificateFile}`)
  if (!certificate.ca) throw new PkiError(`${certificateFile} is not a certificate authority`)
  if (parent && !(certificate.checkIssued(parent.certificate) && certificate.verify(parent.certificate.publicKey)))
    throw new PkiError(`${certificateFile} was not issued by the root of this folder`)
  if (certificate.validToDate.getTime() <= options.now)
    throw new PkiError(`${certificateFile} expired ${certificate.validTo}`)
  return { certificate, key }
}

/**
 * The same authority as a self-signed certificate: same name, same key, nothing else to trust above it. OpenSSL takes
 * only self-signed certificates for trust anchors (node's servers cannot ask for partial chains), and with the root as
 * the anchor a certificate of any other intermediate would pass.
 */
export function trustAnchor({ certificate, key }: Issuer, purpose: IntermediateName): X509Certificate {
  return issueCertificate({
    subject: { der: rawSubject(certificate.raw) },
    publicKey: certificate.publicKey,
    usages: ['keyCertSign', 'cRLSign'],
    extKeyUsage: PURPOSES[purpose],
    ...constraintsOf(purpose),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    issuer: { selfSigned: key },
    ca: true,
    pathLength: 0,
  })
}

/** Reads a private key and takes away what others may do with its file. Throws PkiError. */
export function readKey(file: string): { key: KeyObject; publicKey: KeyObject } {
  try {
    chmodSync(file, 0o600)
    const pem = readFileSync(file)
    const key = createPrivateKey(pem)
    return { key, publicKey: createPublicKey(key) }
  } catch (error) {
    throw new PkiError(`${file}: the private key cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

/** The first certificate of a PEM file. Throws PkiError. */
export function readCertificate(file: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(file))
  } catch (error) {
    throw new PkiError(`${file}: the certificate cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
