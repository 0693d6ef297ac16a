import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { SignJWT } from 'jose'
import { type TestAuthority, testAuthority } from '../client/test-certificates.ts'
import { type OidcAuthenticatorOptions, oidcAuthenticator } from './oidc.ts'
import { type OidcOptions, oidcConfig } from './oidc-config.ts'
import type { AuthnVerdict } from './types.ts'

/** ID tokens of a real issuer over HTTPS on loopback. */

const API = 'https://kubernetes.default.svc.cluster.local'
const NOW = Date.parse('2026-06-01T00:00:00Z')
const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 })
const first = rsa()
const second = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const servers: Server[] = []
let authority: TestAuthority
before(async () => {
  authority = await testAuthority('identity provider')
})
after(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

type Provider = {
  issuer: string
  requests: string[]
  /** What it answers; tests change it. */
  discovery: (issuer: string) => object | string
  keys: () => object | string
  status: number
  delayMs: number
  headers: Record<string, string>
}

const jwk = (kid: string, key: KeyObject, alg: string): object => ({
  ...key.export({ format: 'jwk' }),
  kid,
  alg,
  use: 'sig',
})

async function provider(over: Partial<Provider> = {}, name = 'localhost'): Promise<Provider> {
  const { cert, key } = await authority.issue(name, [name])
  const self: Provider = {
    issuer: '',
    requests: [],
    discovery: (issuer) => ({ issuer, jwks_uri: `${issuer}/keys` }),
    keys: () => ({ keys: [jwk('one', first.publicKey, 'RS256')] }),
    status: 200,
    delayMs: 0,
    headers: {},
    ...over,
  }
  const server = createServer({ cert, key }, (req, res) => {
    self.requests.push(req.url ?? '')
    const body = req.url === '/keys' ? self.keys() : self.discovery(self.issuer)
    setTimeout(() => {
      res.writeHead(self.status, self.headers)
      res.end(typeof body === 'string' ? body : JSON.stringify(body))
    }, self.delayMs)
  })
  servers.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  self.issuer = `https://localhost:${(server.address() as AddressInfo).port}`
  return self
}

const authenticator = (self: Provider, over: Partial<OidcAuthenticatorOptions> = {}) =>
  oidcAuthenticator({
    issuerUrl: self.issuer,
    clientId: 'kubernetes',
    ca: authority.ca,
    apiAudiences: [API],
    clock: { now: () => NOW },
    log: () => undefined,
    ...over,
  })

type Token = { claims?: object; alg?: string; kid?: string | undefined; key?: KeyObject }
const idToken = (
  self: Provider,
  { claims = {}, alg = 'RS256', kid = 'one', key = first.privateKey }: Token = {},
): Promise<string> =>
  new SignJWT({ iss: self.issuer, aud: 'kubernetes', sub: 'alice', exp: NOW / 1000 + 600, iat: NOW / 1000, ...claims })
    .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
    .sign(key)

const reason = (verdict: AuthnVerdict): string => (verdict.verdict === 'deny' ? verdict.reason : verdict.verdict)

const users: [name: string, options: Partial<OidcOptions>, claims: object, user: string, groups?: string[]][] = [
  ['sub, behind the issuer', {}, {}, 'ISSUER#alice'],
  ['sub without a prefix', { usernamePrefix: '-' }, {}, 'alice'],
  ['another prefix', { usernamePrefix: 'oidc:' }, {}, 'oidc:alice'],
  ['e-mail has no prefix', { usernameClaim: 'email' }, { email: 'a@example.org' }, 'a@example.org'],
  ['verified e-mail', { usernameClaim: 'email' }, { email: 'a@example.org', email_verified: true }, 'a@example.org'],
  ['groups are not read unasked', { usernamePrefix: '-' }, { groups: ['dev'] }, 'alice'],
  ['groups', { usernamePrefix: '-', groupsClaim: 'groups' }, { groups: ['dev', 'ops'] }, 'alice', ['dev', 'ops']],
  [
    'one group as a text',
    { usernamePrefix: '-', groupsClaim: 'roles', groupsPrefix: 'o:' },
    { roles: 'dev' },
    'alice',
    ['o:dev'],
  ],
  ['no groups there', { usernamePrefix: '-', groupsClaim: 'groups' }, {}, 'alice'],
  [
    'Kubernetes’ own groups do not come from outside',
    { usernamePrefix: '-', groupsClaim: 'groups' },
    { groups: ['system:masters', 'dev'] },
    'alice',
    ['dev'],
  ],
  [
    'with a prefix they are others',
    { usernamePrefix: '-', groupsClaim: 'groups', groupsPrefix: 'o:' },
    { groups: ['system:masters'] },
    'alice',
    ['o:system:masters'],
  ],
  ['required claims', { usernamePrefix: '-', requiredClaims: { hd: 'example.org' } }, { hd: 'example.org' }, 'alice'],
  ['several audiences', { usernamePrefix: '-', clientId: ['a', 'kubernetes'] }, { aud: ['x', 'kubernetes'] }, 'alice'],
]
for (const [name, options, claims, user, groups = []] of users)
  test(`oidc: ${name}`, async () => {
    const self = await provider()
    const verdict = await authenticator(self, options).authenticateToken(await idToken(self, { claims }), [])
    assert.ok(verdict.verdict === 'allow', reason(verdict))
    assert.equal(verdict.user.name, user.replace('ISSUER', self.issuer))
    assert.deepEqual(verdict.user.groups, [...groups, 'system:authenticated'])
    assert.deepEqual(verdict.audiences, [API])
  })

const refused: [name: string, options: Partial<OidcOptions>, token: Token, why: RegExp][] = [
  ['expired', {}, { claims: { exp: NOW / 1000 } }, /exp/],
  ['not valid yet', {}, { claims: { nbf: NOW / 1000 + 60 } }, /nbf/],
  ['no end', {}, { claims: { exp: undefined } }, /exp/],
  ['another client', {}, { claims: { aud: 'other' } }, /aud/],
  ['no audience', {}, { claims: { aud: undefined } }, /aud/],
  ['another key of that name', {}, { key: rsa().privateKey }, /signature/],
  ['an unknown key', {}, { kid: 'nine' }, /no applicable key/],
  ['an algorithm that was not agreed on', {}, { alg: 'PS256' }, /alg/],
  ['HMAC with the public key', {}, { alg: 'HS256', key: first.publicKey }, /alg/],
  ['a required claim missing', { requiredClaims: { hd: 'a' } }, {}, /"hd" is not "a"/],
  ['a required claim of another value', { requiredClaims: { hd: 'a' } }, { claims: { hd: 'b' } }, /"hd" is not "a"/],
  ['a required claim that every object has', { requiredClaims: { constructor: 'x' } }, {}, /"constructor" is not "x"/],
  ['no name', { usernameClaim: 'email' }, {}, /"email" holds no name/],
  ['a name that is a number', { usernameClaim: 'n' }, { claims: { n: 7 } }, /"n" holds no name/],
  [
    'an e-mail address not verified',
    { usernameClaim: 'email' },
    { claims: { email: 'a@b', email_verified: false } },
    /not verified/,
  ],
  [
    'an e-mail address verified as a text',
    { usernameClaim: 'email' },
    { claims: { email: 'a@b', email_verified: 'true' } },
    /not verified/,
  ],
  ['a name of Kubernetes’ own', { usernamePrefix: '-' }, { claims: { sub: 'system:admin' } }, /Kubernetes' own/],
  ['groups that are numbers', { groupsClaim: 'groups' }, { claims: { groups: [1] } }, /neither a text nor a list/],
]
for (const [name, options, token, why] of refused)
  test(`oidc refused: ${name}`, async () => {
    const self = await provider()
    const made =
      token.alg === 'HS256'
        ? await new SignJWT({ iss: self.issuer, aud: 'kubernetes', sub: 'alice', exp: NOW / 1000 + 600 })
            .setProtectedHeader({ alg: 'HS256', kid: 'one' })
            .sign(Buffer.from(first.publicKey.export({ type: 'spki', format: 'pem' })))
        : await idToken(self, token)
    const verdict = await authenticator(self, options).authenticateToken(made, [])
    assert.equal(verdict.verdict, 'deny')
    assert.match(reason(verdict), why)
  })

test('oidc refused: alg none', async () => {
  const self = await provider()
  const [, payload] = (await idToken(self)).split('.')
  const head = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url')
  assert.equal((await authenticator(self).authenticateToken(`${head}.${payload}.AA`, [])).verdict, 'deny')
  assert.equal((await authenticator(self).authenticateToken(`${head}.${payload}.`, [])).verdict, 'next')
})

test('oidc: what another issuer signed is left to others, without a request', async () => {
  const self = await provider()
  const token = await idToken(self, { claims: { iss: 'https://elsewhere' } })
  assert.deepEqual(authenticator(self).authenticateToken(token, []), { verdict: 'next' })
  assert.deepEqual(authenticator(self).authenticateToken('abcdef.0123456789abcdef', []), { verdict: 'next' })
  assert.deepEqual(self.requests, [])
})

test('oidc: a token that was seen is answered at once, until it expires', async () => {
  const self = await provider()
  let now = NOW
  const authn = authenticator(self, { clock: { now: () => now } })
  const token = await idToken(self)
  assert.equal((await authn.authenticateToken(token, [])).verdict, 'allow')
  const again = authn.authenticateToken(token, [])
  assert.ok(!(again instanceof Promise) && again.verdict === 'allow')
  assert.equal((await authn.authenticateToken(token, ['vault'])).verdict, 'deny')
  now += 600_000
  const late = authn.authenticateToken(token, [])
  assert.match(reason(await late), /expired/)
})

test('oidc: new keys are fetched for a token that names one, and tokens of keys that are gone end', async () => {
  const self = await provider()
  let now = NOW
  const authn = authenticator(self, { clock: { now: () => now }, signingAlgs: ['RS256', 'ES256'] })
  const old = await idToken(self)
  const fresh = await idToken(self, { alg: 'ES256', kid: 'two', key: second.privateKey })
  assert.equal((await authn.authenticateToken(old, [])).verdict, 'allow')
  self.keys = () => ({ keys: [jwk('two', second.publicKey, 'ES256')] })
  assert.equal((await authn.authenticateToken(fresh, [])).verdict, 'deny', 'within the cooldown')
  assert.equal(self.requests.length, 2)
  now += 10_000
  assert.equal((await authn.authenticateToken(fresh, [])).verdict, 'allow')
  assert.equal(self.requests.length, 4)
  assert.equal((await authn.authenticateToken(old, [])).verdict, 'deny')
})

test('oidc: many tokens at once and unknown keys cost the issuer one round of requests', async () => {
  const self = await provider({ delayMs: 20 })
  const authn = authenticator(self)
  const made = await Promise.all(Array.from({ length: 20 }, (_, i) => idToken(self, { claims: { jti: String(i) } })))
  const verdicts = await Promise.all(made.map((token) => authn.authenticateToken(token, [])))
  assert.ok(verdicts.every((v) => v.verdict === 'allow'))
  for (let i = 0; i < 20; i++) await authn.authenticateToken(await idToken(self, { kid: `unknown-${i}` }), [])
  assert.equal(self.requests.length, 2)
})

test('oidc: keys that are old are fetched again behind the scenes', async () => {
  const self = await provider()
  let now = NOW
  const authn = authenticator(self, { clock: { now: () => now } })
  const token = await idToken(self)
  await authn.authenticateToken(token, [])
  const other = await idToken(self, { claims: { exp: NOW / 1000 + 3600 } })
  now = NOW + 601_000
  assert.equal((await authn.authenticateToken(other, [])).verdict, 'allow')
  while (self.requests.length < 4) await new Promise((resolve) => setTimeout(resolve, 5))
})

const broken: [name: string, over: Partial<Provider>, why: RegExp][] = [
  ['answers 500', { status: 500 }, /status 500/],
  ['sends elsewhere', { status: 302, headers: { location: 'https://localhost/other' } }, /status 302/],
  ['does not answer in time', { delayMs: 5000 }, /no answer within 200 ms/],
  ['answers no JSON', { discovery: () => 'x' }, /JSON/],
  ['answers null', { discovery: () => 'null' }, /for the issuer undefined/],
  [
    'answers for another',
    { discovery: () => ({ issuer: 'https://other', jwks_uri: 'https://other/keys' }) },
    /for the issuer "https:\/\/other"/,
  ],
  ['has its keys in the clear', { discovery: (issuer) => ({ issuer, jwks_uri: 'http://localhost/keys' }) }, /https/],
  ['has its keys in a file', { discovery: (issuer) => ({ issuer, jwks_uri: 'file:///etc/passwd' }) }, /https/],
  ['names no keys', { discovery: (issuer) => ({ issuer }) }, /jwks_uri/],
  ['has no list of keys', { keys: () => ({ keys: 'x' }) }, /no list/],
  [
    'has a thousand keys',
    { keys: () => ({ keys: Array.from({ length: 1000 }, () => ({ kty: 'RSA' })) }) },
    /no list of up to/,
  ],
  ['sends a megabyte', { keys: () => `{"keys":[],"x":"${'a'.repeat(1 << 20)}"}` }, /over \d+ bytes/],
  [
    'signs with a shared secret',
    { keys: () => ({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'one', alg: 'HS256' }] }) },
    /no applicable key/,
  ],
]
for (const [name, over, why] of broken)
  test(`oidc refused: an issuer that ${name}`, async () => {
    const self = await provider(over)
    const said: string[] = []
    const verdict = await authenticator(self, { timeoutMs: 200, log: (_l, m) => void said.push(m) }).authenticateToken(
      await idToken(self),
      [],
    )
    assert.equal(verdict.verdict, 'deny')
    assert.match(reason(verdict), why)
  })

