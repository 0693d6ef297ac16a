import { randomUUID } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { Clock } from '../feature.ts'
import { serviceAccountGroups, serviceAccountUser } from './service-account-name.ts'
import type { TokenSigning } from './token-signing.ts'
import type { AuthnVerdict, TokenAuthenticator, UserInfo } from './types.ts'

/** Finds an object as it is now, from memory; undefined when it is not there. */
export type ObjectLookup = (
  resource: 'serviceaccounts' | 'pods' | 'secrets' | 'nodes',
  namespace: string,
  name: string,
) => KubeObject | undefined

export type ServiceAccountOptions = {
  /** URL of the issuer: `iss`, and where the discovery document says it stands. */
  issuer: string
  /** The API server's own audiences: what a token is for when nothing else was asked. */
  audiences: readonly string[]
  signing: TokenSigning
  lookup: ObjectLookup
  clock: Clock
}

type Reference = { name: string; uid: string }

/** The node of a pod: for information. Without uid while there is no such Node (KEP-4193). */
type PodNode = { name: string; uid?: string }

/** What a token ends with, beside its account. */
export type BoundObject = Reference & { kind: 'Pod' | 'Secret' | 'Node'; node?: PodNode }

export type IssuedToken = {
  token: string
  /** Milliseconds since the epoch. */
  expiration: number
  /** `jti`, which the audit log shows at issue and at each use. */
  id: string
}

type Claims = {
  iss: string
  sub: string
  aud: string[]
  exp: number
  iat: number
  nbf: number
  jti: string
  'kubernetes.io': {
    namespace: string
    serviceaccount: Reference
    pod?: Reference
    secret?: Reference
    /** A token without `pod` that names a node is bound to it, and so has its uid. */
    node?: PodNode
  }
}

type Verified = { claims: Claims; keyId: string; user: UserInfo }

const VERIFIED_CACHE = 4096
/** go-jose's leeway, for the start of a token's life only: a clock that jumped back a little is no reason to refuse. */
const LEEWAY_SECONDS = 60

/**
 * Bound service-account tokens (KEP-1205): JWTs signed with ES256 that end with their account, pod, secret or node.
 * Tokens that live in Secrets, without audience and expiry, are LegacyTokens' business.
 */
export class ServiceAccountTokens implements TokenAuthenticator {
  readonly name = 'service-account'
  readonly #o: ServiceAccountOptions
  /** Tokens whose signature is good, least recently used first; everything else is looked at again on each use. */
  readonly #verified = new Map<string, Verified>()
  readonly #signing: TokenSigning

  constructor(options: ServiceAccountOptions) {
    this.#o = options
    this.#signing = options.signing
  }

  get audiences(): readonly string[] {
    return this.#o.audiences
  }

