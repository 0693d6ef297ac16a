import { createHash, createPublicKey, type KeyObject, randomUUID, sign, verify } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { Clock } from '../feature.ts'
import type { AuthnVerdict, TokenAuthenticator, UserInfo } from './types.ts'

/** Finds an object as it is now; undefined when it is not there. */
export type ObjectLookup = (
  resource: 'serviceaccounts' | 'pods' | 'secrets' | 'nodes',
  namespace: string,
  name: string,
) => KubeObject | undefined

export type ServiceAccountOptions = {
  /** URL of the issuer: `iss`, and where the discovery document says it stands. */
  issuer: string
  /** The API server's own audiences; tokens that name none are for these. */
  audiences: readonly string[]
  /** P-256; the first signs, all verify: rotation puts a new one in front and takes the old one out later. */
  keys: () => readonly KeyObject[]
  lookup: ObjectLookup
  clock: Clock
}

type Bound = { kind: 'Pod' | 'Secret' | 'Node'; name: string; uid: string }

export type TokenRequestSpec = {
  audiences?: readonly string[]
  expirationSeconds?: number
  boundObjectRef?: { kind?: string; name?: string; uid?: string }
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
    serviceaccount: { name: string; uid: string }
    pod?: { name: string; uid: string }
    secret?: { name: string; uid: string }
    node?: { name: string; uid: string }
    warnafter?: number
  }
}

const base64url = (value: string | Buffer): string => Buffer.from(value as string).toString('base64url')

/** Kubernetes' key id: SHA-256 of the DER-encoded public key. */
export function keyId(key: KeyObject): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64url')
}

const VERIFIED_CACHE = 4096
/** A clock that jumped back must not make tokens of a moment ago invalid. */
const LEEWAY_SECONDS = 10

/** Bound service-account tokens (KEP-1205): ES256 JWTs that end with their account, pod, secret or node. */
export class ServiceAccountTokens implements TokenAuthenticator {
  readonly name = 'service-account'
  readonly #o: ServiceAccountOptions
  /** Signature checks that came out right, newest last; everything else is looked at again on each use. */
  readonly #verified = new Map<string, { claims: Claims; key: string }>()
  #ids: { keys: readonly KeyObject[]; byId: Map<string, KeyObject>; signing: string } | undefined

  constructor(options: ServiceAccountOptions) {
    this.#o = options
  }

  get audiences(): readonly string[] {
    return this.#o.audiences
  }

