import type { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { nameAttributes, rawSubject } from '../../kernel/authn/certificate-reader.ts'
import { writePrivate, writePublic } from '../../platform/files.ts'
import { PkiError, readCertificate, readKey } from './authorities.ts'
import {
  createKeyPair,
  type ExtendedKeyUsage,
  type Issuer,
  issueCertificate,
  privateKeyPem,
  type SubjectAltNames,
  sameNames,
} from './certificate.ts'

/** PEM texts: `certificate` is the leaf followed by its intermediate. */
export type Credential = { certificate: string; key: string; leaf: X509Certificate }

export type LeafSpec = {
  commonName: string
  organizations?: readonly string[]
  sans?: SubjectAltNames
  extKeyUsage: readonly ExtendedKeyUsage[]
}

export type Validity = {
  /** Milliseconds since the epoch. */
  now: number
  lifetimeSeconds: number
}

/** Clocks of two machines may differ by this much. */
const BACKDATE_MS = 5 * 60_000

/** A new key and certificate. */
export function issueLeaf(spec: LeafSpec, issuer: Issuer, validity: Validity): Credential {
  const { publicKey, privateKey } = createKeyPair()
  const leaf = issueCertificate({
    subject: { commonName: spec.commonName, organizations: spec.organizations ?? [] },
    publicKey,
    sans: spec.sans ?? {},
    usages: ['digitalSignature'],
    extKeyUsage: spec.extKeyUsage,
    notBefore: validity.now - BACKDATE_MS,
    notAfter: Math.min(validity.now + validity.lifetimeSeconds * 1000, issuer.certificate.validToDate.getTime()),
    issuer,
  })
  return credential(leaf, privateKeyPem(privateKey), issuer)
}

function credential(leaf: X509Certificate, key: string, issuer: Issuer): Credential {
  return { certificate: leaf.toString() + issuer.certificate.toString(), key, leaf }
}

/** The moment at which two thirds of a certificate's life are over, in milliseconds since the epoch. */
export function renewalTime(certificate: X509Certificate): number {
  const from = certificate.validFromDate.getTime()
  return from + ((certificate.validToDate.getTime() - from) * 2) / 3
}

/** Why a certificate must be replaced now; undefined when it is good as it is. */
export function staleness(
  certificate: X509Certificate,
  spec: LeafSpec,
  issuer: Issuer,
  now: number,
): string | undefined {
  if (now >= renewalTime(certificate)) return 'two thirds of its life are over'
  if (now < certificate.validFromDate.getTime()) return 'it is not valid yet'
  if (!(certificate.checkIssued(issuer.certificate) && certificate.verify(issuer.certificate.publicKey)))
    return 'it has another issuer'
  if (!sameNames(certificate, spec.sans ?? {})) return 'its names have changed'
  const subject = nameAttributes(rawSubject(certificate.raw)).map((a) => a.value)
  const wanted = [...(spec.organizations ?? []), spec.commonName]
  if (subject.length !== wanted.length || subject.some((value, i) => value !== wanted[i]))
    return 'its subject has changed'
  return undefined
}

/**
 * Loads `NAME.crt` and `NAME.key`, and issues them anew when they are missing, stale or do not fit together (a crash
 * between the two writes of a renewal).
 */
export function openLeaf(
  directory: string,
  name: string,
  spec: LeafSpec,
  issuer: Issuer,
  validity: Validity,
  force: boolean = false,
): Credential & { issued: string | undefined } {
  const found = load(directory, name, issuer)
  const stale = typeof found === 'string' ? found : staleness(found.leaf, spec, issuer, validity.now)
  const reason = stale ?? (force ? 'it was asked for' : undefined)
  if (typeof found !== 'string' && reason === undefined) return { ...found, issued: undefined }
  const fresh = issueLeaf(spec, issuer, validity)
  writePrivate(join(directory, `${name}.key`), fresh.key)
  writePublic(join(directory, `${name}.crt`), fresh.certificate)
  return { ...fresh, issued: reason ?? 'it is missing' }
}

/** A text says why there is nothing to use: leaves can always be issued again. */
function load(directory: string, name: string, issuer: Issuer): Credential | string {
  const certificateFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  if (!existsSync(certificateFile) || !existsSync(keyFile)) return 'it is missing'
  try {
    const leaf = readCertificate(certificateFile)
    const { key } = readKey(keyFile)
    return leaf.checkPrivateKey(key)
      ? credential(leaf, privateKeyPem(key), issuer)
      : 'its key and certificate do not belong together'
  } catch (error) {
    if (error instanceof PkiError) return error.message
    throw error
  }
}
