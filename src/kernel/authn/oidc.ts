import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose'
import type { Clock, Log } from '../feature.ts'
import { type OidcConfig, type OidcOptions, oidcConfig } from './oidc-config.ts'
import { IssuerKeys, type KeySet } from './oidc-keys.ts'
import type { AuthnVerdict, TokenAuthenticator, UserInfo } from './types.ts'

export type OidcAuthenticatorOptions = OidcOptions & {
  clock: Clock
  log: Log
  /** The API server's own audiences: for these, and no others, an ID token counts. */
  apiAudiences: readonly string[]
  /** See IssuerKeysOptions. */
  timeoutMs?: number
  maxAgeMs?: number
  cooldownMs?: number
}

type Accepted = { user: UserInfo; keys: KeySet; notBefore: number; expires: number }

const CACHE = 4096
const JWT = /^[-\w]+\.[-\w]+\.[-\w]+$/

/**
 * ID tokens of one OpenID Connect provider (OpenID Connect Core 1.0 section 3.1.3.7), with the meaning that
 * kube-apiserver's flags give to claims. Answers at once for a token that it has seen; otherwise verifies the signature,
 * with keys fetched at most now and then. Throws an Error that names the option when the options are wrong. Users and
 * groups that begin with `system:` are Kubernetes' own: a provider that is not trusted with a prefix cannot give them.
 */
export function oidcAuthenticator(options: OidcAuthenticatorOptions): TokenAuthenticator {
  const config = oidcConfig(options)
  const { clock, apiAudiences } = options
  const keys = new IssuerKeys({ ...options, issuer: config.issuer, ca: config.ca })
  const accepted = new Map<string, Accepted>()
  const name = `oidc:${config.issuer}`
  const deny = (reason: string): AuthnVerdict => ({ verdict: 'deny', by: name, reason })

  const answer = (entry: Accepted, audiences: readonly string[]): AuthnVerdict => {
    const seconds = clock.now() / 1000
    if (seconds >= entry.expires) return deny('the token has expired')
    if (seconds < entry.notBefore) return deny('the token is not valid yet')
    const granted = audiences.length === 0 ? apiAudiences : apiAudiences.filter((a) => audiences.includes(a))
    if (granted.length === 0) return deny(`ID tokens are for the API server, not for ${JSON.stringify(audiences)}`)
    return { verdict: 'allow', user: entry.user, by: name, audiences: granted }
  }

  const verify = async (token: string, audiences: readonly string[]): Promise<AuthnVerdict> => {
    try {
      const { kid } = decodeProtectedHeader(token)
      const set = await keys.holding(kid)
      const { payload } = await jwtVerify(token, set.resolve, {
        issuer: config.issuer,
        audience: [...config.audiences],
        algorithms: [...config.signingAlgs],
        currentDate: new Date(clock.now()),
        requiredClaims: ['exp', 'iss', 'aud'],
      })
      const user = userOf(config, payload)
      if (typeof user === 'string') return deny(user)
      const entry: Accepted = { user, keys: set, notBefore: payload.nbf ?? 0, expires: payload.exp! }
      if (accepted.size >= CACHE) accepted.delete(accepted.keys().next().value!)
      accepted.set(token, entry)
      return answer(entry, audiences)
    } catch (error) {
      return deny((error as Error).message)
    }
  }

  return {
    name,
    authenticateToken: (token, audiences) => {
      const known = accepted.get(token)
      if (known !== undefined) {
        accepted.delete(token)
        // Keys fetched since then decide anew.
        if (known.keys === keys.current) {
          accepted.set(token, known)
          return answer(known, audiences)
        }
      }
      return isFrom(config.issuer, token) ? verify(token, audiences) : { verdict: 'next' }
    },
  }
}

function isFrom(issuer: string, token: string): boolean {
  if (!JWT.test(token)) return false
  try {
    return decodeJwt(token).iss === issuer
  } catch {
    return false // no JWT: another authenticator's business
  }
}

/** A text says what the claims lack. */
function userOf(config: OidcConfig, claims: JWTPayload): UserInfo | string {
  for (const [claim, value] of config.requiredClaims)
    if (!Object.hasOwn(claims, claim) || claims[claim] !== value)
      return `the claim ${JSON.stringify(claim)} is not ${JSON.stringify(value)}`
  const claimed = Object.hasOwn(claims, config.usernameClaim) ? claims[config.usernameClaim] : undefined
  if (typeof claimed !== 'string' || claimed === '')
    return `the claim ${JSON.stringify(config.usernameClaim)} holds no name`
  // OpenID Connect Core 5.1: an address that the provider has not verified can be anybody's.
  if (config.usernameClaim === 'email' && Object.hasOwn(claims, 'email_verified') && claims['email_verified'] !== true)
    return 'the e-mail address is not verified'
  const name = config.usernamePrefix + claimed
  if (name.startsWith('system:')) return `the user name ${JSON.stringify(name)} is one of Kubernetes' own`
  const groups = groupsOf(config, claims)
  if (typeof groups === 'string') return groups
  return { name, groups: [...new Set([...groups, 'system:authenticated'])], ...credentialId(claims) }
}

function groupsOf(config: OidcConfig, claims: JWTPayload): string[] | string {
  const { groupsClaim } = config
  if (groupsClaim === undefined || !Object.hasOwn(claims, groupsClaim)) return []
  const claimed = claims[groupsClaim]
  const list: unknown = typeof claimed === 'string' ? [claimed] : claimed
  if (!Array.isArray(list) || !list.every((group) => typeof group === 'string'))
    return `the claim ${JSON.stringify(groupsClaim)} is neither a text nor a list of texts`
  return (list as string[])
    .filter((group) => group !== '')
    .map((group) => config.groupsPrefix + group)
    .filter((group) => !group.startsWith('system:'))
}

function credentialId(claims: JWTPayload): Pick<UserInfo, 'extra'> {
  return typeof claims.jti === 'string'
    ? { extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] } }
    : {}
}
