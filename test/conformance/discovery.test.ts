/** test/e2e/apimachinery/{discovery,aggregated_discovery,server_version}.go, and what unknown paths are answered with. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { call, customKind, eventually, get, namespace, post, refused, TABLE } from './server.ts'

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

/** Of the list in aggregated_discovery.go, the kinds that are served here. */
const EXPECTED: [group: string, version: string, resource: string][] = [
  ['', 'v1', 'namespaces'],
  ['admissionregistration.k8s.io', 'v1', 'validatingwebhookconfigurations'],
  ['apiextensions.k8s.io', 'v1', 'customresourcedefinitions'],
  ['apps', 'v1', 'deployments'],
  ['authentication.k8s.io', 'v1', 'tokenreviews'],
  ['authentication.k8s.io', 'v1', 'selfsubjectreviews'],
  ['authorization.k8s.io', 'v1', 'selfsubjectaccessreviews'],
  ['batch', 'v1', 'jobs'],
  ['certificates.k8s.io', 'v1', 'certificatesigningrequests'],
  ['coordination.k8s.io', 'v1', 'leases'],
  ['discovery.k8s.io', 'v1', 'endpointslices'],
  ['events.k8s.io', 'v1', 'events'],
  ['networking.k8s.io', 'v1', 'networkpolicies'],
  ['policy', 'v1', 'poddisruptionbudgets'],
  ['rbac.authorization.k8s.io', 'v1', 'clusterroles'],
  ['scheduling.k8s.io', 'v1', 'priorityclasses'],
]

type Resource = {
  resource: string
  subresources?: { subresource: string; verbs: string[]; responseKind: object }[]
  verbs: string[]
}
type Group = { metadata: { name?: string }; versions: { version: string; freshness: string; resources: Resource[] }[] }

describe('Discovery', () => {
  test('should accurately determine present and missing resources', async () => {
    for (const [group, version, resource] of EXPECTED) {
      const list = await get(group === '' ? `/api/${version}` : `/apis/${group}/${version}`)
      assert.equal(list.kind, 'APIResourceList')
      assert.equal(list['groupVersion'], group === '' ? version : `${group}/${version}`)
      assert.ok(
        list['resources'].some((r: { name: string }) => r.name === resource),
        `${group} ${resource}`,
      )
    }
    for (const path of ['/apis/not.there', '/apis/apps/v2', '/apis/not.there/v1'])
      assert.equal((await call('GET', path)).code, 404, path)
  })

  test('should validate PreferredVersion for each APIGroup', async () => {
    const list = await get('/apis')
    assert.deepEqual([list.kind, list.apiVersion], ['APIGroupList', 'v1'])
    for (const group of list['groups']) {
      const document = await get(`/apis/${group.name}`)
      assert.deepEqual([document.kind, document.apiVersion, document['name']], ['APIGroup', 'v1', group.name])
      assert.deepEqual(document['preferredVersion'], group.preferredVersion)
      assert.ok(document['versions'].some((v: object) => JSON.stringify(v) === JSON.stringify(group.preferredVersion)))
      for (const { groupVersion } of document['versions'])
        assert.equal((await get(`/apis/${groupVersion}`))['groupVersion'], groupVersion)
    }
  })

  test('should support raw aggregated discovery endpoint Accept headers, with subresources', async () => {
    const groups: Group[] = []
    for (const path of ['/api', '/apis']) {
      const answer = await call('GET', path, { accept: AGGREGATED })
      assert.match(answer.headers['content-type'] ?? '', /g=apidiscovery\.k8s\.io/)
      assert.deepEqual([answer.body.kind, answer.body.apiVersion], ['APIGroupDiscoveryList', 'apidiscovery.k8s.io/v2'])
      groups.push(...answer.body['items'])
      const again = await call('GET', path, {
        accept: AGGREGATED,
        headers: { 'If-None-Match': String(answer.headers.etag) },
      })
      assert.equal(again.code, 304)
    }
    for (const [group, version, resource] of EXPECTED) {
      const found = groups
        .find((g) => (g.metadata.name ?? '') === group)
        ?.versions.find((v) => v.version === version)
        ?.resources.find((r) => r.resource === resource)
      assert.ok(found, `${group} ${version} ${resource}`)
    }
    const core = groups.find((g) => (g.metadata.name ?? '') === '')!
    const sub = (resource: string): string[] =>
      core.versions[0]!.resources.find((r) => r.resource === resource)!
        .subresources!.map((s) => s.subresource)
        .sort()
    assert.deepEqual(sub('namespaces'), ['finalize', 'status'])
    assert.deepEqual(sub('serviceaccounts'), ['token'])
    assert.deepEqual(sub('replicationcontrollers'), ['scale', 'status'])
    const beta = await call('GET', '/apis', { accept: AGGREGATED.replace('v=v2', 'v=v2beta1') })
    assert.equal(beta.body.apiVersion, 'apidiscovery.k8s.io/v2beta1')
  })

  test('aggregated discovery shows CRDs as soon as they are served', async () => {
    const { group, plural, kind } = await customKind({ namespaced: true, subresources: { status: {} } })
    const answer = await call('GET', '/apis', { accept: AGGREGATED })
    const found = (answer.body['items'] as Group[]).find((g) => g.metadata.name === group)?.versions[0]?.resources[0]
    assert.equal(found?.resource, plural)
    assert.deepEqual(found?.subresources, [
      { subresource: 'status', responseKind: { group, version: 'v1', kind }, verbs: ['get', 'patch', 'update'] },
    ])
    assert.ok((await get('/apis'))['groups'].some((g: { name: string }) => g.name === group))
  })

  test('should find the server version', async () => {
    const version = await get('/version')
    assert.match(version['major'], /^\d+$/)
    assert.match(version['minor'], /^\d+\+?$/)
    assert.match(version['gitVersion'], /^v1\.\d+\.\d+/)
  })

  test('root, health and trailing slashes', async () => {
    const { body } = await call('GET', '/')
    for (const path of ['/api', '/apis', '/apis/apps/v1', '/healthz', '/openapi/v2', '/version'])
      assert.ok(body['paths'].includes(path), path)
    for (const path of ['/healthz', '/livez', '/readyz']) assert.equal((await call('GET', path)).text, 'ok')
    assert.match((await call('GET', '/readyz?verbose')).text, /^\[\+\]ping ok\n[\s\S]*readyz check passed\n$/)
    for (const path of ['/api/', '/apis/', '/apis/apps/', '/apis/apps/v1/', '/api/v1/'])
      assert.equal((await call('GET', path)).code, 200, path)
  })
})

