/** test/e2e/apimachinery/{custom_resource_definition,crd_publish_openapi,crd_validation_rules,crd_selectable_fields}.go. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import {
  call,
  customKind,
  eventually,
  get,
  namespace,
  PATCH,
  patch,
  post,
  put,
  refused,
  remove,
  unique,
} from './server.ts'

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

describe('CustomResourceDefinition resources', () => {
  test('listing custom resource definition objects works', async () => {
    const labels = { 'e2e-list-test-uuid': unique('uuid') }
    const crds = await Promise.all(Array.from({ length: 10 }, () => customKind({ labels })))
    const other = await customKind()
    const labelSelector = `e2e-list-test-uuid=${labels['e2e-list-test-uuid']}`
    const list = await get(CRDS, { labelSelector })
    assert.equal(list['items'].length, 10)
    for (const crd of crds) {
      const listed = list['items'].find((o: KubeObject) => o.metadata.name === crd.name)
      assert.deepEqual(listed.spec, crd.object['spec'])
    }
    await remove(CRDS, { query: { labelSelector } })
    await eventually(
      () => get(CRDS, { labelSelector }),
      (l) => l['items'].length === 0,
    )
    assert.equal((await get(`${CRDS}/${other.name}`)).metadata.name, other.name)
  })

  test('getting/updating/patching custom resource definition status sub-resource works', async () => {
    const crd = await customKind()
    const path = `${CRDS}/${crd.name}`
    const status = await get(`${path}/status`)
    assert.deepEqual(status['spec'], crd.object['spec'])
    status['status'].conditions.push({ message: 'updated', type: '', status: '' })
    const updated = await put(`${path}/status`, status)
    assert.ok(updated['status'].conditions.some((c: { message?: string }) => c.message === 'updated'))
    const patched = await call('PATCH', `${path}/status`, {
      body: [{ op: 'add', path: '/status/conditions', value: [{ message: 'patched' }] }],
      type: 'application/json-patch+json',
    })
    assert.equal(patched.code, 200, patched.text)
    assert.ok(patched.body['status'].conditions.some((c: { message?: string }) => c.message === 'patched'))
  })

  test('custom resource defaulting for requests and from storage works', async () => {
    const properties = { a: { type: 'string' }, b: { type: 'string' } }
    const crd = await customKind({
      schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties },
    })
    const cr = (name: string): object => ({ apiVersion: `${crd.group}/v1`, kind: crd.kind, metadata: { name } })
    await post(crd.path, cr('one'))
    const at = '/spec/versions/0/schema/openAPIV3Schema/properties'
    await patch(`${CRDS}/${crd.name}`, 'json', [{ op: 'add', path: `${at}/a/default`, value: 'A' }])
    const one = await eventually(
      () => get(`${crd.path}/one`),
      (o) => o['a'] === 'A',
    )
    assert.equal('b' in one, false)
    assert.equal((await get(crd.path))['items'][0].a, 'A')
    const two = await post(crd.path, cr('two'))
    assert.deepEqual([two['a'], two['b']], ['A', undefined])
    await patch(`${CRDS}/${crd.name}`, 'json', [
      { op: 'remove', path: `${at}/a/default` },
      { op: 'add', path: `${at}/b/default`, value: 'B' },
    ])
    const later = await eventually(
      () => get(`${crd.path}/two`),
      (o) => o['b'] === 'B',
    )
    assert.equal(later['a'], 'A')
    assert.equal('a' in (await get(`${crd.path}/one`)), false)
  })

  test('a custom resource in two versions, its generation, status and printer columns', async () => {
    const crd = await customKind({
      versions: [{ name: 'v1' }, { name: 'v2' }],
      subresources: { status: {} },
      extra: {
        additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size' }],
        selectableFields: [{ jsonPath: '.spec.color' }],
      },
      schema: {
        type: 'object',
        properties: {
          spec: { type: 'object', properties: { size: { type: 'integer' }, color: { type: 'string' } } },
          status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    })
    const body = {
      apiVersion: `${crd.group}/v1`,
      kind: crd.kind,
      metadata: { name: 'x' },
      spec: { size: 1, color: 'red' },
      status: { never: true },
    }
    const created = await post(crd.path, body)
    assert.deepEqual([created.metadata.generation, created['status']], [1, undefined])
    const second = crd.path.replace('/v1/', '/v2/')
    assert.equal((await get(`${second}/x`)).apiVersion, `${crd.group}/v2`)
    assert.equal((await get(second)).apiVersion, `${crd.group}/v2`)
    const changed = await patch(`${second}/x`, 'merge', { spec: { size: 2 } })
    assert.deepEqual([changed.apiVersion, changed.metadata.generation], [`${crd.group}/v2`, 2])
    assert.equal((await patch(`${crd.path}/x`, 'merge', { metadata: { labels: { a: 'b' } } })).metadata.generation, 2)
    const status = await patch(`${crd.path}/x/status`, 'merge', { status: { ok: 1 }, spec: { size: 9 } })
    assert.deepEqual([status['status'], status['spec'].size, status.metadata.generation], [{ ok: 1 }, 2, 2])
    const table = await call('GET', crd.path, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })
    assert.deepEqual(table.body['rows'][0].cells.slice(0, 2), ['x', 2])
    await post(crd.path, { ...body, metadata: { name: 'y' }, spec: { color: 'blue' } })
    assert.deepEqual(
      (await get(crd.path, { fieldSelector: 'spec.color=blue' }))['items'].map((o: KubeObject) => o.metadata.name),
      ['y'],
    )
    refused(
      await call('PATCH', `${crd.path}/x`, { body: {}, type: 'application/strategic-merge-patch+json' }),
      415,
      'UnsupportedMediaType',
    )
  })
})

test('nothing is created while the definition waits for its objects to go', async () => {
  const crd = await customKind()
  const path = `${CRDS}/${crd.name}`
  const types = { apiVersion: `${crd.group}/v1`, kind: crd.kind }
  await post(crd.path, { ...types, metadata: { name: 'held', finalizers: ['example.com/hold'] } })
  await remove(path)
  const create = await call('POST', crd.path, { body: { ...types, metadata: { name: 'late' } } })
  refused(create, 405, 'MethodNotAllowed', /^create not allowed while custom resource definition is terminating$/)
  const applied = await call('PATCH', `${crd.path}/late`, {
    body: { ...types, metadata: { name: 'late' } },
    type: PATCH.apply,
    query: { fieldManager: 'test' },
  })
  refused(applied, 405, 'MethodNotAllowed', /^create not allowed while custom resource definition is terminating$/)
  await eventually(
    () => get(path),
    (o) =>
      (o['status'].conditions as { type: string; status: string; reason: string }[]).some(
        (c) => c.type === 'Terminating' && c.status === 'True' && c.reason.startsWith('InstanceDeletion'),
      ),
  )
  // What is being deleted can still be changed.
  await patch(path, 'merge', { metadata: { labels: { a: 'b' } } })
  const held = await get(`${crd.path}/held`)
  assert.ok(held.metadata.deletionTimestamp)
  await patch(`${crd.path}/held`, 'merge', { metadata: { finalizers: null } })
  await eventually(
    () => call('GET', path),
    (answer) => answer.code === 404,
  )
})

describe('CustomResourceValidationRules', () => {
  const rule = (text: string): Record<string, unknown> => ({
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        'x-kubernetes-validations': [{ rule: text }],
        properties: { x: { type: 'integer' }, y: { type: 'integer' } },
      },
    },
  })
  test('are kept, and rules that cannot be are refused', async () => {
    const crd = await customKind({ namespaced: true, schema: rule('self.x + self.y > 0') })
    const path = crd.path.replace('/v1/', `/v1/namespaces/${await namespace('rules')}/`)
    const cr = (x: number): object => ({
      apiVersion: `${crd.group}/v1`,
      kind: crd.kind,
      metadata: { generateName: 'cr-' },
      spec: { x, y: 0 },
    })
    await post(path, cr(1))
    refused(await call('POST', path, { body: cr(0) }), 422, 'Invalid', /failed rule/)
    for (const [text, message] of [
      ['self.z == 100', /undefined field 'z'/],
      ['self.x = 1', /compilation failed/],
      ['self.x == "a"', /compilation failed/],
    ] as const) {
      const schema = { openAPIV3Schema: rule(text) }
      const body = {
        metadata: { name: 'bads.bad.example.com' },
        spec: {
          group: 'bad.example.com',
          scope: 'Cluster',
          names: { plural: 'bads', kind: 'Bad' },
          versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
      }
      refused(await call('POST', CRDS, { body }), 422, 'Invalid', message)
    }
  })
})

describe('CustomResourcePublishOpenAPI', () => {
  const definition = (crd: { group: string; kind: string }, version: string): string =>
    `${crd.group.split('.').reverse().join('.')}.${version}.${crd.kind}`
  const published = async (name: string): Promise<{ [key: string]: unknown } | undefined> =>
    (await get('/openapi/v2'))['definitions'][name]

  test('publishes schemas, follows renames and what is not served any more', async () => {
    const schema = {
      description: 'Foo CRD for Testing',
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          description: 'Specification of Foo',
          properties: { bars: { type: 'array', items: { type: 'string' }, description: 'List of Bars' } },
        },
      },
    }
    const crd = await customKind({ schema, versions: [{ name: 'v2' }, { name: 'v3' }] })
    const found = await eventually(
      () => published(definition(crd, 'v3')),
      (d) => d !== undefined,
    )
    assert.equal(found?.['description'], 'Foo CRD for Testing')
    const properties = found?.['properties'] as Record<string, { description?: string }>
    assert.deepEqual(Object.keys(properties).sort(), ['apiVersion', 'kind', 'metadata', 'spec'])
    assert.deepEqual(found?.['x-kubernetes-group-version-kind'], [{ group: crd.group, kind: crd.kind, version: 'v3' }])
    const v3 = await get(`/openapi/v3/apis/${crd.group}/v3`)
    assert.ok(v3['components'].schemas[definition(crd, 'v3')])

    await patch(`${CRDS}/${crd.name}`, 'json', [{ op: 'replace', path: '/spec/versions/1/name', value: 'v4' }])
    await eventually(
      () => published(definition(crd, 'v4')),
      (d) => d !== undefined,
    )
    assert.equal(await published(definition(crd, 'v3')), undefined)
    assert.ok(await published(definition(crd, 'v2')))
    await patch(`${CRDS}/${crd.name}`, 'json', [{ op: 'replace', path: '/spec/versions/1/served', value: false }])
    await eventually(
      () => published(definition(crd, 'v4')),
      (d) => d === undefined,
    )
    assert.ok(await published(definition(crd, 'v2')))
  })
})
