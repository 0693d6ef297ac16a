import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, request } from './wire.ts'

const CONFIGMAPS = '/api/v1/namespaces/hooked/configmaps'
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
  assert.equal((await post('/api/v1/namespaces', { metadata: { name: 'hooked' } })).code, 201)
})
after(() => server.close())

const post = (path: string, body: unknown): Promise<Answer> =>
  request(server, admin, { path, body: JSON.stringify(body) })
const remove = (path: string): Promise<Answer> => request(server, admin, { method: 'DELETE', path })

type Review = { request: { uid: string } }
type Handle = (review: Review, response: ServerResponse) => void
const patch = (operations: object[]): string => Buffer.from(JSON.stringify(operations)).toString('base64')
const answer = (response: ServerResponse, uid: string, more: object): void => {
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...more } }
  response.setHeader('Content-Type', 'application/json').end(JSON.stringify(review))
}
const patching =
  (operations: object[]): Handle =>
  ({ request: { uid } }, response) =>
    answer(response, uid, { allowed: true, patchType: 'JSONPatch', patch: patch(operations) })

describe('webhooks that misbehave', () => {
  let webhook: Server
  let handle: Handle
  before(async () => {
    const sans = { dns: ['localhost'], ip: ['127.0.0.1'] }
    const { certificate, key } = server.plane.pki.issue('api-server', { commonName: 'webhook', sans })
    webhook = createServer({ cert: certificate, key }, async (req, res) => {
      const chunks: Buffer[] = []
      for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
      handle(JSON.parse(Buffer.concat(chunks).toString()) as Review, res)
    })
    await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve))
  })
  after(async () => {
    webhook.closeAllConnections()
    await new Promise((resolve) => webhook.close(resolve))
  })

  /** Creates a ConfigMap behind one webhook; returns what the client got. */
  async function behind(
    kind: 'Mutating' | 'Validating',
    failurePolicy: 'Fail' | 'Ignore',
    misbehave: Handle,
  ): Promise<Answer> {
    handle = misbehave
    const path = `${WEBHOOKS}/${kind.toLowerCase()}webhookconfigurations`
    const { port } = webhook.address() as AddressInfo
    const made = await post(path, {
      metadata: { name: 'bad' },
      webhooks: [
        {
          name: 'bad.example.com',
          clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle: Buffer.from(server.ca).toString('base64') },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'hooked' } },
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
          timeoutSeconds: 1,
          failurePolicy,
        },
      ],
    })
    assert.equal(made.code, 201, made.body)
    await sleep(50)
    try {
      return await post(CONFIGMAPS, { metadata: { name: `c-${Math.random().toString(36).slice(2)}` } })
    } finally {
      await remove(`${path}/bad`)
      await sleep(50)
    }
  }

  const broken: readonly [string, 'Mutating' | 'Validating', Handle][] = [
    ['hangs', 'Validating', () => undefined],
    ['hangs in its body', 'Mutating', (_review, response) => response.write('{')],
    ['answers 500', 'Validating', (_review, response) => response.writeHead(500).end('no')],
    ['answers no JSON', 'Mutating', (_review, response) => response.end('<html>')],
    ['answers for another request', 'Validating', (_review, response) => answer(response, 'other', { allowed: true })],
    [
      'answers without a response',
      'Validating',
      (_review, response) => response.end('{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}'),
    ],
    [
      'answers without end',
      'Mutating',
      (_review, response) => {
        const timer = setInterval(() => response.write('x'.repeat(1_000_000)), 5)
        response.once('close', () => clearInterval(timer))
      },
    ],
    ['closes the connection', 'Validating', (_review, response) => response.destroy()],
    [
      'redirects',
      'Validating',
      (_review, response) => response.writeHead(307, { Location: 'https://127.0.0.1:1/' }).end(),
    ],
    [
      'patches with what is no patch',
      'Mutating',
      ({ request: { uid } }, response) =>
        answer(response, uid, { allowed: true, patchType: 'JSONPatch', patch: 'AAAA' }),
    ],
  ]
  for (const [what, kind, misbehave] of broken) {
    test(`${what}, failurePolicy Fail: refused`, { timeout: 10_000 }, async () => {
      const got = await behind(kind, 'Fail', misbehave)
      assert.equal(got.code, 500, got.body)
      assert.match(got.json().message!, /bad\.example\.com/)
    })
  }
  for (const [what, kind, misbehave] of broken.filter(([what]) => !what.startsWith('patches')))
    test(`${what}, failurePolicy Ignore: served`, { timeout: 10_000 }, async () => {
      const got = await behind(kind, 'Ignore', misbehave)
      assert.equal(got.code, 201, got.body)
    })

  const forbiddenPatches: readonly [string, object[]][] = [
    ['metadata.uid', [{ op: 'replace', path: '/metadata/uid', value: 'mine' }]],
    ['metadata.name', [{ op: 'replace', path: '/metadata/name', value: 'other' }]],
    ['metadata.namespace', [{ op: 'replace', path: '/metadata/namespace', value: 'kube-system' }]],
    ['kind', [{ op: 'replace', path: '/kind', value: 'Secret' }]],
    ['the whole object', [{ op: 'replace', path: '', value: null }]],
    ['a type', [{ op: 'add', path: '/data', value: 'text' }]],
  ]
  for (const [what, operations] of forbiddenPatches)
    test(`returns a patch to ${what}: it does not take effect`, { timeout: 10_000 }, async () => {
      const got = await behind('Mutating', 'Fail', patching(operations))
      if (got.code === 201) {
        const { metadata, kind } = got.json()
        assert.equal(kind, 'ConfigMap')
        assert.match(String(metadata!['name']), /^c-/)
        assert.equal(metadata!['namespace'], 'hooked')
        assert.match(String(metadata!['uid']), /^[0-9a-f-]{36}$/)
      } else assert.ok(got.code >= 400, got.body)
    })
  test('denies with line breaks in its message', async () => {
    const got = await behind('Validating', 'Fail', ({ request: { uid } }, response) =>
      answer(response, uid, {
        allowed: false,
        warnings: ['a\r\nX-Evil: 1'],
        status: { message: 'no\r\nX-Evil: 1', code: 200 },
      }),
    )
    assert.ok(got.code >= 400, `${got.code}: a denial is never a success`)
    assert.equal(got.headers['x-evil'], undefined)
  })
})

