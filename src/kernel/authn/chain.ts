import type { IncomingHttpHeaders } from 'node:http'
import type { Authenticator, AuthnRequest, AuthnVerdict, TokenAuthenticator } from './types.ts'

/** Longer than any token that is issued here or by identity providers in use. */
const MAX_TOKEN = 32 * 1024

export type AuthenticatorChain = {
  /**
   * Synchronous when the authenticators that speak up are; never throws or rejects: what fails is a denial. 'next' means
   * that the request carries no credentials: whether it may be served as anonymous is the caller's to say.
   */
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
  tokens: readonly TokenAuthenticator[]
}

type Verdict = AuthnVerdict | Promise<AuthnVerdict>

/**
 * Certificates first, then bearer tokens. The first allow or deny wins; a bearer token that nobody knows is a denial.
 */
export function createAuthenticatorChain(
  authenticators: readonly Authenticator[],
  tokens: readonly TokenAuthenticator[],
): AuthenticatorChain {
  return {
    tokens,
    authenticate: (request) =>
      firstOf(
        authenticators,
        (authenticator) => authenticator.authenticate(request),
        () => byToken(request.headers, tokens),
      ),
  }
}

/** Asks one after the other until one speaks up; waits only for those that answer later. */
function firstOf<T extends { name: string }>(
  list: readonly T[],
  ask: (item: T) => Verdict,
  otherwise: () => Verdict,
  start = 0,
): Verdict {
  for (let i = start; i < list.length; i++) {
    const item = list[i]!
    let verdict: Verdict
    try {
      verdict = ask(item)
    } catch (error) {
      return failed(item.name, error)
    }
    if (verdict instanceof Promise)
      return verdict.then(
        (settled) => (settled.verdict === 'next' ? firstOf(list, ask, otherwise, i + 1) : settled),
        (error: unknown) => failed(item.name, error),
      )
    if (verdict.verdict !== 'next') return verdict
  }
  return otherwise()
}

function failed(by: string, error: unknown): AuthnVerdict {
  return { verdict: 'deny', by, reason: `it failed: ${error instanceof Error ? error.message : String(error)}` }
}

const denied = (reason: string): AuthnVerdict => ({ verdict: 'deny', by: 'bearer', reason })

function byToken(headers: IncomingHttpHeaders, tokens: readonly TokenAuthenticator[]): Verdict {
  const found = bearerToken(headers)
  if (found.kind === 'none') return { verdict: 'next' }
  return found.kind === 'malformed' ? denied(found.reason) : authenticateToken(found.token, [], tokens)
}

/** Asks every token authenticator; shared with TokenReview. `audiences` empty: the API server's own. */
export function authenticateToken(
  token: string,
  audiences: readonly string[],
  tokens: readonly TokenAuthenticator[],
): Verdict {
  if (token.length > MAX_TOKEN) return denied('the bearer token is too long')
  return firstOf(
    tokens,
    (authenticator) => authenticator.authenticateToken(token, audiences),
    () => denied('no authenticator knows this token'),
  )
}

export type BearerToken = { kind: 'none' } | { kind: 'token'; token: string } | { kind: 'malformed'; reason: string }

const NONE: BearerToken = { kind: 'none' }
/** RFC 6750 section 2.1: b64token. */
const TOKEN = /^[-A-Za-z0-9._~+/]+=*$/
const BEARER = /^bearer +([^ ]*) *$/i

/** From `Authorization: Bearer …`, or from the WebSocket subprotocol that browsers have to use. */
export function bearerToken(headers: IncomingHttpHeaders): BearerToken {
  const { authorization } = headers
  if (authorization === undefined || authorization.trim() === '') return webSocketToken(headers)
  const token = BEARER.exec(authorization)?.[1]
  if (token === undefined) return { kind: 'malformed', reason: 'the Authorization header holds no bearer token' }
  return checked(token)
}

function checked(token: string): BearerToken {
  return TOKEN.test(token) ? { kind: 'token', token } : { kind: 'malformed', reason: 'the bearer token is malformed' }
}

const PROTOCOL_PREFIX = 'base64url.bearer.authorization.k8s.io.'

/**
 * Kubernetes' rules: one such protocol, unpadded base64url, beside at least one that can be agreed on. It is taken out of
 * the header, so that no later part can choose it and send the token back.
 */
function webSocketToken(headers: IncomingHttpHeaders): BearerToken {
  const header = headers['sec-websocket-protocol']
  if (header === undefined || headers.upgrade?.toLowerCase() !== 'websocket') return NONE
  const protocols = header.split(',').map((p) => p.trim())
  const tokens = protocols.filter((p) => p.startsWith(PROTOCOL_PREFIX))
  if (tokens.length === 0) return NONE
  const others = protocols.filter((p) => p !== '' && !p.startsWith(PROTOCOL_PREFIX))
  headers['sec-websocket-protocol'] = others.join(', ')
  if (tokens.length > 1) return { kind: 'malformed', reason: 'more than one WebSocket protocol holds a bearer token' }
  if (others.length === 0)
    return { kind: 'malformed', reason: 'no WebSocket protocol beside the one of the bearer token' }
  const encoded = tokens[0]!.slice(PROTOCOL_PREFIX.length)
  if (!/^[-\w]+$/.test(encoded)) return { kind: 'malformed', reason: 'the WebSocket bearer token is not base64url' }
  return checked(Buffer.from(encoded, 'base64url').toString('utf8'))
}
