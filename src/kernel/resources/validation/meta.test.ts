import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject, ObjectMeta } from '../../api/object.ts'
import type { LabelSelector } from '../../api/selectors.ts'
import { type FieldError, fieldErrorMessage } from '../../api/status.ts'
import { validateConditions } from './conditions.ts'
import {
  validateAnnotations,
  validateFieldManager,
  validateLabelSelector,
  validateObjectMeta,
  validateObjectMetaUpdate,
} from './meta.ts'

const object = (metadata: ObjectMeta): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', namespace: 'b', ...metadata },
})
const texts = (errors: FieldError[]): string[] => errors.map(fieldErrorMessage)
const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', controller: true }

describe('validateObjectMeta', () => {
  const rows: [string, ObjectMeta, string[]][] = [
    ['plain', {}, []],
    ['no name', { name: '' }, ['metadata.name: Required value: name or generateName is required']],
    ['generateName with dash', { generateName: 'a-' }, []],
    ['no namespace', { namespace: '' }, ['metadata.namespace: Required value']],
    ['dotted namespace', { namespace: 'a.b' }, ['metadata.namespace: Invalid value: "a.b": must not contain dots']],
    ['label key', { labels: { '/a': 'x' } }, ['metadata.labels: Invalid value: "/a": prefix part must be non-empty']],
    ['annotation keys ignore case', { annotations: { 'Example.COM/A': '' } }, []],
    [
      'owner without uid',
      { ownerReferences: [{ ...owner, uid: '' }] },
      ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
    ],
    ['finalizers', { finalizers: ['a/b/c'] }, [/a qualified name/.source]],
    [
      'orphan and foreground',
      { finalizers: ['orphan', 'foregroundDeletion'] },
      [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set',
      ],
    ],
  ]
  for (const [name, meta, want] of rows)
    test(name, () => {
      const got = texts(validateObjectMeta(object(meta), { namespaced: true }))
      assert.equal(got.length, want.length, got.join('\n'))
      want.forEach((w, i) => {
        assert.ok(got[i] === w || got[i]!.includes(w), got[i])
      })
    })

  test('two controllers', () => {
    const got = texts(
      validateObjectMeta(object({ ownerReferences: [owner, { ...owner, name: 'q' }] }), { namespaced: true }),
    )
    assert.match(
      got[0]!,
      /Only one reference can have Controller set to true. Found "true" in references for Pod\/p and Pod\/q$/,
    )
  })

  test('name formats', () => {
    const at = (nameFormat: 'dns-label' | 'dns-1035' | 'path-segment', name: string): number =>
      validateObjectMeta(object({ name }), { namespaced: true, strategy: { nameFormat } }).length
    assert.deepEqual(
      [at('dns-label', 'a.b'), at('dns-1035', '1a'), at('path-segment', 'A:b'), at('path-segment', 'a/b')],
      [1, 1, 0, 1],
    )
  })

  test('cluster-scoped objects have no namespace', () => {
    assert.deepEqual(texts(validateObjectMeta(object({}), { namespaced: false })), [
      'metadata.namespace: Forbidden: not allowed on this type',
    ])
  })
})

describe('validateObjectMetaUpdate', () => {
  const old = object({ uid: '1', creationTimestamp: '2025-01-01T00:00:00Z', finalizers: ['x/y'] })
  const rows: [string, ObjectMeta, string[]][] = [
    ['same', {}, []],
    ['name', { name: 'c' }, ['metadata.name: Invalid value: "c": field is immutable']],
    ['uid', { uid: '2' }, ['metadata.uid: Invalid value: "2": field is immutable']],
    [
      'deletionTimestamp',
      { deletionTimestamp: 't' },
      ['metadata.deletionTimestamp: Invalid value: "t": field is immutable'],
    ],
    ['new finalizer while alive', { finalizers: ['x/z'] }, []],
  ]
  for (const [name, meta, want] of rows)
    test(name, () => assert.deepEqual(texts(validateObjectMetaUpdate(object({ ...old.metadata, ...meta }), old)), want))

  test('finalizers added while being deleted', () => {
    const dying = object({ ...old.metadata, deletionTimestamp: 't' })
    assert.deepEqual(
      texts(validateObjectMetaUpdate(object({ ...dying.metadata, finalizers: ['x/y', 'b/c', 'a/c'] }), dying)),
      [
        'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a/c", "b/c"}',
      ],
    )
    assert.deepEqual(validateObjectMetaUpdate(object({ ...dying.metadata, finalizers: [] }), dying), [])
  })
})

test('annotations are limited to 256 KiB in all', () => {
  assert.deepEqual(validateAnnotations({ a: 'x'.repeat(262143) }, 'm'), [])
  assert.deepEqual(texts(validateAnnotations({ a: 'x'.repeat(262144) }, 'm')), [
    'm: Too long: may not be more than 262144 bytes',
  ])
})

test('label selectors', () => {
  const selector = {
    matchLabels: { a: '-' },
    matchExpressions: [
      { key: 'a', operator: 'In' },
      { key: 'a', operator: 'Exists', values: ['x'] },
      { key: '', operator: 'Foo' },
    ],
  }
  const got = texts(validateLabelSelector(selector as LabelSelector, 's'))
  assert.match(got[0]!, /^s.matchLabels: Invalid value: "-": a valid label/)
  assert.deepEqual(got.slice(1, 5), [
    "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    "s.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    's.matchExpressions[2].operator: Invalid value: "Foo": not a valid selector operator',
    's.matchExpressions[2].key: Invalid value: "": name part must be non-empty',
  ])
})

test('field managers are printable and at most 128 bytes', () => {
  assert.deepEqual(validateFieldManager('kubectl é'), [])
  assert.deepEqual(texts(validateFieldManager('é\n')), [
    'fieldManager: Invalid value: "é\\n": invalid character U+000A (at position 2)',
  ])
  assert.deepEqual(texts(validateFieldManager('a'.repeat(129))), [
    'fieldManager: Too long: may not be more than 128 bytes',
  ])
})

test('conditions', () => {
  const good = { type: 'Ready', status: 'True', reason: 'Ok', lastTransitionTime: '2025-01-01T00:00:00Z', message: '' }
  assert.deepEqual(validateConditions([good], 'c'), [])
  const got = texts(
    validateConditions([good, { ...good, status: 'Maybe', reason: '1', lastTransitionTime: undefined }], 'c'),
  )
  assert.deepEqual(got.slice(0, 3), [
    'c[1].type: Duplicate value: "Ready"',
    'c[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
    'c[1].lastTransitionTime: Required value: must be set',
  ])
  assert.match(got[3]!, /^c\[1\].reason: Invalid value: "1": a condition reason must start/)
})
