import type { X509Certificate } from 'node:crypto'
import {
  createKeyPair,
  type ExtendedKeyUsage,
  type Issuer,
  issueCertificate,
  type SubjectAltNames,
} from '../certificate.ts'
import { issueLeaf, type LeafSpec } from '../leaf.ts'
import type { Identity } from './attempt.ts'

/** Made for one probe, kept nowhere. */
const LIFETIME_SECONDS = 120
const DAY_MS = 86_400_000
const LOOPBACK: SubjectAltNames = { dns: ['localhost'], ip: ['127.0.0.1'] }
const AS_CLIENT: readonly ExtendedKeyUsage[] = ['clientAuth']
const AS_SERVER: readonly ExtendedKeyUsage[] = ['serverAuth']

/** A certificate of the cluster's own authority that only lives for the probe. */
export function probeIdentity(issuer: Issuer, spec: LeafSpec, now: number): Identity {
  const { certificate, key } = issueLeaf(spec, issuer, { now, lifetimeSeconds: LIFETIME_SECONDS })
  return { cert: certificate, key }
}

/** An authority of the same name as `like`, with a key of its own: what somebody in the middle would make. */
export function foreignAuthority(like: X509Certificate, now: number): Issuer {
  const { publicKey, privateKey } = createKeyPair()
  const certificate = issueCertificate({
    subject: { commonName: nameOf(like) },
    publicKey,
    usages: ['keyCertSign', 'cRLSign'],
    notBefore: now - DAY_MS,
    notAfter: now + DAY_MS,
    issuer: { selfSigned: privateKey },
    ca: true,
    pathLength: 0,
  })
  return { certificate, key: privateKey }
}

const nameOf = ({ subject }: X509Certificate): string => /(?:^|\n)CN=(.+)/.exec(subject)?.[1] ?? 'CA'

export type LinkAuthorities = {
  /** Signs the certificates that the server takes from clients. */
  client: Issuer
  /** Another authority of the same root whose certificates are for clients too. */
  wrong: Issuer
  /** Signs the server's certificate. */
  server: Issuer
}
type Name = { commonName: string; organizations?: readonly string[] }

export type LinkIdentities = {
  right: Identity
  foreign: Identity
  wrongAuthority: Identity
  impostors: { wrongName: Identity; foreign: Identity }
}

/** Everything that a link is probed with. `other`: whom the impostor's certificate of the right authority is for. */
export function linkIdentities(
  { client: clientAuthority, wrong, server: serverAuthority }: LinkAuthorities,
  client: Name,
  other: Name & { sans: SubjectAltNames },
  server: Name,
  now: number,
): LinkIdentities {
  const asClient = { ...client, extKeyUsage: AS_CLIENT }
  return {
    right: probeIdentity(clientAuthority, asClient, now),
    foreign: probeIdentity(foreignAuthority(clientAuthority.certificate, now), asClient, now),
    wrongAuthority: probeIdentity(wrong, asClient, now),
    impostors: {
      wrongName: probeIdentity(serverAuthority, { ...other, extKeyUsage: AS_SERVER }, now),
      foreign: probeIdentity(
        foreignAuthority(serverAuthority.certificate, now),
        { ...server, sans: LOOPBACK, extKeyUsage: AS_SERVER },
        now,
      ),
    },
  }
}

/** The same where the authority's key is not ours. */
export function foreignOnly(
  authority: X509Certificate,
  client: X509Certificate,
  now: number,
): { foreign: Identity; impostors: { wrongName: string; foreign: Identity } } {
  const foreign = foreignAuthority(authority, now)
  return {
    foreign: probeIdentity(foreign, { commonName: nameOf(client), extKeyUsage: AS_CLIENT }, now),
    impostors: {
      wrongName: "needs a key of that authority, which is not the cluster's",
      foreign: probeIdentity(foreign, { commonName: 'etcd', sans: LOOPBACK, extKeyUsage: AS_SERVER }, now),
    },
  }
}
