import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../feature.ts'
import { COMMON_NAME, nameAttributes, ORGANIZATION, rawSubject } from './certificate-reader.ts'
import type { Authenticator, AuthnVerdict, UserInfo } from './types.ts'

export type X509Options = {
  clock: Clock
  /** Says whether a certificate was revoked: by upper-case hexadecimal serial number and SHA-256 fingerprint (`AA:BB:…`). */
  isRevoked: (serialNumber: string, fingerprint256: string) => boolean
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** What a certificate says once it is verified. Times in milliseconds since the epoch. */
export type ClientIdentity = {
  user: UserInfo
  serialNumber: string
  fingerprint256: string
  notBefore: number
  notAfter: number
}

type Looked =
  | { kind: 'none' }
  | { kind: 'bad'; verdict: AuthnVerdict }
  | { kind: 'good'; identity: ClientIdentity; verdict: AuthnVerdict }

const denied = (reason: string): AuthnVerdict => ({ verdict: 'deny', by: 'x509', reason })

/**
 * Client certificates. The TLS layer asks for one without insisting (callers may have a token instead) and verifies what
 * comes: chain to a client authority, validity, purpose. A certificate that does not verify is a denial (401), even with
 * a good token beside it: whoever shows it wants to be somebody, and a broken link must not go unnoticed. Its subject's
 * CN is the user, each O a group. Who it is, is found once a connection; validity by the server's clock and revocation
 * are looked at on every request, since a connection may live longer than its certificate.
 */
export function x509Authenticator(options: X509Options): Authenticator {
  const { clock, isRevoked } = options
  const seen = new WeakMap<TLSSocket, Looked>()
  return {
    name: 'x509',
    authenticate: ({ socket }) => {
      let looked = seen.get(socket)
      if (looked === undefined) seen.set(socket, (looked = look(socket)))
      if (looked.kind === 'none') return { verdict: 'next' }
      if (looked.kind === 'bad') return looked.verdict
      const { identity } = looked
      const now = clock.now()
      if (now < identity.notBefore) return denied('the client certificate is not valid yet')
      if (now > identity.notAfter) return denied('the client certificate has expired')
      if (isRevoked(identity.serialNumber, identity.fingerprint256)) return denied('the client certificate is revoked')
      return looked.verdict
    },
  }
}

function look(socket: TLSSocket): Looked {
  // Asked before `authorized`, which a resumed session without a certificate sets too.
  const peer = socket.getPeerX509Certificate()
  if (peer === undefined) return { kind: 'none' }
  if (!socket.authorized) {
    const reason = `the client certificate of ${JSON.stringify(peer.subject)} does not verify: ${String(socket.authorizationError)}`
    return { kind: 'bad', verdict: denied(reason) }
  }
  const identity = clientIdentity(peer)
  if (typeof identity === 'string') return { kind: 'bad', verdict: denied(identity) }
  return { kind: 'good', identity, verdict: { verdict: 'allow', user: identity.user, by: 'x509' } }
}

/** Reads user and groups from a certificate whose chain was verified. A text says why it names nobody. */
export function clientIdentity(certificate: X509Certificate): ClientIdentity | string {
  // Certificates without the extension would pass OpenSSL's check of the purpose; here the purpose must be written down.
  if (!(certificate.keyUsage ?? []).includes(CLIENT_AUTH))
    return 'the client certificate is not for client authentication'
  if (certificate.ca) return 'the client certificate is that of an authority'
  let names: string[]
  let groups: string[]
  try {
    const attributes = nameAttributes(rawSubject(certificate.raw))
    names = attributes.filter((a) => a.oid === COMMON_NAME).map((a) => a.value)
    groups = attributes.filter((a) => a.oid === ORGANIZATION).map((a) => a.value)
  } catch (error) {
    return `the client certificate's subject cannot be read: ${(error as Error).message}`
  }
  const [name, ...more] = names
  if (name === undefined || name === '' || more.length > 0)
    return 'the client certificate does not name exactly one user (CN)'
  const fingerprint = certificate.fingerprint256
  return {
    user: {
      name,
      groups: [...new Set([...groups, 'system:authenticated'])],
      extra: {
        'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint.replaceAll(':', '').toLowerCase()}`],
      },
    },
    serialNumber: certificate.serialNumber,
    fingerprint256: fingerprint,
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  }
}
