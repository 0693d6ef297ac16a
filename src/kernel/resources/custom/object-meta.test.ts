import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject, KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import { validateObjectMeta } from '../validation/meta.ts'
import { compileCustom } from './codec.ts'
import { objectOf, schemaOf } from './fixtures.ts'

const embedded = {
  type: 'object',
  'x-kubernetes-embedded-resource': true,
  'x-kubernetes-preserve-unknown-fields': true,
}
const codec = compileCustom(
  schemaOf(objectOf({ pod: embedded, pods: { type: 'array', items: embedded }, a: { type: 'string' } })),
  { kind: 'Widget', version: 'v1' },
)
const widget = (metadata: unknown, more: object = {}): KubeObject =>
  ({ apiVersion: 'example.com/v1', kind: 'Widget', metadata, ...more }) as KubeObject
const pod = (metadata: unknown): object => ({ apiVersion: 'v1', kind: 'Pod', metadata })

const WRONG: [metadata: unknown, message: RegExp][] = [
  [
    { labels: 's' },
    /json: cannot unmarshal string into Go struct field ObjectMeta\.labels of type map\[string\]string/,
  ],
  [{ labels: { a: 1 } }, /cannot unmarshal number into Go struct field ObjectMeta\.labels of type string/],
  [{ labels: ['a'] }, /cannot unmarshal array into .*ObjectMeta\.labels/],
  [{ annotations: 1 }, /cannot unmarshal number into .*ObjectMeta\.annotations of type map\[string\]string/],
  [{ annotations: { a: { b: 'c' } } }, /cannot unmarshal object into .*ObjectMeta\.annotations of type string/],
  [{ name: [1] }, /cannot unmarshal array into Go struct field ObjectMeta\.name of type string/],
  [{ name: 1 }, /cannot unmarshal number into .*ObjectMeta\.name/],
  [{ generateName: true }, /cannot unmarshal bool into .*ObjectMeta\.generateName/],
  [{ namespace: {} }, /cannot unmarshal object into .*ObjectMeta\.namespace/],
  [{ finalizers: 'a/b' }, /cannot unmarshal string into .*ObjectMeta\.finalizers of type \[\]string/],
  [{ finalizers: [1] }, /cannot unmarshal number into .*ObjectMeta\.finalizers of type string/],
  [
    { ownerReferences: {} },
    /cannot unmarshal object into .*ObjectMeta\.ownerReferences of type \[\]v1\.OwnerReference/,
  ],
  [{ ownerReferences: ['x'] }, /cannot unmarshal string into .*ownerReferences of type v1\.OwnerReference/],
  [{ ownerReferences: [{ uid: 1 }] }, /cannot unmarshal number into .*OwnerReference\.ownerReferences\.uid/],
  [{ ownerReferences: [{ controller: 'true' }] }, /cannot unmarshal string into .*controller of type bool/],
  [{ managedFields: 'x' }, /cannot unmarshal string into .*ObjectMeta\.managedFields/],
  [{ generation: 'x' }, /cannot unmarshal string into .*ObjectMeta\.generation of type int64/],
  [{ creationTimestamp: 'yesterday' }, /parsing time "yesterday"/],
  [{ deletionGracePeriodSeconds: 1.5 }, /cannot unmarshal number 1\.5 into .*deletionGracePeriodSeconds of type int64/],
  [{ resourceVersion: 7 }, /cannot unmarshal number into .*ObjectMeta\.resourceVersion/],
]

function refusal(object: KubeObject): ApiError {
  try {
    codec.check(object, false)
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error))
    return error
  }
  return assert.fail(`accepted: ${JSON.stringify(object)}`)
}

