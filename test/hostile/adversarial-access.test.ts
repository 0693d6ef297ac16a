/** Ways around authorization: what is authorized must be what is served. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Answer, type Credentials, request } from './wire.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const GROUP = 'rbac.authorization.k8s.io'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
  await send('POST', '/api/v1/namespaces', { metadata: { name: 'mine' } })
  await grant('mallory', [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }])
})
after(() => server.close())

function send(method: string, path: string, body?: object, user?: string, type?: string): Promise<Answer> {
  const headers: Record<string, string> = user === undefined ? {} : { 'Impersonate-User': user }
  if (body !== undefined) headers['Content-Type'] = type ?? 'application/json'
  return request(server, admin, {
    method,
    path,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** A role in the namespace `mine` and nowhere else. */
async function grant(user: string, rules: object[]): Promise<void> {
  const metadata = { name: user }
  const roleRef = { apiGroup: GROUP, kind: 'Role', name: user }
  const subjects = [{ apiGroup: GROUP, kind: 'User', name: user }]
  assert.equal((await send('POST', `${RBAC}/namespaces/mine/roles`, { metadata, rules })).code, 201)
  assert.equal((await send('POST', `${RBAC}/namespaces/mine/rolebindings`, { metadata, roleRef, subjects })).code, 201)
}

describe('who may do everything in one namespace reaches nothing outside it through a path inside it', () => {
  const review = { spec: { token: 'x', user: 'u', resourceAttributes: { verb: 'get', resource: 'pods' } } }
  const rows: [method: string, path: string, body?: object][] = [
    ['GET', '/api/v1/namespaces/mine/namespaces'],
    ['GET', '/api/v1/namespaces/mine/namespaces/default'],
    ['GET', '/api/v1/namespaces/mine/namespaces/default/status'],
    ['GET', '/api/v1/watch/namespaces/mine/namespaces'],
    ['GET', '/api/v1/watch/namespaces/mine/namespaces/default'],
    ['POST', '/api/v1/namespaces/mine/namespaces', { metadata: { name: 'theirs' } }],
    ['PATCH', '/api/v1/namespaces/mine/namespaces/default', { metadata: { labels: { a: 'b' } } }],
    ['PATCH', '/api/v1/namespaces/mine/namespaces/default/status', { metadata: { labels: { a: 'b' } } }],
    ['PUT', '/api/v1/namespaces/mine/namespaces/default/finalize', { metadata: { name: 'default' }, spec: {} }],
    ['DELETE', '/api/v1/namespaces/mine/namespaces/default'],
    ['DELETE', '/api/v1/namespaces/mine/namespaces'],
    ['GET', '/api/v1/namespaces/mine/nodes'],
    ['GET', `${RBAC}/namespaces/mine/clusterroles/admin`],
    ['DELETE', `${RBAC}/namespaces/mine/clusterroles`],
    ['PATCH', '/apis/certificates.k8s.io/v1/namespaces/mine/certificatesigningrequests/x/approval', {}],
    ['POST', '/apis/authentication.k8s.io/v1/namespaces/mine/tokenreviews', review],
    ['POST', '/apis/authorization.k8s.io/v1/namespaces/mine/subjectaccessreviews', review],
  ]
  for (const [method, path, body] of rows)
    test(`${method} ${path}`, async () => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : undefined
      assert.equal((await send(method, path, body, 'mallory', type)).code, 404)
    })
  test('its own Namespace is in it', async () =>
    assert.equal((await send('GET', '/api/v1/namespaces/mine', undefined, 'mallory')).code, 200))
})

describe('reviews have no names and no subresources', () => {
  for (const path of ['/x', '/x/y', '/x/y/z'])
    test(path, async () => {
      const answer = await send('POST', `/apis/authentication.k8s.io/v1/tokenreviews${path}`, { spec: { token: 'x' } })
      assert.equal(answer.code, 404)
    })
})

