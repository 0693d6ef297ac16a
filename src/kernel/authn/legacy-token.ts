import { timingSafeEqual } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { ObjectLookup } from './service-account.ts'
import { serviceAccountGroups, serviceAccountUser } from './service-account-name.ts'
import type { TokenSigning } from './token-signing.ts'
import type { AuthnVerdict, TokenAuthenticator } from './types.ts'

export const LEGACY_ISSUER = 'kubernetes/serviceaccount'
export const TOKEN_SECRET_TYPE = 'kubernetes.io/service-account-token'
export const ACCOUNT_NAME = 'kubernetes.io/service-account.name'
export const ACCOUNT_UID = 'kubernetes.io/service-account.uid'
/** Label that Kubernetes' clean-up puts on Secrets of tokens nobody used: they do not count any more. */
const INVALID_SINCE = 'kubernetes.io/legacy-token-invalid-since'

const CLAIM = 'kubernetes.io/serviceaccount'

export type LegacyTokenOptions = {
  signing: TokenSigning
  /** Audiences that such a token, which names none, stands for: the API server's own. */
  audiences: readonly string[]
  lookup: ObjectLookup
  /** Told of every use. Must not throw. */
  onUse?: (namespace: string, secret: string) => void
}

type Names = { namespace: string; secret: string; account: string; uid: string }

/**
 * Tokens that live in Secrets of type kubernetes.io/service-account-token, which only somebody who asks for one gets.
 * They name no audience and never expire: a token counts while its Secret holds it and its account lives.
 */
export class LegacyTokens implements TokenAuthenticator {
  readonly name = 'legacy-service-account-token'
  readonly #o: LegacyTokenOptions

  constructor(options: LegacyTokenOptions) {
    this.#o = options
  }

  issue(account: KubeObject, secret: string): string {
    const { namespace = '', name = '', uid = '' } = account.metadata
    return this.#o.signing.sign({
      iss: LEGACY_ISSUER,
      [`${CLAIM}/namespace`]: namespace,
      [`${CLAIM}/secret.name`]: secret,
      [`${CLAIM}/service-account.name`]: name,
      [`${CLAIM}/service-account.uid`]: uid,
      sub: serviceAccountUser(namespace, name),
    })
  }

  /** Whether the token is one that a key of today signed, for this very account and Secret. */
  fits(token: string, account: KubeObject, secret: string): boolean {
    const names = this.#names(token)
    const { namespace, name, uid } = account.metadata
    return (
      typeof names === 'object' &&
      names.namespace === namespace &&
      names.account === name &&
      names.uid === uid &&
      names.secret === secret
    )
  }

  authenticateToken(token: string, audiences: readonly string[]): AuthnVerdict {
    const names = this.#names(token)
    if (names === 'foreign') return { verdict: 'next' }
    const reason = typeof names === 'string' ? names : this.#refusal(token, names, audiences)
    if (reason !== undefined || typeof names === 'string')
      return { verdict: 'deny', by: this.name, reason: reason as string }
    this.#o.onUse?.(names.namespace, names.secret)
    const granted = audiences.length > 0 ? audiences.filter((a) => this.#o.audiences.includes(a)) : this.#o.audiences
    return {
      verdict: 'allow',
      by: this.name,
      audiences: granted,
      user: {
        name: serviceAccountUser(names.namespace, names.account),
        uid: names.uid,
        groups: [...serviceAccountGroups(names.namespace), 'system:authenticated'],
      },
    }
  }

  #names(token: string): Names | string {
    const verified = this.#o.signing.verify(token, LEGACY_ISSUER)
    if (typeof verified === 'string') return verified
    const claims = verified.claims as Record<string, unknown>
    const text = (key: string): string => (typeof claims[key] === 'string' ? claims[key] : '')
    const names: Names = {
      namespace: text(`${CLAIM}/namespace`),
      secret: text(`${CLAIM}/secret.name`),
      account: text(`${CLAIM}/service-account.name`),
      uid: text(`${CLAIM}/service-account.uid`),
    }
    if (Object.values(names).includes('') || text('sub') !== serviceAccountUser(names.namespace, names.account))
      return 'the claims are incomplete'
    return names
  }

  /** Why a token with a good signature does not count now. */
  #refusal(token: string, names: Names, audiences: readonly string[]): string | undefined {
    if (audiences.length > 0 && !audiences.some((a) => this.#o.audiences.includes(a)))
      return `the token is for the API server, not for ${JSON.stringify(audiences)}`
    const secret = this.#o.lookup('secrets', names.namespace, names.secret)
    if (secret === undefined || secret.metadata.deletionTimestamp) return "the token's Secret is gone"
    if (secret['type'] !== TOKEN_SECRET_TYPE) return "the token's Secret is of another type now"
    const held = Buffer.from((secret['data'] as Record<string, string> | undefined)?.['token'] ?? '', 'base64')
    const given = Buffer.from(token)
    if (held.length !== given.length || !timingSafeEqual(held, given))
      return "the token's Secret holds another token now"
    if (secret.metadata.labels?.[INVALID_SINCE] !== undefined)
      return `the token was marked invalid (label ${INVALID_SINCE} of its Secret)`
    const account = this.#o.lookup('serviceaccounts', names.namespace, names.account)
    if (account === undefined || account.metadata.deletionTimestamp) return "the token's service account is gone"
    if (account.metadata.uid !== names.uid) return "the token's service account is another one now"
    return undefined
  }
}