describe('a CRD with a regular expression that explodes', () => {
  const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const crd = (plural: string, pattern: string): object => ({
    metadata: { name: `${plural}.hostile.example.com` },
    spec: {
      group: 'hostile.example.com',
      scope: 'Namespaced',
      names: {
        plural,
        singular: plural.slice(0, -1),
        kind: plural[0]!.toUpperCase() + plural.slice(1, -1),
        listKind: `${plural}List`,
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { s: { type: 'string', pattern } } } },
        },
      ],
    },
  })
  test('in matching: answered at once, and others are served', { timeout: 20_000 }, async () => {
    assert.equal((await post(CRDS, crd('bombs', '^(a+)+$'))).code, 201)
    const path = '/apis/hostile.example.com/v1/namespaces/default/bombs'
    for (let i = 0; i < 100 && (await request(server, admin, { path })).code !== 200; i++) await sleep(50)
    const body = {
      apiVersion: 'hostile.example.com/v1',
      kind: 'Bomb',
      metadata: { name: 'b' },
      s: `${'a'.repeat(50_000)}!`,
    }
    const [bomb, other] = await Promise.all([post(path, body), request(server, admin, { path: '/api/v1/namespaces' })])
    assert.equal(bomb.code, 422, bomb.body.slice(0, 300))
    assert.equal(other.code, 200)
  })
  for (const pattern of [
    '(a{1000}){1000}',
    '(((a{1,30}){1,30}){1,30})',
    '(',
    `${'('.repeat(5000)}a${')'.repeat(5000)}`,
  ])
    test(`in compiling: ${pattern.slice(0, 30)} is refused`, { timeout: 20_000 }, async () => {
      const got = await post(CRDS, crd('duds', pattern))
      assert.equal(got.code, 422, got.body.slice(0, 300))
    })
})

test('none of it was a fault of the server', () => {
  assert.deepEqual(
    server.log.filter((line) => line.level === 'error' && /internal|request failed/.test(line.message)),
    [],
  )
})
