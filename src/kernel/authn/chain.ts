import type { IncomingHttpHeaders } from 'node:http'
import type { Authenticator, AuthnRequest, AuthnVerdict, TokenAuthenticator } from './types.ts'

const PROTOCOL_PREFIX = 'base64url.bearer.authorization.k8s.io.'
/** Longer than any token that is issued here or by identity providers in use. */
const MAX_TOKEN = 64 * 1024

export type AuthenticatorChain = {
  /** Synchronous when the authenticators that speak up are. */
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
  tokens: readonly TokenAuthenticator[]
}

/**
 * Certificates first, then bearer tokens. The first allow or deny wins; a bearer token that nobody knows is a denial.
 */
export function createAuthenticatorChain(
  authenticators: readonly Authenticator[],
  tokens: readonly TokenAuthenticator[],
): AuthenticatorChain {
  return {
    tokens,
    authenticate: (request) => {
      for (let i = 0; i < authenticators.length; i++) {
        const verdict = authenticators[i]!.authenticate(request)
        if (verdict instanceof Promise)
          return verdict.then((settled) => (settled.verdict === 'next' ? byToken(request, tokens) : settled))
        if (verdict.verdict !== 'next') return verdict
      }
      return byToken(request, tokens)
    },
  }
}

function byToken(request: AuthnRequest, tokens: readonly TokenAuthenticator[]): AuthnVerdict | Promise<AuthnVerdict> {
  const token = bearerToken(request.headers)
  if (token === undefined) return { verdict: 'next' }
  if (token === '' || token.length > MAX_TOKEN)
    return { verdict: 'deny', by: 'bearer', reason: 'the bearer token is empty or too long' }
  return authenticateToken(token, [], tokens)
}

/** Asks every token authenticator; shared with TokenReview. */
export function authenticateToken(
  token: string,
  audiences: readonly string[],
  tokens: readonly TokenAuthenticator[],
): AuthnVerdict | Promise<AuthnVerdict> {
  const from = (start: number): AuthnVerdict | Promise<AuthnVerdict> => {
    for (let i = start; i < tokens.length; i++) {
      const verdict = tokens[i]!.authenticateToken(token, audiences)
      if (verdict instanceof Promise)
        return verdict.then((settled) => (settled.verdict === 'next' ? from(i + 1) : settled))
      if (verdict.verdict !== 'next') return verdict
    }
    return { verdict: 'deny', by: 'bearer', reason: 'no authenticator knows this token' }
  }
  return from(0)
}

/** From `Authorization: Bearer …`, or from the WebSocket subprotocol that browsers have to use. */
export function bearerToken(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers
  if (authorization !== undefined) {
    const match = /^bearer +([^\s]*)\s*$/i.exec(authorization)
    return match === null ? (authorization.trim() === '' ? undefined : '') : match[1]!
  }
  const protocols = headers['sec-websocket-protocol']
  if (protocols === undefined) return undefined
  const found = protocols
    .split(',')
    .map((p) => p.trim())
    .find((p) => p.startsWith(PROTOCOL_PREFIX))
  return found === undefined
    ? undefined
    : Buffer.from(found.slice(PROTOCOL_PREFIX.length), 'base64url').toString('utf8')
}