  /** Issues a token. The caller has checked the account, the bound object and the lifetime. */
  issue(
    account: KubeObject,
    spec: { audiences: readonly string[]; expirationSeconds: number },
    bound: BoundObject | undefined,
  ): IssuedToken {
    const { namespace = '', name = '', uid = '' } = account.metadata
    const now = Math.floor(this.#o.clock.now() / 1000)
    const claims: Claims = {
      aud: [...(spec.audiences.length > 0 ? spec.audiences : this.#o.audiences)],
      exp: now + spec.expirationSeconds,
      iat: now,
      iss: this.#o.issuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...boundClaims(bound) },
      nbf: now,
      sub: serviceAccountUser(namespace, name),
    }
    return { token: this.#signing.sign(claims), expiration: claims.exp * 1000, id: claims.jti }
  }

  authenticateToken(token: string, audiences: readonly string[]): AuthnVerdict {
    const verified = this.#verify(token)
    if (typeof verified === 'string') return verified === 'foreign' ? { verdict: 'next' } : this.#deny(verified)
    const wanted = audiences.length > 0 ? audiences : this.#o.audiences
    const { claims, user } = verified
    const reason = this.#refusal(claims, wanted)
    if (reason !== undefined) return this.#deny(reason)
    return { verdict: 'allow', user, by: this.name, audiences: wanted.filter((a) => claims.aud.includes(a)) }
  }

  #deny(reason: string): AuthnVerdict {
    return { verdict: 'deny', by: this.name, reason }
  }

  /** 'foreign' for what is no token of this issuer, another text for what is wrong with one that claims to be. */
  #verify(token: string): Verified | string {
    const cached = this.#verified.get(token)
    if (cached !== undefined) {
      this.#verified.delete(token)
      // A key that is gone takes its tokens along.
      if (!this.#signing.knows(cached.keyId)) return 'the token is signed with an unknown key'
      this.#verified.set(token, cached)
      return cached
    }
    const signed = this.#signing.verify(token, this.#o.issuer)
    if (typeof signed === 'string') return signed
    const { claims, keyId } = signed as { claims: Partial<Claims>; keyId: string }
    if (!isClaims(claims)) return 'the claims are incomplete'
    const verified: Verified = { claims, keyId, user: userOf(claims) }
    if (this.#verified.size >= VERIFIED_CACHE) this.#verified.delete(this.#verified.keys().next().value!)
    this.#verified.set(token, verified)
    return verified
  }

  /** Why a token with a good signature does not count now. */
  #refusal(claims: Claims, audiences: readonly string[]): string | undefined {
    const now = this.#o.clock.now() / 1000
    if (now >= claims.exp) return 'the token has expired'
    if (now + LEEWAY_SECONDS < claims.nbf) return 'the token is not valid yet'
    if (!audiences.some((a) => claims.aud.includes(a)))
      return `the token is for ${JSON.stringify(claims.aud)}, not for ${JSON.stringify(audiences)}`
    const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io']
    return (
      this.#gone('serviceaccounts', namespace, serviceaccount, now) ??
      (pod && this.#gone('pods', namespace, pod, now)) ??
      (secret && this.#gone('secrets', namespace, secret, now)) ??
      // The node of a pod's token only tells where the pod ran.
      (node && pod === undefined ? this.#gone('nodes', '', { name: node.name, uid: node.uid ?? '' }, now) : undefined)
    )
  }

  #gone(
    resource: Parameters<ObjectLookup>[0],
    namespace: string,
    { name, uid }: Reference,
    now: number,
  ): string | undefined {
    const object = this.#o.lookup(resource, namespace, name)
    if (object === undefined) return `the token's object in ${resource} is gone`
    if (object.metadata.uid !== uid) return `the token's object in ${resource} is another one now`
    const deleted = object.metadata.deletionTimestamp
    // What is being deleted keeps its tokens through its grace period (part of the timestamp) and the leeway.
    if (deleted && now > Date.parse(deleted) / 1000 + LEEWAY_SECONDS)
      return `the token's object in ${resource} is deleted`
    return undefined
  }

  /** RFC 7517 key set of everything that verifies. */
  jwks(): { keys: object[] } {
    return this.#signing.jwks()
  }

  /** OpenID Connect discovery document, as kube-apiserver serves it. */
  discovery(jwksUri: string): object {
    return {
      issuer: this.#o.issuer,
      jwks_uri: jwksUri,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    }
  }
}

function boundClaims(bound: BoundObject | undefined): Partial<Claims['kubernetes.io']> {
  if (bound === undefined) return {}
  const reference = { name: bound.name, uid: bound.uid }
  switch (bound.kind) {
    case 'Pod':
      return { pod: reference, ...(bound.node === undefined ? {} : { node: bound.node }) }
    case 'Secret':
      return { secret: reference }
    case 'Node':
      return { node: reference }
  }
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isReference = (value: Partial<Reference> | undefined): value is Reference =>
  isText(value?.name) && isText(value?.uid)

function isNodeClaim(node: Partial<Reference> | undefined, ofPod: boolean): boolean {
  if (node === undefined || isReference(node)) return true
  return ofPod && isText(node?.name) && node.uid === undefined
}

function isClaims(claims: Partial<Claims>): claims is Claims {
  const k = claims['kubernetes.io']
  return (
    typeof k?.namespace === 'string' &&
    isReference(k.serviceaccount) &&
    [k.pod, k.secret].every((bound) => bound === undefined || isReference(bound)) &&
    isNodeClaim(k.node, k.pod !== undefined) &&
    claims.sub === serviceAccountUser(k.namespace, k.serviceaccount.name) &&
    Array.isArray(claims.aud) &&
    claims.aud.length > 0 &&
    Number.isFinite(claims.exp) &&
    Number.isFinite(claims.nbf) &&
    typeof claims.jti === 'string'
  )
}

function userOf(claims: Claims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io']
  const key = (name: string): string => `authentication.kubernetes.io/${name}`
  return {
    name: claims.sub,
    uid: serviceaccount.uid,
    groups: [...serviceAccountGroups(namespace), 'system:authenticated'],
    extra: {
      [key('credential-id')]: [`JTI=${claims.jti}`],
      ...(pod === undefined ? {} : { [key('pod-name')]: [pod.name], [key('pod-uid')]: [pod.uid] }),
      ...(node === undefined ? {} : { [key('node-name')]: [node.name] }),
      ...(node?.uid === undefined ? {} : { [key('node-uid')]: [node.uid] }),
    },
  }
}
