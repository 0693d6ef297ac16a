/** Writes that would leave behind what clients cannot read, or what nobody can remove. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, request } from './wire.ts'

const NAMESPACE = '/api/v1/namespaces/default'
const RBAC = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
})
after(async () => {
  await server.close()
  assert.deepEqual(
    server.log.filter((line) => line.level === 'error'),
    [],
  )
})

function send(method: string, path: string, body?: unknown): Promise<Answer> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
  const content = body === undefined ? {} : { headers: { 'Content-Type': type }, body: JSON.stringify(body) }
  return request(server, admin, { method, path, ...content })
}

describe('a Scale has the types of a Scale', () => {
  const path = '/apis/apps/v1/namespaces/default/deployments/scaled/scale'
  before(async () => {
    const labels = { app: 'scaled' }
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    const spec = { replicas: 2, selector: { matchLabels: labels }, template }
    const made = await send('POST', '/apis/apps/v1/namespaces/default/deployments', {
      metadata: { name: 'scaled' },
      spec,
    })
    assert.equal(made.code, 201, made.body)
  })
  for (const replicas of [1e300, 2 ** 31, 2 ** 53, 1.5, '3', true, [], {}])
    test(`PATCH of replicas ${JSON.stringify(replicas)}`, async () => {
      assert.equal((await send('PATCH', path, { spec: { replicas } })).code, 400)
      assert.deepEqual((await send('GET', path)).json()['spec'], { replicas: 2 })
    })
  for (const body of [{ spec: [] }, { spec: 'x' }, { metadata: [] }, { metadata: { resourceVersion: 5 } }])
    test(`PATCH of ${JSON.stringify(body)}`, async () => assert.equal((await send('PATCH', path, body)).code, 400))
  test('PUT of replicas 2^31', async () =>
    assert.equal((await send('PUT', path, { spec: { replicas: 2 ** 31 } })).code, 400))
})

describe('a deletion ends at a time that can be read', () => {
  const pod = (name: string, terminationGracePeriodSeconds: number): object => ({
    metadata: { name },
    spec: { nodeName: 'n', terminationGracePeriodSeconds, containers: [{ name: 'c', image: 'i' }] },
  })
  const rows: [what: string, own: number, asked: object | undefined][] = [
    ['the pod asks for 285 million years', 9e15, undefined],
    ['the pod asks for 10,000 years', 3e11, undefined],
    ['the delete asks for 285 million years', 30, { gracePeriodSeconds: 9e15 }],
    ['the delete asks for 10,000 years', 30, { gracePeriodSeconds: 3e11 }],
  ]
  for (const [i, [what, own, asked]] of rows.entries())
    test(what, async () => {
      const path = `${NAMESPACE}/pods/p${i}`
      assert.equal((await send('POST', `${NAMESPACE}/pods`, pod(`p${i}`, own))).code, 201)
      const deleted = await send('DELETE', path, asked)
      assert.equal(deleted.code, 200, deleted.body)
      assert.match(String(deleted.json().metadata?.['deletionTimestamp']), /^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.equal((await send('DELETE', path, { gracePeriodSeconds: 0 })).code, 200)
      assert.equal((await send('GET', path)).code, 404)
    })
})

describe('a name that no path can carry is no name', () => {
  for (const name of ['\0', 'a\0b', '\ud800', 'a\udfff'])
    test(JSON.stringify(name), async () =>
      assert.equal((await send('POST', `${RBAC}/roles`, { metadata: { name }, rules: [] })).code, 422),
    )
})

describe('evictions', () => {
  const policy = '/apis/policy/v1/namespaces/default/poddisruptionbudgets'
  const pods = ['e1', 'e2', 'e3']
  const evict = (name: string, more: object = {}): Promise<Answer> =>
    send('POST', `${NAMESPACE}/pods/${name}/eviction`, { metadata: { name }, ...more })
  before(async () => {
    const metadata = { name: 'budget' }
    const spec = { minAvailable: 1, selector: { matchLabels: { app: 'evicted' } } }
    assert.equal((await send('POST', policy, { metadata, spec })).code, 201)
    const status = {
      disruptionsAllowed: 1,
      currentHealthy: 2,
      desiredHealthy: 1,
      expectedPods: 2,
      observedGeneration: 1,
    }
    assert.equal((await send('PATCH', `${policy}/budget/status`, { status })).code, 200)
    for (const name of pods) {
      const pod = {
        metadata: { name, labels: { app: 'evicted' } },
        spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] },
      }
      assert.equal((await send('POST', `${NAMESPACE}/pods`, pod)).code, 201)
      const conditions = [{ type: 'Ready', status: 'True' }]
      const running = { status: { phase: 'Running', conditions } }
      assert.equal((await send('PATCH', `${NAMESPACE}/pods/${name}/status`, running)).code, 200)
    }
  })
  test('of another name or namespace than the path', async () => {
    assert.equal((await evict('e1', { metadata: { name: 'e2' } })).code, 400)
    assert.equal((await evict('e1', { metadata: { name: 'e1', namespace: 'other' } })).code, 400)
  })
  const budgetStatus = async (): Promise<{ disruptionsAllowed: number; disruptedPods: object }> =>
    (await send('GET', `${policy}/budget`)).json()['status'] as { disruptionsAllowed: number; disruptedPods: object }
  test('a dry run takes nothing', async () => {
    assert.equal((await evict('e1', { deleteOptions: { dryRun: ['All'] } })).code, 201)
    assert.equal((await budgetStatus()).disruptionsAllowed, 1)
  })
  test('at the same time cannot share one disruption', async () => {
    const codes = await Promise.all(pods.map(async (name) => (await evict(name)).code))
    assert.deepEqual(codes.sort(), [201, 429, 429])
    const { disruptionsAllowed, disruptedPods } = await budgetStatus()
    assert.equal(disruptionsAllowed, 0)
    assert.equal(Object.keys(disruptedPods).length, 1)
  })
})