test('oidc refused: an issuer whose certificate is of a foreign authority, or for another name', async () => {
  const self = await provider()
  const foreign = (await testAuthority('foreign')).ca
  assert.match(
    reason(await authenticator(self, { ca: foreign }).authenticateToken(await idToken(self), [])),
    /certificate/,
  )
  const misnamed = await provider({}, 'elsewhere.example.org')
  assert.match(reason(await authenticator(misnamed).authenticateToken(await idToken(misnamed), [])), /altnames/)
})

test('oidc: an issuer that was down is asked again after the cooldown, not before', async () => {
  const self = await provider({ status: 503 })
  let now = NOW
  const authn = authenticator(self, { clock: { now: () => now } })
  const token = await idToken(self)
  assert.equal((await authn.authenticateToken(token, [])).verdict, 'deny')
  self.status = 200
  assert.match(reason(await authn.authenticateToken(token, [])), /status 503/)
  assert.equal(self.requests.length, 1)
  now += 10_000
  assert.equal((await authn.authenticateToken(token, [])).verdict, 'allow')
})

const options: [name: string, options: Partial<OidcOptions>, flag: RegExp][] = [
  ['plain http', { issuerUrl: 'http://a' }, /oidc-issuer-url/],
  ['no URL', { issuerUrl: 'a b' }, /oidc-issuer-url/],
  ['a password in the URL', { issuerUrl: 'https://u:p@a' }, /oidc-issuer-url/],
  ['a query in the URL', { issuerUrl: 'https://a/?x' }, /oidc-issuer-url/],
  ['no client', { clientId: '' }, /oidc-client-id/],
  ['an empty list of clients', { clientId: [] }, /oidc-client-id/],
  ['HMAC', { signingAlgs: ['HS256'] }, /oidc-signing-algs/],
  ['none', { signingAlgs: ['none'] }, /oidc-signing-algs/],
  ['an empty claim', { usernameClaim: '' }, /oidc-username-claim/],
]
for (const [name, over, flag] of options)
  test(`oidc options refused: ${name}`, () =>
    assert.throws(() => oidcConfig({ issuerUrl: 'https://a', clientId: 'c', ...over }), flag))
