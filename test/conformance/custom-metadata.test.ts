/** What apiextensions' schemaobjectmeta does to the metadata of custom objects, on every way in. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { type Answer, type Crd, call, customKind, get, PATCH, post, refused, unique } from './server.ts'

let kind: Crd
const WRONG: object[] = [
  { labels: 's' },
  { labels: { a: 1 } },
  { annotations: 1 },
  { name: [1] },
  { name: 1 },
  { generateName: true },
  { finalizers: 'a/b' },
  { finalizers: [1] },
  { ownerReferences: { a: 'b' } },
  { ownerReferences: ['x'] },
  { ownerReferences: [{ apiVersion: 1, kind: 2, name: 3, uid: 4 }] },
  { managedFields: [1] },
]
const types = (): { apiVersion: string; kind: string } => ({ apiVersion: `${kind.group}/v1`, kind: kind.kind })
const isTypeError = (answer: Answer): void =>
  refused(answer, 400, 'BadRequest', /cannot be handled as a Noxu\d+: .*json: cannot unmarshal/)

describe('metadata of a custom object is type-checked', () => {
  before(async () => {
    kind = await customKind({
      schema: {
        type: 'object',
        properties: {
          pod: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
      subresources: { status: {} },
    })
  })

  for (const metadata of WRONG)
    test(JSON.stringify(metadata), async () => {
      const name = unique('meta')
      const path = `${kind.path}/${name}`
      const whole = { ...types(), metadata: { name, ...metadata } }
      isTypeError(await call('POST', kind.path, { body: whole }))
      isTypeError(await call('POST', kind.path, { body: JSON.stringify(whole), type: 'application/yaml' }))
      isTypeError(await call('PATCH', path, { body: whole, type: PATCH.apply, query: { fieldManager: 'm' } }))
      assert.equal((await call('GET', path)).code, 404)

      const live = await post(kind.path, { ...types(), metadata: { name } })
      const { resourceVersion } = live.metadata
      const changed = { ...types(), metadata: { name, resourceVersion, ...metadata } }
      for (const at of [path, `${path}/status`]) {
        isTypeError(await call('PUT', at, { body: changed }))
        isTypeError(await call('PATCH', at, { body: { metadata }, type: PATCH.merge }))
        const operations = Object.entries(metadata).map(([k, value]) => ({ op: 'add', path: `/metadata/${k}`, value }))
        isTypeError(await call('PATCH', at, { body: operations, type: PATCH.json }))
        isTypeError(await call('PATCH', at, { body: whole, type: PATCH.apply, query: { fieldManager: 'm' } }))
      }
      assert.deepEqual(await get(path), live)

      const pod = { apiVersion: 'v1', kind: 'Pod', metadata }
      const embedding = { ...types(), metadata: { name: unique('meta') }, pod }
      isTypeError(await call('POST', kind.path, { body: embedding }))
      isTypeError(await call('PATCH', path, { body: { pod }, type: PATCH.merge }))
    })

  test('nulls are what Go makes of them', async () => {
    const name = unique('meta')
    const annotations = { a: null, b: 'c' }
    const body = {
      ...types(),
      metadata: { name, annotations, labels: null, finalizers: null, creationTimestamp: null },
    }
    const created = await post(kind.path, body)
    assert.deepEqual(created.metadata.annotations, { a: '', b: 'c' })
    for (const field of ['labels', 'finalizers']) assert.equal(field in created.metadata, false, field)
    const other = unique('meta')
    const applied = await call('PATCH', `${kind.path}/${other}`, {
      body: { ...types(), metadata: { name: other, annotations } },
      type: PATCH.apply,
      query: { fieldManager: 'm' },
    })
    assert.equal(applied.code, 201, applied.text)
    assert.deepEqual((await get(`${kind.path}/${other}`)).metadata.annotations, { a: '', b: 'c' })
    refused(
      await call('POST', kind.path, { body: { ...types(), metadata: { name: unique('meta'), finalizers: [null] } } }),
      422,
      'Invalid',
      /metadata\.finalizers: Invalid value: ""/,
    )
  })

  test('what is unknown inside is named', async () => {
    const metadata = {
      name: unique('meta'),
      ownerReferences: [{ apiVersion: 'v1', kind: 'A', name: 'a', uid: 'u', x: 1 }],
    }
    const body = { ...types(), metadata }
    const query = { fieldValidation: 'Strict' }
    const want = /strict decoding error: unknown field "metadata\.ownerReferences\[0\]\.x"/
    refused(await call('POST', kind.path, { body, query }), 400, 'BadRequest', want)
    const created = await post(kind.path, body)
    assert.equal('x' in created.metadata.ownerReferences![0]!, false)
  })
})
