import type { IncomingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** authentication.k8s.io/v1 UserInfo. */
export type UserInfo = {
  name: string
  uid?: string
  groups: readonly string[]
  extra?: Readonly<Record<string, readonly string[]>>
}

export type AuthnRequest = {
  socket: TLSSocket
  headers: IncomingHttpHeaders
  /** WebSocket bearer tokens travel in Sec-WebSocket-Protocol (base64url.bearer.authorization.k8s.io.<token>). */
  path: string
}

/**
 * 'next': this authenticator does not speak to the credentials in the request; 'deny': it does, and they are bad.
 * The reason of a denial is for the log and the audit, never for the caller (who gets a bare 401).
 */
export type AuthnVerdict =
  | { verdict: 'allow'; user: UserInfo; by: string; audiences?: readonly string[] }
  | { verdict: 'deny'; by: string; reason: string }
  | { verdict: 'next' }

export type Authenticator = {
  name: string
  authenticate: (request: AuthnRequest) => AuthnVerdict | Promise<AuthnVerdict>
}

/** A bearer token's own check, shared by the request path and by TokenReview. */
export type TokenAuthenticator = {
  name: string
  /** `audiences` empty: the API server's own. */
  authenticateToken: (token: string, audiences: readonly string[]) => AuthnVerdict | Promise<AuthnVerdict>
}

export const ANONYMOUS: UserInfo = { name: 'system:anonymous', groups: ['system:unauthenticated'] }