  #keys(): { byId: Map<string, KeyObject>; signing: string } {
    const keys = this.#o.keys()
    if (this.#ids?.keys !== keys) {
      const byId = new Map(keys.map((key) => [keyId(key), key]))
      this.#ids = { keys, byId, signing: keyId(keys[0]!) }
    }
    return this.#ids
  }

  /** Issues a token. The caller has checked the account, the bound object and the lifetime. */
  issue(
    account: KubeObject,
    spec: Required<Pick<TokenRequestSpec, 'audiences' | 'expirationSeconds'>>,
    bound: Bound | undefined,
  ): { token: string; expiration: number } {
    const { namespace = '', name = '', uid = '' } = account.metadata
    const now = Math.floor(this.#o.clock.now() / 1000)
    const expiration = now + spec.expirationSeconds
    const claims: Claims = {
      iss: this.#o.issuer,
      sub: `system:serviceaccount:${namespace}:${name}`,
      aud: [...(spec.audiences.length > 0 ? spec.audiences : this.#o.audiences)],
      exp: expiration,
      iat: now,
      nbf: now,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace,
        serviceaccount: { name, uid },
        ...(bound === undefined ? {} : { [bound.kind.toLowerCase()]: { name: bound.name, uid: bound.uid } }),
      },
    }
    const { byId, signing } = this.#keys()
    const head = `${base64url(JSON.stringify({ alg: 'ES256', kid: signing }))}.${base64url(JSON.stringify(claims))}`
    const signature = sign('sha256', Buffer.from(head), { key: byId.get(signing)!, dsaEncoding: 'ieee-p1363' })
    return { token: `${head}.${signature.toString('base64url')}`, expiration: expiration * 1000 }
  }

  authenticateToken(token: string, audiences: readonly string[]): AuthnVerdict {
    const verified = this.#verify(token)
    if (typeof verified === 'string') return verified === 'foreign' ? { verdict: 'next' } : this.#deny(verified)
    const reason = this.#refusal(verified, audiences.length > 0 ? audiences : this.#o.audiences)
    if (reason !== undefined) return this.#deny(reason)
    const accepted = (audiences.length > 0 ? audiences : this.#o.audiences).filter((a) => verified.aud.includes(a))
    return { verdict: 'allow', user: userOf(verified), by: this.name, audiences: accepted }
  }

  #deny(reason: string): AuthnVerdict {
    return { verdict: 'deny', by: this.name, reason }
  }

  /** 'foreign' for what is no token of this issuer, another text for what is wrong with one that claims to be. */
  #verify(token: string): Claims | string {
    const cached = this.#verified.get(token)
    if (cached !== undefined && this.#keys().byId.has(cached.key)) return cached.claims
    const parts = token.split('.')
    if (parts.length !== 3) return 'foreign'
    const header = parseJson(parts[0]!) as { alg?: unknown; kid?: unknown; crit?: unknown } | undefined
    const claims = parseJson(parts[1]!) as Partial<Claims> | undefined
    if (header === undefined || claims === undefined || claims.iss !== this.#o.issuer) return 'foreign'
    if (header.alg !== 'ES256') return `the token is signed with ${JSON.stringify(header.alg)}, not ES256`
    if (header.crit !== undefined) return 'the token has critical header parameters'
    if (typeof header.kid !== 'string') return 'the token names no key'
    const key = this.#keys().byId.get(header.kid)
    if (key === undefined) return 'the token is signed with an unknown key'
    const signature = Buffer.from(parts[2]!, 'base64url')
    const signed = Buffer.from(`${parts[0]}.${parts[1]}`)
    if (!verify('sha256', signed, { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' }, signature))
      return 'the signature is wrong'
    if (!isClaims(claims)) return 'the claims are incomplete'
    if (this.#verified.size >= VERIFIED_CACHE) this.#verified.delete(this.#verified.keys().next().value!)
    this.#verified.set(token, { claims, key: header.kid })
    return claims
  }

  /** Why a token with a good signature does not count now. */
  #refusal(claims: Claims, audiences: readonly string[]): string | undefined {
    const now = this.#o.clock.now() / 1000
    if (now >= claims.exp) return 'the token has expired'
    if (now + LEEWAY_SECONDS < claims.nbf) return 'the token is not valid yet'
    if (!audiences.some((a) => claims.aud.includes(a)))
      return `the token is for ${JSON.stringify(claims.aud)}, not for ${JSON.stringify(audiences)}`
    const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io']
    const gone = (what: string, object: KubeObject | undefined, uid: string): string | undefined =>
      object === undefined || object.metadata.uid !== uid
        ? `${what} of the token is gone`
        : expiredDeletion(object, now)
          ? `${what} of the token is being deleted`
          : undefined
    return (
      gone(
        'the service account',
        this.#o.lookup('serviceaccounts', namespace, serviceaccount.name),
        serviceaccount.uid,
      ) ??
      (pod && gone('the pod', this.#o.lookup('pods', namespace, pod.name), pod.uid)) ??
      (secret && gone('the secret', this.#o.lookup('secrets', namespace, secret.name), secret.uid)) ??
      (node && pod === undefined ? gone('the node', this.#o.lookup('nodes', '', node.name), node.uid) : undefined)
    )
  }

  /** RFC 7517 key set of everything that verifies. */
  jwks(): object {
    return {
      keys: [...this.#keys().byId].map(([kid, key]) => ({
        use: 'sig',
        kid,
        alg: 'ES256',
        ...createPublicKey(key).export({ format: 'jwk' }),
      })),
    }
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

/** An object that is being deleted keeps its tokens for a minute, as Kubernetes has it. */
function expiredDeletion(object: KubeObject, nowSeconds: number): boolean {
  const deleted = object.metadata.deletionTimestamp
  return deleted !== undefined && nowSeconds > Date.parse(deleted) / 1000 + 60
}

function parseJson(part: string): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined // not a JWT: another authenticator's business
  }
}

function isClaims(claims: Partial<Claims>): claims is Claims {
  const k = claims['kubernetes.io']
  return (
    typeof claims.sub === 'string' &&
    Array.isArray(claims.aud) &&
    typeof claims.exp === 'number' &&
    typeof claims.nbf === 'number' &&
    typeof k?.namespace === 'string' &&
    typeof k.serviceaccount?.name === 'string' &&
    typeof k.serviceaccount.uid === 'string' &&
    claims.sub === `system:serviceaccount:${k.namespace}:${k.serviceaccount.name}`
  )
}

function userOf(claims: Claims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io']
  return {
    name: claims.sub,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra: {
      'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`],
      ...(pod === undefined
        ? {}
        : { 'authentication.kubernetes.io/pod-name': [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] }),
      ...(node === undefined
        ? {}
        : {
            'authentication.kubernetes.io/node-name': [node.name],
            'authentication.kubernetes.io/node-uid': [node.uid],
          }),
    },
  }
}
