import assert from 'node:assert/strict'
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { KubeObject } from '../api/object.ts'
import { type BoundObject, type ObjectLookup, ServiceAccountTokens } from './service-account.ts'
import { answerTokenRequest } from './token-request.ts'
import { answerTokenReview } from './token-review.ts'
import { keyId, TokenSigning } from './token-signing.ts'
import type { AuthnVerdict } from './types.ts'

const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const START = Date.parse('2026-06-01T00:00:00Z')
const key = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const object = (kind: string, name: string, uid: string, more: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind,
  ...more,
  metadata: { name, namespace: 'shop', uid, ...more.metadata },
})

const web = object('ServiceAccount', 'web', 'uid-web')

/** A small world in which objects come and go and time passes. */
function world() {
  const objects = new Map<string, KubeObject>([
    ['serviceaccounts/shop/web', web],
    ['pods/shop/web-1', object('Pod', 'web-1', 'uid-pod', { spec: { serviceAccountName: 'web', nodeName: 'n1' } })],
    ['pods/shop/other', object('Pod', 'other', 'uid-other', { spec: { serviceAccountName: 'other' } })],
    ['secrets/shop/s', object('Secret', 's', 'uid-secret')],
    ['nodes//n1', object('Node', 'n1', 'uid-node')],
  ])
  const state = { now: START, keys: [key()] as readonly KeyObject[] }
  const lookup: ObjectLookup = (resource, namespace, name) => objects.get(`${resource}/${namespace}/${name}`)
  const tokens = new ServiceAccountTokens({
    issuer: ISSUER,
    audiences: [ISSUER],
    signing: new TokenSigning(() => state.keys),
    lookup,
    clock: { now: () => state.now },
  })
  const issue = (bound?: BoundObject, over: { audiences?: string[]; expirationSeconds?: number } = {}): string =>
    tokens.issue(web, { audiences: [], expirationSeconds: 3600, ...over }, bound).token
  return { objects, state, lookup, tokens, issue }
}
type World = ReturnType<typeof world>

