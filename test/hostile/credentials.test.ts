import assert from 'node:assert/strict'
import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ControlPlanePki } from '../../src/features/tls/index.ts'
import { issueLeaf } from '../../src/features/tls/leaf.ts'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, open, request } from './wire.ts'

const NAMESPACES = '/api/v1/namespaces'

let server: TestServer
let admin: Credentials
let foreignDirectory: string
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
  foreignDirectory = mkdtempSync(join(tmpdir(), 'rampart-foreign-'))
})
after(async () => {
  await server.close()
  rmSync(foreignDirectory, { recursive: true, force: true })
})

const get = (credentials: Credentials, headers: Record<string, string> = {}, path = NAMESPACES): Promise<Answer> =>
  request(server, credentials, { path, headers })
const bearer = (token: string): Promise<Answer> => get({}, { Authorization: `Bearer ${token}` })
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  request(server, admin, { path, body: JSON.stringify(body), headers })

/** A bare 401: the caller learns nothing of why. */
function unauthorized(answer: Answer): void {
  assert.equal(answer.code, 401, answer.body)
  assert.equal(answer.json().message, 'Unauthorized')
  assert.equal(answer.body.includes('expired') || answer.body.includes('revoked'), false)
}

const masters = { commonName: 'intruder', organizations: ['system:masters'] }

describe('client certificates', () => {
  const issued = (name: Parameters<ControlPlanePki['issue']>[0], shiftMs = 0, spec = masters): Credentials => {
    const { certificate, key } = issueLeaf(
      { ...spec, extKeyUsage: name === 'api-server' || name === 'kubelet-serving' ? ['serverAuth'] : ['clientAuth'] },
      server.plane.pki.issuer(name),
      { now: Date.now() + shiftMs, lifetimeSeconds: 3600 },
    )
    return { cert: certificate, key }
  }
  test('the comparison: a good one', async () => assert.equal((await get(issued('client'))).code, 200))
  test('expired', async () => unauthorized(await get(issued('client', -2 * 3600_000))))
  test('not valid yet', async () => unauthorized(await get(issued('client', 3600_000))))
  test('of a foreign root with the same names', async () => {
    const foreign = new ControlPlanePki({
      directory: foreignDirectory,
      clock: { now: Date.now },
      clusterName: 'test',
      apiServerNames: [],
      serviceAddress: '10.96.0.1',
    })
    const { cert, key } = foreign.leaf('admin')
    unauthorized(await get({ cert, key }))
  })
  test('self-signed intermediate: the leaf alone, its issuer left out', async () => {
    const { cert = '', key } = issued('client')
    const leafOnly = cert.slice(0, cert.indexOf('-----END CERTIFICATE-----') + 26)
    // The server holds the issuer as an anchor: the chain is whole without it.
    assert.equal((await get({ cert: leafOnly, ...(key === undefined ? {} : { key }) })).code, 200)
  })
  for (const name of ['api-server', 'kubelet-serving', 'front-proxy', 'etcd'] as const)
    test(`of the cluster's ${name} authority`, async () => unauthorized(await get(issued(name))))
  test('for serving, by the authority of clients', async () => {
    const { certificate, key } = issueLeaf(
      { ...masters, extKeyUsage: ['serverAuth'] },
      server.plane.pki.issuer('client'),
      { now: Date.now(), lifetimeSeconds: 3600 },
    )
    unauthorized(await get({ cert: certificate, key }))
  })
  test('a name that looks like a group when printed', async () => {
    const answer = await get(issued('client', 0, { commonName: 'alice\nO=system:masters', organizations: [] }))
    assert.ok(answer.code === 401 || answer.code === 403, `${answer.code} ${answer.body}`)
  })
  test('a bad certificate is not outweighed by a good token', async () => {
    const token = await serviceAccountToken('default', 'default')
    unauthorized(await get(issued('client', -2 * 3600_000), { Authorization: `Bearer ${token}` }))
  })
  test('nor does it open health to more than anonymous callers see', async () => {
    unauthorized(await get(issued('client', -2 * 3600_000), {}, '/version'))
  })
  test('revoked while its connection is open', async () => {
    const credential = server.plane.pki.issue('client', masters)
    const mine = { cert: credential.certificate, key: credential.key }
    const socket = await open(server, mine)
    const ask = (): Promise<string> =>
      new Promise((resolve) => {
        socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1').slice(0, 12)))
        socket.once('close', () => resolve('closed'))
        if (socket.destroyed) resolve('closed')
        else socket.write(`GET ${NAMESPACES} HTTP/1.1\r\nHost: x\r\n\r\n`)
      })
    assert.equal(await ask(), 'HTTP/1.1 200')
    const file = join(server.directory, 'pki', 'revoked.json')
    writeFileSync(`${file}.new`, JSON.stringify({ serialNumbers: [credential.leaf.serialNumber], fingerprints: [] }))
    renameSync(`${file}.new`, file)
    // Whichever comes first: the answer to a request, or the end of the connections of who was revoked.
    let last = ''
    for (let i = 0; i < 40 && last !== 'HTTP/1.1 401' && last !== 'closed'; i++) {
      await sleep(100)
      last = await ask()
    }
    socket.destroy()
    assert.ok(last === 'HTTP/1.1 401' || last === 'closed', last)
    unauthorized(await get(mine))
    assert.equal((await get(admin)).code, 200)
  })
})

