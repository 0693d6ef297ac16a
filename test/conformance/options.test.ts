/** What apiserver/pkg/endpoints/handlers says about options, forms and the text of patches. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { call, namespace, PARTIAL, PARTIAL_LIST, PATCH, post, refused } from './server.ts'

async function configMap(): Promise<{ collection: string; path: string }> {
  const collection = `/api/v1/namespaces/${await namespace('options')}/configmaps`
  await post(collection, { metadata: { name: 'c' }, data: { a: '1' } })
  return { collection, path: `${collection}/c` }
}

describe('fieldValidation of a patch', () => {
  const rows: [name: string, type: string, body: string, complaints: string[]][] = [
    [
      'unknown fields of JSON patch operations',
      PATCH.json,
      '[{"op":"add","path":"/data/b","value":"2","foo":1},{"op":"test","path":"/data/b","value":"2","from":"","x":0}]',
      ['json patch unknown field "[0].foo"', 'json patch unknown field "[1].x"'],
    ],
    [
      'repeated fields of JSON patch operations, and unknown ones of the object',
      PATCH.json,
      '[{"op":"test","op":"add","path":"/wrong","value":"2"}]',
      ['json patch duplicate field "[0].op"', 'unknown field "wrong"'],
    ],
    [
      'repeated and unknown fields of a merge patch',
      PATCH.merge,
      '{"data":{"a":"1","a":"2"},"wrong":1}',
      ['duplicate field "data.a"', 'unknown field "wrong"'],
    ],
    [
      'repeated and unknown fields of a strategic merge patch',
      PATCH.strategic,
      '{"data":{"a":"1","a":"2"},"wrong":1}',
      ['duplicate field "data.a"', 'unknown field "wrong"'],
    ],
  ]
  for (const [name, type, body, complaints] of rows)
    test(name, async () => {
      const { path } = await configMap()
      const strict = await call('PATCH', path, { body, type, query: { fieldValidation: 'Strict' } })
      assert.equal(strict.code, 400, strict.text)
      assert.ok(strict.body['message'].endsWith(`strict decoding error: ${complaints.join(', ')}`), strict.text)
      const ignored = await call('PATCH', path, { body, type, query: { fieldValidation: 'Ignore', dryRun: 'All' } })
      assert.deepEqual([ignored.code, ignored.headers['warning']], [200, undefined])
      const warned = await call('PATCH', path, { body, type })
      assert.equal(warned.code, 200, warned.text)
      const warnings = complaints.map((text) => `299 - "${text.replaceAll('"', '\\"')}"`)
      assert.equal(warned.headers['warning'], warnings.join(', '))
    })
})

test('options that cannot be are named after their kind', async () => {
  const { collection, path } = await configMap()
  const calls = [
    ['POST', collection, 'CreateOptions', { metadata: { name: 'd' } }],
    ['PUT', path, 'UpdateOptions', { metadata: { name: 'c' } }],
    ['DELETE', path, 'DeleteOptions', undefined],
    ['DELETE', collection, 'DeleteOptions', undefined],
  ] as const
  for (const [method, at, kind, body] of calls) {
    const answer = await call(method, at, { query: { dryRun: 'Foo' }, ...(body ? { body } : {}) })
    refused(answer, 422, 'Invalid', new RegExp(`^${kind}\\.meta\\.k8s\\.io "" is invalid: dryRun: Unsupported value`))
  }
  const query = { fieldValidation: 'foo' }
  const answer = await call('PATCH', path, { body: {}, type: PATCH.merge, query })
  refused(answer, 422, 'Invalid', /^PatchOptions\.meta\.k8s\.io "" is invalid: fieldValidation: Unsupported value/)
})

describe('forms that do not fit', () => {
  test('PartialObjectMetadata is no list, and a list is no PartialObjectMetadata', async () => {
    const { collection, path } = await configMap()
    const list = await call('GET', collection, { accept: PARTIAL })
    refused(list, 406, 'NotAcceptable', /^you requested PartialObjectMetadata, but the requested object is a list/)
    const one = await call('GET', path, { accept: PARTIAL_LIST })
    refused(one, 406, 'NotAcceptable', /^you requested PartialObjectMetadataList, but the requested object is not a/)
    assert.equal((await call('GET', collection, { accept: PARTIAL_LIST })).body.kind, 'PartialObjectMetadataList')
    assert.equal((await call('GET', path, { accept: PARTIAL })).body.kind, 'PartialObjectMetadata')
  })

  test('only v1 and v1beta1 have them', async () => {
    const { path } = await configMap()
    for (const version of ['v=v1alpha1;', 'v=v2;', '']) {
      const accept = `application/json;as=Table;${version}g=meta.k8s.io`
      refused(await call('GET', path, { accept }), 406, 'NotAcceptable')
      assert.equal((await call('GET', path, { accept: `${accept},application/json` })).body.kind, 'ConfigMap')
    }
  })
})

test('a refused strategic merge patch says nothing of the values in it', async () => {
  const collection = `/api/v1/namespaces/${await namespace('options')}/secrets`
  await post(collection, { metadata: { name: 's' }, stringData: { a: 'b' } })
  const body = { data: { a: 'c2VjcmV0', $patch: 'X' } }
  const answer = await call('PATCH', `${collection}/s`, { body, type: PATCH.strategic })
  refused(answer, 400, 'BadRequest', /^unknown patch type: X in map: map\[\$patch:string a:string\]$/)
})
