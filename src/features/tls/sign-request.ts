import { type ExtendedKeyUsage, type Issuer, type KeyUsage, pem, signCertificate } from './certificate.ts'
import { parseCertificateRequest } from './certificate-request.ts'
import { isSignerName, signerRefusal, USAGES } from './signers.ts'

export type SigningRequest = {
  /** spec.signerName */
  signerName: string
  /** spec.request, decoded from base64: PEM. */
  request: string
  /** spec.usages */
  usages: readonly string[]
  /** spec.expirationSeconds; undefined: `maxLifetimeSeconds`. */
  expirationSeconds?: number
}

export type SigningAuthority = {
  issuer: Issuer
  /** PEM certificates that follow the issued one in status.certificate: the intermediate. */
  chain: string
  /** Kubernetes' --cluster-signing-duration. */
  maxLifetimeSeconds: number
  /** Milliseconds since the epoch. */
  now: number
}

export type SigningResult =
  | { verdict: 'signed'; certificate: string; notAfter: number }
  /** For the condition Failed, reason SignerValidationFailure. */
  | { verdict: 'refused'; reason: string }

const BACKDATE_MS = 5 * 60_000
const SHORT_MS = 8 * 3600_000
const MIN_SECONDS = 600

/**
 * The pure part of the CSR signing controller: an approved request in, status.certificate out. Only the subject, the
 * alternative names and the key come from the request; usages come from the spec, everything else from here. Rejects
 * with CertificateRequestError when the request cannot be read.
 */
export async function signCertificateRequest(
  request: SigningRequest,
  authority: SigningAuthority,
): Promise<SigningResult> {
  const { signerName, usages } = request
  if (!isSignerName(signerName)) return { verdict: 'refused', reason: `unrecognized signerName: "${signerName}"` }
  const parsed = await parseCertificateRequest(request.request)
  const reason = signerRefusal(signerName, parsed, usages)
  if (reason !== undefined) return { verdict: 'refused', reason }
  const { notBefore, notAfter } = validity(request.expirationSeconds, authority)
  const certificate = signCertificate({
    subject: { der: parsed.subjectDer },
    publicKey: parsed.spki,
    sans: parsed.sans,
    ...usagesOf(usages),
    notBefore,
    notAfter,
    issuer: authority.issuer,
  })
  return { verdict: 'signed', certificate: pem('CERTIFICATE', certificate) + authority.chain, notAfter }
}

/** Kubernetes' signer: five minutes of backdating, taken from the end too unless the life is short. */
function validity(
  expirationSeconds: number | undefined,
  authority: SigningAuthority,
): { notBefore: number; notAfter: number } {
  const { now, maxLifetimeSeconds, issuer } = authority
  const seconds = Math.min(Math.max(expirationSeconds ?? maxLifetimeSeconds, MIN_SECONDS), maxLifetimeSeconds)
  const life = seconds * 1000
  const wanted = life < SHORT_MS ? now + life : now + life - BACKDATE_MS
  return { notBefore: now - BACKDATE_MS, notAfter: Math.min(wanted, issuer.certificate.validToDate.getTime()) }
}

function usagesOf(usages: readonly string[]): { usages: KeyUsage[]; extKeyUsage: ExtendedKeyUsage[] } {
  const out: { usages: KeyUsage[]; extKeyUsage: ExtendedKeyUsage[] } = { usages: [], extKeyUsage: [] }
  for (const name of new Set(usages)) {
    const known = USAGES[name]!
    if ('usage' in known) out.usages.push(known.usage)
    else out.extKeyUsage.push(known.extended)
  }
  return out
}