describe('Answers to what is not there', () => {
  const missing = /^the server could not find the requested resource$/
  const rows: [
    method: string,
    path: string,
    code: number,
    reason: string,
    message: RegExp,
    options?: Parameters<typeof call>[2],
  ][] = [
    ['GET', '/api/v1/nothings', 404, 'NotFound', missing],
    ['GET', '/apis/nothing.io/v1/things', 404, 'NotFound', missing],
    ['GET', '/api/v1/namespaces/default/configmaps/none', 404, 'NotFound', /^configmaps "none" not found$/],
    [
      'GET',
      '/apis/apps/v1/namespaces/default/deployments/none',
      404,
      'NotFound',
      /^deployments\.apps "none" not found$/,
    ],
    ['GET', '/api/v1/namespaces/default/configmaps/none/status', 404, 'NotFound', missing],
    [
      'POST',
      '/api/v1/namespaces/default/configmaps/name',
      405,
      'MethodNotAllowed',
      /does not allow this method/,
      { body: {} },
    ],
    [
      'PUT',
      '/api/v1/namespaces/default/configmaps',
      405,
      'MethodNotAllowed',
      /does not allow this method/,
      { body: {} },
    ],
    ['POST', '/api/v1/configmaps', 405, 'MethodNotAllowed', /./, { body: {} }],
    ['DELETE', '/api/v1/namespaces', 405, 'MethodNotAllowed', /./],
    ['GET', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', 405, 'MethodNotAllowed', /./],
    [
      'GET',
      '/api/v1/namespaces/default/configmaps',
      406,
      'NotAcceptable',
      /only the following media types are accepted/,
      { accept: 'text/html' },
    ],
    [
      'POST',
      '/api/v1/namespaces/default/configmaps',
      415,
      'UnsupportedMediaType',
      /unknown format - accepted media types include/,
      { body: 'a=b', type: 'application/x-www-form-urlencoded' },
    ],
    [
      'PATCH',
      '/api/v1/namespaces/default/configmaps/x',
      415,
      'UnsupportedMediaType',
      /application\/strategic-merge-patch\+json/,
      { body: {} },
    ],
    ['POST', '/api/v1/namespaces/default/configmaps', 400, 'BadRequest', /./, { body: '{"metadata":' }],
    [
      'POST',
      '/api/v1/namespaces/none/configmaps',
      404,
      'NotFound',
      /^namespaces "none" not found$/,
      { body: { metadata: { name: 'x' } } },
    ],
    [
      'POST',
      '/api/v1/namespaces/default/configmaps',
      400,
      'BadRequest',
      /the namespace of the provided object does not match the namespace sent on the request/,
      { body: { metadata: { name: 'x', namespace: 'other' } } },
    ],
    ['POST', '/api/v1/namespaces', 422, 'Invalid', /name or generateName is required/, { body: { metadata: {} } }],
  ]
  for (const [method, path, code, reason, message, options] of rows)
    test(`${method} ${path}: ${code}`, async () => refused(await call(method, path, options), code, reason, message))

  test('should return a 406 for a backend which does not implement metadata', async () => {
    const body = { spec: { nonResourceAttributes: { path: '/', verb: 'get' } } }
    const answer = await call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body, accept: TABLE })
    refused(answer, 406, 'NotAcceptable')
  })

  test('details of NotFound and AlreadyExists name the object', async () => {
    const ns = await namespace('details')
    const path = `/apis/apps/v1/namespaces/${ns}/controllerrevisions`
    const none = await call('GET', `${path}/none`)
    assert.deepEqual(none.body['details'], { name: 'none', group: 'apps', kind: 'controllerrevisions' })
    await post(path, { metadata: { name: 'a' }, revision: 1, data: {} })
    const twice = await call('POST', path, { body: { metadata: { name: 'a' }, revision: 1, data: {} } })
    refused(twice, 409, 'AlreadyExists', /^controllerrevisions\.apps "a" already exists$/)
    assert.deepEqual(twice.body['details'], { name: 'a', group: 'apps', kind: 'controllerrevisions' })
  })

  test('a kind whose definition goes is not served any more', async () => {
    const { name, path } = await customKind()
    assert.equal((await call('DELETE', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)).code, 200)
    const answer = await eventually(
      () => call('GET', path),
      (a) => a.code !== 200,
    )
    refused(answer, 404, 'NotFound', missing)
    assert.equal(
      (answer.body as KubeObject & { details?: object })['details'] === undefined || answer.code === 404,
      true,
    )
  })
})
