import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { bearerToken, createAuthenticatorChain } from './chain.ts'
import type { Authenticator, AuthnRequest, AuthnVerdict, TokenAuthenticator } from './types.ts'

const request = (headers: IncomingHttpHeaders): AuthnRequest => ({ socket: {} as TLSSocket, headers, path: '/api' })
const allow = (name: string): AuthnVerdict => ({ verdict: 'allow', user: { name, groups: [] }, by: name })
const certificate = (verdict: AuthnVerdict | Promise<AuthnVerdict>): Authenticator => ({
  name: 'x509',
  authenticate: () => verdict,
})
const next: AuthnVerdict = { verdict: 'next' }
const bearer: IncomingHttpHeaders = { authorization: 'Bearer abc' }
const tokens = (name: string, answer: (token: string) => AuthnVerdict | Promise<AuthnVerdict>): TokenAuthenticator => ({
  name,
  authenticateToken: answer,
})
const summary = (verdict: AuthnVerdict): string =>
  verdict.verdict === 'next' ? 'next' : `${verdict.verdict} ${verdict.by}`

const deny: AuthnVerdict = { verdict: 'deny', by: 'x509', reason: 'expired' }
const yes = tokens('yes', () => allow('yes'))
const pass = tokens('pass', () => next)
const rows: [name: string, Authenticator[], TokenAuthenticator[], IncomingHttpHeaders, expected: string][] = [
  ['nothing presented', [certificate(next)], [yes], {}, 'next'],
  ['a certificate', [certificate(allow('x509'))], [yes], {}, 'allow x509'],
  ['a certificate goes before a token', [certificate(allow('x509'))], [yes], bearer, 'allow x509'],
  ['a bad certificate is not made good by a token', [certificate(deny)], [yes], bearer, 'deny x509'],
  ['a token', [certificate(next)], [yes], bearer, 'allow yes'],
  ['the next one is asked', [], [pass, yes], bearer, 'allow yes'],
  ['a denial ends it', [], [tokens('no', () => ({ verdict: 'deny', by: 'no', reason: '' })), yes], bearer, 'deny no'],
  ['a token that nobody knows', [], [pass], bearer, 'deny bearer'],
  ['no authenticator at all', [], [], bearer, 'deny bearer'],
  [
    'one that throws denies',
    [],
    [
      tokens('broken', () => {
        throw new Error('x')
      }),
      yes,
    ],
    bearer,
    'deny broken',
  ],
  ['one that rejects denies', [], [tokens('broken', () => Promise.reject(new Error('x'))), yes], bearer, 'deny broken'],
  ['late answers', [certificate(Promise.resolve(next))], [tokens('late', async () => next), yes], bearer, 'allow yes'],
  ['an empty token', [], [yes], { authorization: 'Bearer ' }, 'deny bearer'],
  ['a password', [], [yes], { authorization: 'Basic YTpi' }, 'deny bearer'],
  ['two words', [], [yes], { authorization: 'Bearer a b' }, 'deny bearer'],
  ['a token with a quote', [], [yes], { authorization: 'Bearer a"b' }, 'deny bearer'],
  ['a token with a line end', [], [yes], { authorization: 'Bearer a\r\nX: b' }, 'deny bearer'],
  ['a token of 40 kB', [], [yes], { authorization: `Bearer ${'a'.repeat(40_000)}` }, 'deny bearer'],
]
for (const [name, authenticators, list, headers, expected] of rows)
  test(`chain: ${name}`, async () =>
    assert.equal(
      summary(await createAuthenticatorChain(authenticators, list).authenticate(request(headers))),
      expected,
    ))

test('chain: answers at once when its authenticators do', () => {
  const chain = createAuthenticatorChain([certificate(next)], [pass, yes])
  assert.ok(!(chain.authenticate(request(bearer)) instanceof Promise))
})

const encoded = (token: string): string =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`
const upgrade = (protocols: string): IncomingHttpHeaders => ({
  upgrade: 'websocket',
  'sec-websocket-protocol': protocols,
})
const found: [name: string, headers: IncomingHttpHeaders, kind: string, token?: string][] = [
  ['bearer in any case', { authorization: 'bEaReR   abc  ' }, 'token', 'abc'],
  ['nothing', {}, 'none'],
  ['an empty header', { authorization: ' ' }, 'none'],
  ['a WebSocket protocol', upgrade(`v5.channel.k8s.io, ${encoded('abc')}`), 'token', 'abc'],
  ['a WebSocket protocol without an upgrade', { 'sec-websocket-protocol': `x, ${encoded('abc')}` }, 'none'],
  ['WebSocket without a token', upgrade('v5.channel.k8s.io'), 'none'],
  ['nothing but the token', upgrade(encoded('abc')), 'malformed'],
  ['two tokens', upgrade(`x, ${encoded('a')}, ${encoded('b')}`), 'malformed'],
  ['no base64url', upgrade('x, base64url.bearer.authorization.k8s.io.a=b'), 'malformed'],
  ['a token with a space inside', upgrade(`x, ${encoded('a b')}`), 'malformed'],
  [
    'the header counts, not the protocol',
    { ...upgrade(`x, ${encoded('b')}`), authorization: 'Bearer a' },
    'token',
    'a',
  ],
]
for (const [name, headers, kind, token] of found)
  test(`bearer: ${name}`, () => {
    const result = bearerToken(headers)
    assert.equal(result.kind, kind)
    if (result.kind === 'token') assert.equal(result.token, token)
  })

test('bearer: a WebSocket token cannot be sent back as the protocol agreed on', () => {
  const headers = upgrade(`v5.channel.k8s.io, ${encoded('abc')}, v4.channel.k8s.io`)
  bearerToken(headers)
  assert.equal(headers['sec-websocket-protocol'], 'v5.channel.k8s.io, v4.channel.k8s.io')
})