describe('metadata of custom objects is an ObjectMeta', () => {
  for (const [metadata, message] of WRONG)
    test(`refused: ${JSON.stringify(metadata)}`, () => {
      const error = refusal(widget(metadata))
      assert.equal(error.reason, 'BadRequest')
      assert.match(error.message, /^Widget in version "v1" cannot be handled as a Widget: /)
      assert.match(error.message, message)
    })

  const rows: [given: unknown, want: unknown][] = [
    [
      { name: 'a', annotations: { a: null } },
      { name: 'a', annotations: { a: '' } },
    ],
    [
      { name: 'a', labels: { a: null, b: 'c' } },
      { name: 'a', labels: { a: '', b: 'c' } },
    ],
    [{ name: 'a', labels: null, annotations: {}, finalizers: null }, { name: 'a' }],
    [
      { name: 'a', finalizers: [null] },
      { name: 'a', finalizers: [''] },
    ],
    [{ name: 'a', ownerReferences: [] }, { name: 'a' }],
    [{ name: 'a', creationTimestamp: null, generateName: null }, { name: 'a' }],
    [
      { name: 'a', creationTimestamp: '2024-05-06T07:08:09+02:00' },
      { name: 'a', creationTimestamp: '2024-05-06T05:08:09Z' },
    ],
    [null, {}],
  ]
  for (const [given, want] of rows)
    test(`${JSON.stringify(given)} is read as Go reads it`, () => {
      const object = widget(given)
      codec.check(object, false)
      assert.deepEqual(object.metadata, want)
    })

  test('a null among finalizers and owners is refused by validation, not by a crash', () => {
    const object = widget({ name: 'a', namespace: 'b', finalizers: [null], ownerReferences: [null] })
    codec.check(object, false)
    const fields = validateObjectMeta(object, { namespaced: true, custom: true }).map((e) => e.field)
    for (const field of ['metadata.finalizers', 'metadata.ownerReferences.uid'])
      assert.ok(fields.includes(field), field)
  })

  test('unknown fields inside are named and dropped', () => {
    const object = widget({ name: 'a', foo: 1, ownerReferences: [{ uid: 'u', bar: 2 }] })
    assert.deepEqual(codec.check(object, true), [
      'unknown field "metadata.foo"',
      'unknown field "metadata.ownerReferences[0].bar"',
    ])
    assert.deepEqual(object.metadata['ownerReferences'], [{ uid: 'u' }])
  })
})

describe('metadata of embedded resources', () => {
  for (const [metadata, message] of WRONG)
    test(`refused: ${JSON.stringify(metadata)}`, () => {
      for (const [spec, at] of [
        [{ pod: pod(metadata) }, 'spec.pod.metadata'],
        [{ pods: [pod({ name: 'x' }), pod(metadata)] }, 'spec.pods[1].metadata'],
      ] as const) {
        const error = refusal(widget({ name: 'a' }, { spec }))
        assert.equal(error.reason, 'BadRequest')
        assert.match(error.message, message)
        assert.ok(error.message.includes(`${at}: Invalid value: `), error.message)
      }
    })

  test('apiVersion and kind are strings', () => {
    const error = refusal(widget({}, { spec: { pod: { apiVersion: 1, kind: 'Pod' } } }))
    assert.match(error.message, /spec\.pod\.apiVersion: Invalid value: 1: must be a string/)
  })

  test('nulls are read as Go reads them', () => {
    const spec = { pod: pod({ annotations: { a: null }, creationTimestamp: null }), pods: [pod(null)] }
    const object = widget({}, { spec })
    codec.check(object, false)
    assert.deepEqual(object['spec'], { pod: pod({ annotations: { a: '' } }), pods: [pod({})] })
  })
})

describe('what is stored already', () => {
  test('loses the fields that are of the wrong type, and only those', () => {
    for (const [metadata] of WRONG) {
      const broken = metadata as JsonObject
      const object = widget({ uid: 'u', ...broken }, { spec: { pod: pod({ uid: 'u', ...broken }), a: 'x' } })
      codec.conform(object)
      assert.deepEqual(object.metadata, { uid: 'u' })
      assert.deepEqual(object['spec'], { pod: pod({ uid: 'u' }), a: 'x' })
    }
    const object = widget('x', { spec: { pod: { apiVersion: 1, kind: 'Pod', metadata: { name: 'a' } } } })
    codec.conform(object)
    assert.deepEqual(object['spec'].pod, { kind: 'Pod', metadata: { name: 'a' } })
  })
})

test('any metadata is either refused or valid to look at', () => {
  const value = fc.jsonValue({ maxDepth: 3 })
  const field = fc.constantFrom(
    ...['name', 'generateName', 'namespace', 'labels', 'annotations', 'finalizers', 'ownerReferences'],
    ...['managedFields', 'generation', 'creationTimestamp', 'deletionTimestamp', '__proto__', 'x'],
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(field, value), { maxLength: 4 }), (entries) => {
      const metadata = JSON.parse(`{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`)
      const object = widget(metadata, { spec: { pod: pod(structuredClone(metadata)) } })
      const stored = structuredClone(object)
      try {
        codec.check(object, true)
      } catch (error) {
        assert.ok(error instanceof ApiError && error.reason === 'BadRequest', String(error))
        codec.conform(stored)
        validateObjectMeta(stored, { namespaced: true, custom: true })
        return
      }
      validateObjectMeta(object, { namespaced: true, custom: true })
      codec.validate(object)
      const once = structuredClone(object)
      codec.check(object, true)
      assert.deepEqual(object, once)
      codec.conform(stored)
      assert.deepEqual(stored, once)
    }),
  )
})