async function serviceAccountToken(namespace: string, name: string, spec: object = {}): Promise<string> {
  const answer = await post(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, { spec })
  assert.equal(answer.code, 201, answer.body)
  return (answer.json()['status'] as { token: string }).token
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const part = (token: string, i: number): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[i]!, 'base64url').toString('utf8')) as Record<string, unknown>

function es256(header: object, claims: object, key: KeyObject): string {
  const head = `${base64url(header)}.${base64url(claims)}`
  return `${head}.${sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

describe('service-account tokens', () => {
  let good: string
  before(async () => {
    good = await serviceAccountToken('default', 'default')
  })
  const signingKey = (): KeyObject =>
    createPrivateKey(server.plane.pki.serviceAccountKeys[0]!.export({ type: 'pkcs8', format: 'pem' }))
  const resigned = (change: object, header: object = {}): string =>
    es256({ ...part(good, 0), ...header }, { ...part(good, 1), ...change }, signingKey())
  const now = Math.floor(Date.now() / 1000)

  test('the comparison: a good one is known (and may not list namespaces)', async () => {
    assert.equal((await bearer(good)).code, 403)
    assert.equal((await bearer(resigned({}))).code, 403)
  })
  const bad: readonly [string, () => string][] = [
    ['alg none, no signature', () => `${base64url({ ...part(good, 0), alg: 'none' })}.${good.split('.')[1]}.`],
    [
      'alg None, the old signature',
      () => `${base64url({ ...part(good, 0), alg: 'None' })}.${good.split('.').slice(1).join('.')}`,
    ],
    ['no signature', () => `${good.split('.').slice(0, 2).join('.')}.`],
    [
      'HS256 with the public key as secret',
      () => {
        const pem = server.plane.pki.serviceAccountKeys[0]!
        const head = `${base64url({ ...part(good, 0), alg: 'HS256' })}.${good.split('.')[1]}`
        return `${head}.${createHmac('sha256', JSON.stringify(pem.export({ format: 'jwk' })))
          .update(head)
          .digest('base64url')}`
      },
    ],
    [
      'another key under the same kid',
      () => es256(part(good, 0), part(good, 1), generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    ],
    [
      'a key of its own in the header',
      () => {
        const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
        return es256({ alg: 'ES256', jwk: pair.publicKey.export({ format: 'jwk' }) }, part(good, 1), pair.privateKey)
      },
    ],
    ['unknown kid', () => resigned({}, { kid: '../../../etc/passwd' })],
    ['critical extension', () => resigned({}, { crit: ['b64'], b64: false })],
    [
      'changed claims',
      () =>
        [
          good.split('.')[0],
          base64url({ ...part(good, 1), sub: 'system:serviceaccount:kube-system:default' }),
          good.split('.')[2],
        ].join('.'),
    ],
    ['a zero signature', () => `${good.split('.').slice(0, 2).join('.')}.${Buffer.alloc(64).toString('base64url')}`],
    ['another audience', () => resigned({ aud: ['https://elsewhere'] })],
    ['audience as a text', () => resigned({ aud: 'https://kubernetes.default.svc.cluster.local.evil' })],
    ['another issuer', () => resigned({ iss: 'https://elsewhere' })],
    ['expired', () => resigned({ exp: now - 1 })],
    ['without expiry', () => resigned({ exp: undefined })],
    ['expiry as a text', () => resigned({ exp: '99999999999' })],
    ['not valid yet', () => resigned({ nbf: now + 600 })],
    ['another account in sub', () => resigned({ sub: 'system:serviceaccount:kube-system:default' })],
    [
      'an account that never was',
      () =>
        resigned({
          sub: 'system:serviceaccount:default:ghost',
          'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'ghost', uid: 'x' } },
        }),
    ],
    ['empty', () => ''],
    ['three dots', () => '..'],
    ['70 KB less a header', () => 'a'.repeat(20_000)],
    ['a bootstrap token nobody made', () => 'abcdef.0123456789abcdef'],
  ]
  for (const [what, token] of bad) test(what, async () => unauthorized(await bearer(token())))

  test('issued for another audience', async () => {
    unauthorized(await bearer(await serviceAccountToken('default', 'default', { audiences: ['vault'] })))
  })
  test('of an account that was deleted, and made again with the same name', async () => {
    assert.equal((await post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'gone' } })).code, 201)
    const token = await serviceAccountToken('default', 'gone')
    assert.equal((await bearer(token)).code, 403)
    await request(server, admin, { method: 'DELETE', path: '/api/v1/namespaces/default/serviceaccounts/gone' })
    unauthorized(await bearer(token))
    await post('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'gone' } })
    unauthorized(await bearer(token))
  })
  test('bound to a pod that was deleted', async () => {
    const pod = { metadata: { name: 'bound' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    const made = await post('/api/v1/namespaces/default/pods', pod)
    assert.equal(made.code, 201, made.body)
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'bound', uid: made.json().metadata!['uid'] }
    const token = await serviceAccountToken('default', 'default', { boundObjectRef })
    assert.equal((await bearer(token)).code, 403)
    await request(server, admin, {
      method: 'DELETE',
      path: '/api/v1/namespaces/default/pods/bound?gracePeriodSeconds=0',
    })
    unauthorized(await bearer(token))
    assert.equal((await bearer(good)).code, 403)
  })
  test('a review says no without saying the token', async () => {
    const answer = await post('/apis/authentication.k8s.io/v1/tokenreviews', {
      spec: { token: resigned({ exp: now - 1 }) },
    })
    assert.equal(answer.code, 201)
    assert.equal((answer.json()['status'] as { authenticated?: boolean }).authenticated ?? false, false)
    assert.equal(answer.body.includes(good.split('.')[1]!.slice(0, 40)), false)
  })
})

describe('impersonation', () => {
  const headers: readonly [string, Record<string, string>][] = [
    ['user', { 'Impersonate-User': 'kubernetes-admin' }],
    ['group', { 'Impersonate-User': 'alice', 'Impersonate-Group': 'system:masters' }],
    ['uid', { 'Impersonate-User': 'alice', 'Impersonate-Uid': '42' }],
    ['extra', { 'Impersonate-User': 'alice', 'Impersonate-Extra-Scopes': 'everything' }],
    ['service account', { 'Impersonate-User': 'system:serviceaccount:kube-system:default' }],
  ]
  let alice: Credentials
  before(async () => {
    const { certificate, key } = server.plane.pki.issue('client', { commonName: 'alice', organizations: [] })
    alice = { cert: certificate, key }
    // Alice may be herself again, and nobody else: the other headers are checked one by one.
    await post('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: 'be-alice' },
      rules: [{ apiGroups: [''], resources: ['users'], verbs: ['impersonate'], resourceNames: ['alice'] }],
    })
    await post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'be-alice' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'be-alice' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'alice' }],
    })
  })
  const whoami = async (credentials: Credentials, more: Record<string, string>): Promise<Answer> =>
    request(server, credentials, {
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      headers: more,
      body: '{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}',
    })
  for (const [what, more] of headers) {
    test(`${what}, without permission`, async () => {
      const answer = await whoami(alice, more)
      assert.equal(answer.code, 403, answer.body)
      assert.match(answer.json().message!, /cannot impersonate resource/)
    })
    test(`${what}, with permission`, async () => {
      const answer = await whoami(admin, more)
      assert.equal(answer.code, 201, answer.body)
      const { userInfo } = answer.json()['status'] as {
        userInfo: { username: string; uid?: string; groups: string[]; extra?: Record<string, string[]> }
      }
      assert.equal(userInfo.username, more['Impersonate-User'])
      assert.equal(userInfo.uid, more['Impersonate-Uid'])
      assert.equal(userInfo.groups.includes('system:masters'), what === 'group')
      assert.deepEqual(userInfo.extra, what === 'extra' ? { scopes: ['everything'] } : undefined)
    })
  }
  test('allowed as oneself, with what one may', async () => {
    assert.equal((await whoami(alice, { 'Impersonate-User': 'alice' })).code, 201)
  })
  for (const name of ['Impersonate-Group', 'Impersonate-Uid', 'Impersonate-Extra-X'])
    test(`${name} without a user`, async () => assert.equal((await whoami(admin, { [name]: 'x' })).code, 400))
  test('without credentials', async () => unauthorized(await whoami({}, { 'Impersonate-User': 'kubernetes-admin' })))
  test('of an extra key named like a prototype', async () => {
    const answer = await whoami(admin, { 'Impersonate-User': 'alice', 'Impersonate-Extra-__proto__': 'x' })
    assert.ok(answer.code === 201 || answer.code === 400, answer.body)
    assert.equal(Object.hasOwn(Object.prototype, '0'), false)
  })
})

test('nothing of a credential is in log or audit', () => {
  assert.equal(JSON.stringify(server.log).includes('eyJhbGci'), false)
})
