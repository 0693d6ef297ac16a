import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../../api/object.ts'
import { defaultCustom } from './defaulting.ts'
import { objectOf, schemaOf, widget } from './fixtures.ts'
import { pruneCustom, unknownFieldsCustom } from './prune.ts'

const string = { type: 'string' }
const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const anyValue = { 'x-kubernetes-preserve-unknown-fields': true }
const embedded = {
  type: 'object',
  'x-kubernetes-embedded-resource': true,
  properties: { spec: objectOf({ a: string }) },
}

describe('pruning', () => {
  const rows: [name: string, spec: object, given: unknown, want: unknown, unknown: string[]][] = [
    ['known', objectOf({ a: string }), { a: 'x' }, { a: 'x' }, []],
    ['unknown', objectOf({ a: string }), { a: 'x', b: 1 }, { a: 'x' }, ['spec.b']],
    [
      'in lists',
      objectOf({ l: { type: 'array', items: objectOf({ a: string }) } }),
      { l: [{ a: 'x' }, { b: 1 }] },
      { l: [{ a: 'x' }, {}] },
      ['spec.l[1].b'],
    ],
    [
      'maps know every name',
      { type: 'object', additionalProperties: objectOf({ a: string }) },
      { x: { a: 'y', b: 1 } },
      { x: { a: 'y' } },
      ['spec.x.b'],
    ],
    [
      'additionalProperties: true knows names, not what is below',
      { type: 'object', additionalProperties: true },
      { x: { a: 1 }, y: 2 },
      { x: {}, y: 2 },
      ['spec.x.a'],
    ],
    ['preserved', objectOf({ o: open }), { o: { x: { y: 1 } } }, { o: { x: { y: 1 } } }, []],
    [
      'specified fields inside preserved ones',
      objectOf({ o: { ...open, properties: { k: objectOf({ a: string }) } } }),
      { o: { k: { b: 1 }, x: { y: 1 } } },
      { o: { k: {}, x: { y: 1 } } },
      ['spec.o.k.b'],
    ],
    ['preserved without a type', objectOf({ o: anyValue }), { o: [{ a: [{ b: 1 }] }] }, { o: [{ a: [{ b: 1 }] }] }, []],
    [
      'embedded',
      objectOf({ t: embedded }),
      { t: { apiVersion: 'v1', kind: 'X', metadata: { name: 'a', typo: 1 }, spec: { b: 1 }, z: 1 } },
      { t: { apiVersion: 'v1', kind: 'X', metadata: { name: 'a' }, spec: {} } },
      ['spec.t.metadata.typo', 'spec.t.spec.b', 'spec.t.z'],
    ],
    [
      'apiVersion elsewhere is a field like any other',
      objectOf({ a: string }),
      { apiVersion: 'v1' },
      {},
      ['spec.apiVersion'],
    ],
    [
      'int or string',
      objectOf({ p: { 'x-kubernetes-int-or-string': true } }),
      { p: { x: 1 } },
      { p: {} },
      ['spec.p.x'],
    ],
  ]
  for (const [name, spec, given, want, unknown] of rows)
    test(name, () => {
      const schema = schemaOf(spec)
      const object = widget(structuredClone(given))
      assert.deepEqual(unknownFieldsCustom(object, schema), unknown)
      assert.deepEqual(object, widget(given))
      assert.deepEqual(pruneCustom(object, schema), unknown)
      assert.deepEqual(object, widget(want))
    })

  test('metadata of the object itself', () => {
    const object = { ...widget({}), metadata: { name: 'a', foo: 1 } } as JsonObject
    assert.deepEqual(pruneCustom(object, schemaOf(objectOf({}))), ['metadata.foo'])
  })

  test('__proto__ is a name like any other', () => {
    const object = widget(JSON.parse('{"__proto__":{"a":1}}'))
    assert.deepEqual(pruneCustom(object, schemaOf(objectOf({ a: string }))), ['spec.__proto__'])
    assert.deepEqual(Object.keys(object['spec'] as object), [])
  })

  test('pruning twice changes nothing more', () => {
    const schema = schemaOf(objectOf({ a: string, o: open, l: { type: 'array', items: objectOf({ a: string }) } }))
    fc.assert(
      fc.property(fc.jsonValue(), (spec) => {
        const object = widget(spec)
        pruneCustom(object, schema)
        assert.deepEqual(pruneCustom(object, schema), [])
      }),
    )
  })
})

describe('defaults', () => {
  const a = { ...string, default: 'A' }
  const nullable = { ...a, nullable: true }
  const rows: [name: string, spec: object, given: unknown, want: unknown][] = [
    ['absent', objectOf({ a }), {}, { a: 'A' }],
    ['present', objectOf({ a }), { a: '' }, { a: '' }],
    ['null becomes the default', objectOf({ a }), { a: null }, { a: 'A' }],
    ['null stays where it may', objectOf({ a: nullable }), { a: null }, { a: null }],
    ['null without a default goes', objectOf({ a: string }), { a: null }, {}],
    ['nested only where there is a parent', objectOf({ o: objectOf({ a }) }), {}, {}],
    ['nested inside a default', objectOf({ o: objectOf({ a }, { default: {} }) }), {}, { o: { a: 'A' } }],
    [
      'items',
      objectOf({ l: { type: 'array', items: objectOf({ a }) } }),
      { l: [{}, { a: 'x' }] },
      { l: [{ a: 'A' }, { a: 'x' }] },
    ],
    [
      'null items',
      objectOf({ l: { type: 'array', items: { ...string, default: 'x' } } }),
      { l: [null, 'y'] },
      { l: ['x', 'y'] },
    ],
    [
      'null items without a default stay',
      objectOf({ l: { type: 'array', items: string } }),
      { l: [null] },
      { l: [null] },
    ],
    ['map values', { type: 'object', additionalProperties: objectOf({ a }) }, { x: {} }, { x: { a: 'A' } }],
    [
      'false and 0 are values',
      objectOf({ b: { type: 'boolean', default: false }, n: { type: 'integer', default: 0 } }),
      {},
      { b: false, n: 0 },
    ],
  ]
  for (const [name, spec, given, want] of rows)
    test(name, () => {
      const object = widget(given)
      defaultCustom(object, schemaOf(spec))
      assert.deepEqual(object, widget(want))
    })

  test('objects do not share their defaults', () => {
    const schema = schemaOf(objectOf({ o: { ...open, default: { x: [1] } } }))
    const [one, two] = [widget({}), widget({})]
    defaultCustom(one, schema)
    defaultCustom(two, schema)
    assert.notEqual((one['spec'] as JsonObject)['o'], (two['spec'] as JsonObject)['o'])
  })
})