describe('a definition of a built-in kind', () => {
  const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const definition = (plural: string, group: string, kind: string, version: string): object => ({
    metadata: { name: `${plural}.${group}`, annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' } },
    spec: {
      group,
      scope: 'Cluster',
      names: { plural, kind },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  })
  const count = async (path: string): Promise<number> => {
    const { items } = (await send('GET', path)).json() as { items?: unknown[] }
    return items?.length ?? -1
  }
  const rows: [plural: string, group: string, kind: string, version: string, builtIn: string][] = [
    ['clusterroles', GROUP, 'ClusterRole', 'v1', `${RBAC}/clusterroles`],
    ['clusterroles', GROUP, 'Other', 'v2', `${RBAC}/clusterroles`],
    ['others', GROUP, 'ClusterRole', 'v1', `${RBAC}/clusterroles`],
    ['roles', GROUP, 'Role', 'v1', `${RBAC}/roles`],
    [
      'customresourcedefinitions',
      'apiextensions.k8s.io',
      'CustomResourceDefinition',
      'v1',
      '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    ],
  ]
  for (const [plural, group, kind, version, builtIn] of rows)
    test(`${version} ${kind} as ${plural}.${group} neither serves nor removes anything`, async () => {
      const before = await count(builtIn)
      const path = `${CRDS}/${plural}.${group}`
      assert.equal((await send('POST', CRDS, definition(plural, group, kind, version))).code, 201)
      const conditions = [{ type: 'Established', status: 'True', reason: 'a', message: 'b' }]
      await send('PATCH', `${path}/status`, { status: { conditions } }, undefined, 'application/merge-patch+json')
      // As the built-in kind, a role without verbs is invalid; as a custom one it would be stored.
      const smuggled = { apiVersion: `${group}/${version}`, kind, metadata: { name: 'smuggled' }, rules: [{}] }
      const answer = await send('POST', `/apis/${group}/${version}/${plural}`, smuggled)
      assert.ok(answer.code >= 400, answer.body)
      assert.equal((await send('DELETE', path)).code, 200)
      for (let i = 0; i < 100 && (await send('GET', path)).code !== 404; i++)
        await new Promise((r) => setTimeout(r, 20))
      assert.equal((await send('GET', path)).code, 404)
      assert.equal(await count(builtIn), before)
    })
})

describe('who may list and watch one name', () => {
  const path = '/api/v1/namespaces/mine/configmaps'
  const one = 'fieldSelector=metadata.name%3Dopen'
  before(async () => {
    for (const name of ['open', 'closed']) assert.equal((await send('POST', path, { metadata: { name } })).code, 201)
    const verbs = ['list', 'watch', 'deletecollection']
    await grant('narrow', [{ verbs, apiGroups: [''], resources: ['configmaps'], resourceNames: ['open'] }])
  })
  const names = (answer: Answer): unknown[] =>
    (answer.json() as unknown as { items: { metadata: { name: string } }[] }).items.map((i) => i.metadata.name)
  for (const query of [one, `${one}%2Cmetadata.namespace%3Dmine`])
    test(`lists it with ${query}`, async () => {
      const answer = await send('GET', `${path}?${query}`, undefined, 'narrow')
      assert.equal(answer.code, 200, answer.body)
      assert.deepEqual(names(answer), ['open'])
    })
  test('watches it', async () => {
    const answer = await send('GET', `${path}?watch=1&timeoutSeconds=1&${one}`, undefined, 'narrow')
    assert.equal(answer.code, 200)
    assert.deepEqual(
      answer.body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).object.metadata.name),
      ['open'],
    )
  })
  for (const query of [
    '',
    'fieldSelector=metadata.name%3Dclosed',
    'fieldSelector=metadata.name%3Dclosed%2Cmetadata.name%3Dopen',
    'fieldSelector=metadata.name%21%3Dclosed',
    'fieldSelector=metadata.name%3Dopen%2F..',
    `fieldSelector=&${one}`,
    'fieldSelector=%2C%2C%3D',
    'labelSelector=metadata.name%3Dopen',
  ])
    test(`lists nothing with ${JSON.stringify(query)}`, async () =>
      assert.equal((await send('GET', `${path}?${query}`, undefined, 'narrow')).code, 403))
  test('does not delete with it', async () =>
    assert.equal((await send('DELETE', `${path}?${one}`, undefined, 'narrow')).code, 403))
  test('gets nothing else by asking for two', async () => {
    const two = 'fieldSelector=metadata.name%3Dopen%2Cmetadata.name%3Dclosed'
    assert.deepEqual(names(await send('GET', `${path}?${two}`, undefined, 'narrow')), [])
  })
  test('and the last of two parameters does not count', async () => {
    const answer = await send('GET', `${path}?${one}&fieldSelector=metadata.name%3Dclosed`, undefined, 'narrow')
    assert.deepEqual(names(answer), ['open'])
  })
})

describe('who may only connect to an object does not read it', () => {
  const secret = 'only-for-readers'
  const rules = [
    {
      verbs: ['*'],
      apiGroups: [''],
      resources: ['pods/log', 'pods/exec', 'pods/attach', 'pods/portforward', 'pods/proxy'],
    },
    { verbs: ['*'], apiGroups: [''], resources: ['services/proxy'] },
  ]
  before(async () => {
    await grant('visitor', rules)
    const container = { name: 'c', image: 'i', env: [{ name: 'A', value: secret }] }
    const metadata = { name: 'web', annotations: { note: secret } }
    const spec = { containers: [container] }
    assert.equal((await send('POST', '/api/v1/namespaces/mine/pods', { metadata, spec })).code, 201)
    const placed = { metadata: { ...metadata, name: 'placed' }, spec: { ...spec, nodeName: 'node-1' } }
    assert.equal((await send('POST', '/api/v1/namespaces/mine/pods', placed)).code, 201)
    const ports = [{ port: 80 }]
    assert.equal((await send('POST', '/api/v1/namespaces/mine/services', { metadata, spec: { ports } })).code, 201)
  })
  const rows: [path: string, code: number, message: RegExp][] = [
    ...['log', 'exec', 'attach', 'portforward', 'proxy'].flatMap((sub): [string, number, RegExp][] => [
      [`pods/web/${sub}`, 400, /pod web does not have a host assigned/],
      [`pods/placed/${sub}`, 503, /no kubelet that this API server can reach/],
      [`pods/absent/${sub}`, 404, /not found/],
    ]),
    ['services/web/proxy', 503, /no endpoints available/],
  ]
  for (const [path, code, message] of rows)
    test(`GET ${path}`, async () => {
      const answer = await send('GET', `/api/v1/namespaces/mine/${path}`, undefined, 'visitor')
      const text = answer.body
      assert.equal(answer.code, code, text)
      assert.match(text, message)
      assert.ok(!text.includes(secret))
    })
})