const allowed = (verdict: AuthnVerdict) => {
  assert.ok(verdict.verdict === 'allow', JSON.stringify(verdict))
  return verdict
}
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
const headerOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString())
const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
function signed(header: object, claims: object, by: KeyObject): string {
  const head = `${encode(header)}.${encode(claims)}`
  return `${head}.${sign('sha256', Buffer.from(head), { key: by, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const POD: BoundObject = { kind: 'Pod', name: 'web-1', uid: 'uid-pod', node: { name: 'n1', uid: 'uid-node' } }
const SECRET: BoundObject = { kind: 'Secret', name: 's', uid: 'uid-secret' }
const NODE: BoundObject = { kind: 'Node', name: 'n1', uid: 'uid-node' }

test('service account token: claims as Kubernetes writes them', () => {
  const { issue, state } = world()
  const token = issue(POD)
  const { jti, ...claims } = claimsOf(token)
  assert.match(jti, /^[0-9a-f-]{36}$/)
  assert.deepEqual(claims, {
    iss: ISSUER,
    sub: 'system:serviceaccount:shop:web',
    aud: [ISSUER],
    iat: START / 1000,
    nbf: START / 1000,
    exp: START / 1000 + 3600,
    'kubernetes.io': {
      namespace: 'shop',
      serviceaccount: { name: 'web', uid: 'uid-web' },
      pod: { name: 'web-1', uid: 'uid-pod' },
      node: { name: 'n1', uid: 'uid-node' },
    },
  })
  assert.deepEqual(headerOf(token), { alg: 'ES256', kid: keyId(state.keys[0]!) })
})

test('service account token: who it is', () => {
  const { issue, tokens } = world()
  const token = issue(POD)
  const verdict = allowed(tokens.authenticateToken(token, []))
  assert.deepEqual(verdict, {
    verdict: 'allow',
    by: 'service-account',
    audiences: [ISSUER],
    user: {
      name: 'system:serviceaccount:shop:web',
      uid: 'uid-web',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/credential-id': [`JTI=${claimsOf(token).jti}`],
        'authentication.kubernetes.io/pod-name': ['web-1'],
        'authentication.kubernetes.io/pod-uid': ['uid-pod'],
        'authentication.kubernetes.io/node-name': ['n1'],
        'authentication.kubernetes.io/node-uid': ['uid-node'],
      },
    },
  })
})

test('service account token: another implementation verifies it with the published keys', async () => {
  const { issue, tokens, state } = world()
  const { payload } = await jwtVerify(issue(), createLocalJWKSet(tokens.jwks() as never), {
    issuer: ISSUER,
    audience: ISSUER,
    currentDate: new Date(state.now),
  })
  assert.equal(payload.sub, 'system:serviceaccount:shop:web')
  const [published] = tokens.jwks().keys as Record<string, string>[]
  assert.deepEqual(Object.keys(published!).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
})

const refusedNow: [name: string, bound: BoundObject | undefined, change: (w: World) => void, reason: RegExp][] = [
  ['at the end of its time', undefined, (w) => (w.state.now += 3600_000), /expired/],
  ['when the clock jumped back', undefined, (w) => (w.state.now -= 61_000), /not valid yet/],
  [
    'when its account is gone',
    undefined,
    (w) => w.objects.delete('serviceaccounts/shop/web'),
    /serviceaccounts is gone/,
  ],
  [
    'when its account was made anew',
    undefined,
    (w) => w.objects.set('serviceaccounts/shop/web', object('ServiceAccount', 'web', 'new')),
    /another one now/,
  ],
  [
    'when its account is deleted',
    undefined,
    (w) =>
      w.objects.set(
        'serviceaccounts/shop/web',
        object('ServiceAccount', 'web', 'uid-web', {
          metadata: { name: 'web', uid: 'uid-web', deletionTimestamp: '2026-05-31T23:58:59Z' },
        }),
      ),
    /is deleted/,
  ],
  ['when its pod is gone', POD, (w) => w.objects.delete('pods/shop/web-1'), /pods is gone/],
  [
    'when its pod is another',
    POD,
    (w) => w.objects.set('pods/shop/web-1', object('Pod', 'web-1', 'new')),
    /another one now/,
  ],
  ['when its secret is gone', SECRET, (w) => w.objects.delete('secrets/shop/s'), /secrets is gone/],
  ['when its node is gone', NODE, (w) => w.objects.delete('nodes//n1'), /nodes is gone/],
  ['when its key is retired', undefined, (w) => (w.state.keys = [key()]), /unknown key/],
]
for (const [name, bound, change, reason] of refusedNow)
  for (const seen of [false, true])
    test(`service account token: refused ${name}${seen ? ', though it was good a moment ago' : ''}`, () => {
      const w = world()
      const token = w.issue(bound)
      if (seen) allowed(w.tokens.authenticateToken(token, []))
      change(w)
      const verdict = w.tokens.authenticateToken(token, [])
      assert.ok(verdict.verdict === 'deny')
      assert.match(verdict.reason, reason)
    })

const stillGood: [name: string, bound: BoundObject | undefined, change: (w: World) => void][] = [
  ['when the clock jumped back a little', undefined, (w) => (w.state.now -= 59_000)],
  ['in its last second', undefined, (w) => (w.state.now += 3599_000)],
  [
    'while its account is being deleted',
    undefined,
    (w) =>
      w.objects.set(
        'serviceaccounts/shop/web',
        object('ServiceAccount', 'web', 'uid-web', {
          metadata: { name: 'web', uid: 'uid-web', deletionTimestamp: '2026-05-31T23:59:30Z' },
        }),
      ),
  ],
  ['of a pod whose node is gone', POD, (w) => w.objects.delete('nodes//n1')],
  ['when a new key signs', undefined, (w) => (w.state.keys = [key(), ...w.state.keys])],
]
for (const [name, bound, change] of stillGood)
  test(`service account token: good ${name}`, () => {
    const w = world()
    const token = w.issue(bound)
    change(w)
    allowed(w.tokens.authenticateToken(token, []))
  })

test('service account token: after a rotation the new key signs, and only public keys verify as well', () => {
  const w = world()
  const old = w.issue()
  const fresh = key()
  w.state.keys = [fresh, createPublicKey(w.state.keys[0]!)]
  assert.equal(headerOf(w.issue()).kid, keyId(fresh))
  allowed(w.tokens.authenticateToken(w.issue(), []))
  allowed(w.tokens.authenticateToken(old, []))
  assert.equal(w.tokens.jwks().keys.length, 2)
})

const audiences: [name: string, issued: string[], asked: string[], accepted: string[] | undefined][] = [
  ['the API server’s own', [], [], [ISSUER]],
  ['another audience at the API server', ['vault'], [], undefined],
  ['another audience where it belongs', ['vault'], ['vault'], ['vault']],
  ['one of several', ['vault', ISSUER], [], [ISSUER]],
  ['the API server’s token elsewhere', [], ['vault'], undefined],
]
for (const [name, issued, asked, accepted] of audiences)
  test(`service account token: audience: ${name}`, () => {
    const { issue, tokens } = world()
    const verdict = tokens.authenticateToken(issue(undefined, { audiences: issued }), asked)
    assert.deepEqual(verdict.verdict === 'allow' ? verdict.audiences : undefined, accepted)
  })

const forged: [name: string, forge: (w: World, good: string) => string, outcome: RegExp | 'next'][] = [
  ['alg none', (_w, good) => `${encode({ alg: 'none', kid: headerOf(good).kid })}.${good.split('.')[1]}.`, 'next'],
  [
    'alg none with a signature',
    (_w, good) => `${encode({ alg: 'none', kid: headerOf(good).kid })}.${good.split('.')[1]}.AA`,
    /not ES256/,
  ],
  [
    'alg NONE',
    (_w, good) => `${encode({ alg: 'NONE', kid: headerOf(good).kid })}.${good.split('.')[1]}.AA`,
    /not ES256/,
  ],
  ['no alg', (_w, good) => `${encode({ kid: headerOf(good).kid })}.${good.split('.')[1]}.AA`, /not ES256/],
  [
    'HMAC with the public key as secret',
    (w, good) => {
      const head = `${encode({ alg: 'HS256', kid: headerOf(good).kid })}.${good.split('.')[1]}`
      const secret = createPublicKey(w.state.keys[0]!).export({ type: 'spki', format: 'pem' })
      return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
    },
    /not ES256/,
  ],
  ['a key of somebody else', (_w, good) => signed(headerOf(good), claimsOf(good), key()), /signature is wrong/],
  [
    'an unknown key id',
    (w, good) => signed({ alg: 'ES256', kid: 'x' }, claimsOf(good), w.state.keys[0]!),
    /unknown key/,
  ],
  ['no key id', (w, good) => signed({ alg: 'ES256' }, claimsOf(good), w.state.keys[0]!), /names no key/],
  [
    'a key in its own header',
    (_w, good) => {
      const own = key()
      return signed(
        { alg: 'ES256', kid: 'x', jwk: createPublicKey(own).export({ format: 'jwk' }) },
        claimsOf(good),
        own,
      )
    },
    /unknown key/,
  ],
  [
    'critical parameters',
    (w, good) => signed({ ...headerOf(good), crit: ['b64'], b64: false }, claimsOf(good), w.state.keys[0]!),
    /critical/,
  ],
  [
    'another subject under the old signature',
    (_w, good) => {
      const [head, , end] = good.split('.')
      return `${head}.${encode({ ...claimsOf(good), sub: 'system:serviceaccount:kube-system:admin' })}.${end}`
    },
    /signature is wrong/,
  ],
  [
    'a subject that is not its account',
    (w, good) => signed(headerOf(good), { ...claimsOf(good), sub: 'system:admin' }, w.state.keys[0]!),
    /incomplete/,
  ],
  [
    'no end',
    (w, good) => {
      const { exp: _, ...rest } = claimsOf(good)
      return signed(headerOf(good), rest, w.state.keys[0]!)
    },
    /incomplete/,
  ],
  [
    'no audience (a legacy token)',
    (w, good) => {
      const { aud: _, ...rest } = claimsOf(good)
      return signed(headerOf(good), rest, w.state.keys[0]!)
    },
    /incomplete/,
  ],
  [
    'an empty uid',
    (w, good) =>
      signed(
        headerOf(good),
        { ...claimsOf(good), 'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'web', uid: '' } } },
        w.state.keys[0]!,
      ),
    /incomplete/,
  ],
  [
    'bound to a node without uid',
    (w, good) => {
      const { namespace, serviceaccount } = claimsOf(good)['kubernetes.io']
      const bound = { namespace, serviceaccount, node: { name: 'n1' } }
      return signed(headerOf(good), { ...claimsOf(good), 'kubernetes.io': bound }, w.state.keys[0]!)
    },
    /incomplete/,
  ],
  ['a signature of one bit less', (_w, good) => `${good.slice(0, -4)}AAAA`, /signature is wrong/],
  [
    'another issuer',
    (w, good) => signed(headerOf(good), { ...claimsOf(good), iss: 'https://elsewhere' }, w.state.keys[0]!),
    'next',
  ],
  [
    'the issuer of legacy tokens',
    (w, good) => signed(headerOf(good), { ...claimsOf(good), iss: 'kubernetes/serviceaccount' }, w.state.keys[0]!),
    'next',
  ],
  ['no JWT', () => 'abc', 'next'],
  ['a JWT of nothing', () => 'e30.e30.AA', 'next'],
  ['claims that are a list', () => `${encode({ alg: 'ES256' })}.${Buffer.from('[]').toString('base64url')}.AA`, 'next'],
  ['five parts (encryption)', (_w, good) => `${good}.a.b`, 'next'],
]
for (const [name, forge, outcome] of forged)
  test(`service account token refused: ${name}`, () => {
    const w = world()
    const verdict = w.tokens.authenticateToken(forge(w, w.issue()), [])
    if (outcome === 'next') return assert.equal(verdict.verdict, 'next')
    assert.ok(verdict.verdict === 'deny', verdict.verdict)
    assert.match(verdict.reason, outcome)
  })

const request = (spec: object, metadata: object = {}): KubeObject => ({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'TokenRequest',
  metadata,
  spec,
})

test('token request: defaults, and the token that comes is good', () => {
  const w = world()
  const notes: string[] = []
  const answer = answerTokenRequest(w.tokens, w.lookup, request({}), 'shop', 'web', (k, v) => notes.push(`${k}=${v}`))
  assert.deepEqual(answer['spec'], { audiences: [ISSUER], expirationSeconds: 3600, boundObjectRef: null })
  assert.equal(answer['status'].expirationTimestamp, '2026-06-01T01:00:00Z')
  allowed(w.tokens.authenticateToken(answer['status'].token, []))
  assert.deepEqual(notes, [
    `authentication.kubernetes.io/issued-credential-id=JTI=${claimsOf(answer['status'].token).jti}`,
  ])
})

test('token request: bound to a pod, which brings its node along', () => {
  const w = world()
  const spec = {
    audiences: ['vault'],
    expirationSeconds: 600,
    boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'web-1', uid: 'uid-pod' },
  }
  const answer = answerTokenRequest(w.tokens, w.lookup, request(spec), 'shop', 'web')
  const claims = claimsOf(answer['status'].token)
  assert.deepEqual(claims['kubernetes.io'].pod, { name: 'web-1', uid: 'uid-pod' })
  assert.deepEqual(claims['kubernetes.io'].node, { name: 'n1', uid: 'uid-node' })
  assert.deepEqual(claims.aud, ['vault'])
  assert.equal(claims.exp - claims.iat, 600)
})

test('token request: a node that is not there is named without uid', () => {
  const w = world()
  w.objects.delete('nodes//n1')
  const spec = { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'web-1' } }
  const { token } = answerTokenRequest(w.tokens, w.lookup, request(spec), 'shop', 'web')['status']
  assert.deepEqual(claimsOf(token)['kubernetes.io'].node, { name: 'n1' })
  const verdict = w.tokens.authenticateToken(token, [])
  assert.equal(verdict.verdict, 'allow')
  assert.deepEqual(verdict.user.extra?.['authentication.kubernetes.io/node-name'], ['n1'])
  assert.equal(verdict.user.extra?.['authentication.kubernetes.io/node-uid'], undefined)
})

const badRequests: [name: string, spec: object, code: number, message: RegExp, metadata?: object][] = [
  [
    'a short life',
    { expirationSeconds: 599 },
    422,
    /spec\.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes/,
  ],
  ['a life beyond 2^32', { expirationSeconds: 2 ** 32 + 1 }, 422, /larger than 2\^32 seconds/],
  ['half a second', { expirationSeconds: 700.5 }, 422, /must be an integer/],
  [
    'a pod of another account',
    { boundObjectRef: { kind: 'Pod', name: 'other' } },
    400,
    /different serviceaccount name/,
  ],
  ['a pod that is not there', { boundObjectRef: { kind: 'Pod', name: 'nope' } }, 404, /pods "nope" not found/],
  [
    'a pod that is another now',
    { boundObjectRef: { kind: 'Pod', name: 'web-1', uid: 'old' } },
    409,
    /does not match the UID in record/,
  ],
  [
    'an object of another kind',
    { boundObjectRef: { kind: 'ConfigMap', name: 'x' } },
    400,
    /cannot bind token to object of type/,
  ],
  [
    'an object of another group',
    { boundObjectRef: { kind: 'Pod', apiVersion: 'apps/v1', name: 'web-1' } },
    400,
    /cannot bind token/,
  ],
  ['a kind named constructor', { boundObjectRef: { kind: 'constructor', name: 'x' } }, 400, /cannot bind token/],
  ['another name in the body', {}, 400, /does not match the name on the URL/, { name: 'admin' }],
  ['another namespace in the body', {}, 400, /does not match the namespace/, { namespace: 'kube-system' }],
]
for (const [name, spec, code, message, metadata] of badRequests)
  test(`token request refused: ${name}`, () => {
    const w = world()
    assert.throws(() => answerTokenRequest(w.tokens, w.lookup, request(spec, metadata), 'shop', 'web'), {
      code,
      message,
    })
  })

test('token request refused: an account that is not there', () => {
  const w = world()
  assert.throws(() => answerTokenRequest(w.tokens, w.lookup, request({}), 'shop', 'nobody'), { code: 404 })
})

const review = (spec: object): KubeObject => ({
  apiVersion: 'authentication.k8s.io/v1',
  kind: 'TokenReview',
  metadata: {},
  spec,
})

test('token review: user and audiences, and the token is not sent back', async () => {
  const { issue, tokens } = world()
  const token = issue(undefined, { audiences: ['vault', 'other'] })
  const answer = await answerTokenReview(review({ token, audiences: ['vault', 'x'] }), [tokens])
  assert.equal(answer['status'].authenticated, true)
  assert.deepEqual(answer['status'].audiences, ['vault'])
  assert.equal(answer['status'].user.username, 'system:serviceaccount:shop:web')
  assert.ok(!JSON.stringify(answer).includes(token))
})

test('token review: what is refused says so and names nobody', async () => {
  const { issue, tokens } = world()
  const agnostic = {
    name: 'agnostic',
    authenticateToken: (): AuthnVerdict => ({ verdict: 'allow', by: 'agnostic', user: { name: 'x', groups: [] } }),
  }
  const rows: [object, KubeObject][] = [
    [
      { token: issue(), audiences: ['vault'] },
      await answerTokenReview(review({ token: issue(), audiences: ['vault'] }), [tokens]),
    ],
    [{ token: 'abc' }, await answerTokenReview(review({ token: 'abc' }), [tokens])],
    [
      { token: 'abc', audiences: ['vault'] },
      await answerTokenReview(review({ token: 'abc', audiences: ['vault'] }), [agnostic], [ISSUER]),
    ],
  ]
  for (const [spec, answer] of rows) {
    assert.equal(answer['status'].authenticated, undefined, JSON.stringify(spec))
    assert.deepEqual(answer['status'].user, {})
    assert.match(answer['status'].error, /invalid bearer token/)
  }
  const known = await answerTokenReview(review({ token: 'abc', audiences: [ISSUER] }), [agnostic], [ISSUER])
  assert.deepEqual(known['status'].audiences, [ISSUER])
})

test('token review: without a token it is a bad request', () =>
  assert.rejects(answerTokenReview(review({}), []), { code: 400, message: /token is required/ }))
