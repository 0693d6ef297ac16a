import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { jsonEqual, own, setOwn } from './json-value.ts'
import { applyStrategicMergePatch } from './strategic.ts'
import { widget, widgetSchema, widgetSchemas } from './widget.fixture.ts'

const apply = (spec: JsonObject, patch: JsonObject): Json => {
  const object = widget({ spec })
  const before = JSON.stringify([object, patch])
  const result = applyStrategicMergePatch(object, { spec: patch }, widgetSchema, widgetSchemas)
  assert.equal(JSON.stringify([object, patch]), before, 'arguments are not changed')
  return result['spec'] as Json
}

const c = (name: string, image?: string): JsonObject => ({ name, ...(image ? { image } : {}) })
const names = (...list: string[]): JsonObject[] => list.map((name) => ({ name }))

type Row = { name: string; spec: JsonObject; patch: JsonObject; result: JsonObject }
const rows: Row[] = [
  {
    name: 'sets, adds and deletes fields',
    spec: { title: 'a', replicas: 1 },
    patch: { title: 'b', replicas: null, paused: true },
    result: { title: 'b', paused: true },
  },
  { name: 'null of an absent field', spec: {}, patch: { title: null }, result: {} },
  {
    name: 'merges maps',
    spec: { options: { a: '1', b: '2' } },
    patch: { options: { b: null, c: '3' } },
    result: { options: { a: '1', c: '3' } },
  },
  {
    name: 'new maps come without nulls',
    spec: {},
    patch: { options: { a: '1', b: null } },
    result: { options: { a: '1' } },
  },
  {
    name: 'replaces maps of strategy replace',
    spec: { whole: { a: '1' } },
    patch: { whole: { b: '2' } },
    result: { whole: { b: '2' } },
  },
  {
    name: '$patch replace of a map',
    spec: { options: { a: '1' } },
    patch: { options: { $patch: 'replace', b: '2' } },
    result: { options: { b: '2' } },
  },
  {
    name: '$patch delete of a map',
    spec: { options: { a: '1' } },
    patch: { options: { $patch: 'delete' } },
    result: { options: {} },
  },
  { name: 'replaces atomic lists', spec: { args: ['a', 'b'] }, patch: { args: ['c'] }, result: { args: ['c'] } },
  {
    name: 'a list where a map was',
    spec: { free: { x: { y: 1 } } },
    patch: { free: { x: [1] } },
    result: { free: { x: [1] } },
  },
  {
    name: 'merges lists of scalars as sets',
    spec: { colors: ['red', 'blue'] },
    patch: { colors: ['green', 'red'] },
    result: { colors: ['green', 'red', 'blue'] },
  },
  {
    name: '$deleteFromPrimitiveList',
    spec: { colors: ['red', 'blue', 'green'] },
    patch: { '$deleteFromPrimitiveList/colors': ['blue', 'none'] },
    result: { colors: ['red', 'green'] },
  },
  {
    name: '$deleteFromPrimitiveList of an absent list',
    spec: {},
    patch: { '$deleteFromPrimitiveList/colors': ['blue'] },
    result: {},
  },
  {
    name: '$deleteFromPrimitiveList with $setElementOrder',
    spec: { colors: ['a', 'b', 'c'] },
    patch: { '$deleteFromPrimitiveList/colors': ['b'], '$setElementOrder/colors': ['c', 'd', 'a'], colors: ['d'] },
    result: { colors: ['c', 'd', 'a'] },
  },
  {
    name: 'merges items by key',
    spec: { containers: [c('a', '1'), c('b', '1')] },
    patch: { containers: [c('b', '2')] },
    result: { containers: [c('a', '1'), c('b', '2')] },
  },
  {
    name: 'a new item comes first: nothing says where else',
    spec: { containers: [c('a')] },
    patch: { containers: [c('b')] },
    result: { containers: [c('b'), c('a')] },
  },
  {
    name: 'items of the patch keep their order',
    spec: { containers: [c('a', '1'), c('b', '1'), c('x')] },
    patch: { containers: [c('b', '2'), c('a', '2')] },
    result: { containers: [c('b', '2'), c('a', '2'), c('x')] },
  },
  {
    name: '$patch delete of an item',
    spec: { containers: [c('a'), c('b')] },
    patch: { containers: [{ $patch: 'delete', name: 'a' }] },
    result: { containers: [c('b')] },
  },
  {
    name: '$patch delete of an absent item',
    spec: { containers: [c('a')] },
    patch: { containers: [{ $patch: 'delete', name: 'z' }] },
    result: { containers: [c('a')] },
  },
  {
    name: '$patch replace of a list',
    spec: { containers: [c('a'), c('b')] },
    patch: { containers: [c('z'), { $patch: 'replace' }] },
    result: { containers: [c('z')] },
  },
  {
    name: 'empties a list by replace',
    spec: { containers: [c('a')] },
    patch: { containers: [{ $patch: 'replace' }] },
    result: { containers: [] },
  },
  {
    name: 'directives vanish where nothing was',
    spec: {},
    patch: {
      containers: [
        { $patch: 'delete', name: 'a' },
        { name: 'b', image: null },
      ],
      '$setElementOrder/args': ['x'],
    },
    result: { containers: [c('b')] },
  },
  {
    name: 'nested lists',
    spec: {
      containers: [
        {
          name: 'a',
          env: [
            { name: 'x', value: '1' },
            { name: 'y', value: '1' },
          ],
        },
      ],
    },
    patch: {
      containers: [
        {
          name: 'a',
          env: [
            { name: 'y', value: '2' },
            { name: 'z', value: '2' },
          ],
        },
      ],
    },
    result: {
      containers: [
        {
          name: 'a',
          env: [
            { name: 'x', value: '1' },
            { name: 'y', value: '2' },
            { name: 'z', value: '2' },
          ],
        },
      ],
    },
  },
  {
    name: 'numbers as merge keys',
    spec: { containers: [{ name: 'a', ports: [{ port: 80, name: 'x' }] }] },
    patch: { containers: [{ name: 'a', ports: [{ port: 80, name: 'y' }, { port: 81 }] }] },
    result: { containers: [{ name: 'a', ports: [{ port: 80, name: 'y' }, { port: 81 }] }] },
  },
  {
    name: '$setElementOrder reorders',
    spec: { containers: names('a', 'b', 'c') },
    patch: { '$setElementOrder/containers': names('c', 'a', 'b') },
    result: { containers: names('c', 'a', 'b') },
  },
  {
    name: 'what $setElementOrder does not name stays before what it preceded',
    spec: { containers: names('a', 's', 'b', 't') },
    patch: { '$setElementOrder/containers': names('b', 'a') },
    result: { containers: names('s', 'b', 'a', 't') },
  },
  {
    name: 'server items stand before the named ones they preceded',
    spec: { containers: names('s', 'a', 't', 'b') },
    patch: { '$setElementOrder/containers': names('a', 'n', 'b'), containers: names('n') },
    result: { containers: names('s', 'a', 'n', 't', 'b') },
  },
  {
    name: '$setElementOrder with a delete',
    spec: { containers: names('a', 'b', 'c') },
    patch: {
      '$setElementOrder/containers': names('c', 'a'),
      containers: [
        { name: 'c', image: '2' },
        { $patch: 'delete', name: 'b' },
      ],
    },
    result: { containers: [c('c', '2'), c('a')] },
  },
  {
    name: '$setElementOrder of a new list',
    spec: {},
    patch: { '$setElementOrder/containers': names('b', 'a'), containers: names('b', 'a') },
    result: { containers: names('b', 'a') },
  },
  {
    name: '$setElementOrder of an absent list',
    spec: {},
    patch: { '$setElementOrder/containers': names('a') },
    result: {},
  },
  {
    name: '$retainKeys clears the rest',
    spec: { strategy: { type: 'Rolling', rolling: { surge: 1 } } },
    patch: { strategy: { $retainKeys: ['type'], type: 'Recreate' } },
    result: { strategy: { type: 'Recreate' } },
  },
  {
    name: '$retainKeys with a delete',
    spec: { strategy: { type: 'Rolling', rolling: { surge: 1 } } },
    patch: { strategy: { $retainKeys: ['type'], rolling: null } },
    result: { strategy: { type: 'Rolling' } },
  },
  {
    name: 'strategy retainKeys alone merges',
    spec: { strategy: { type: 'Rolling', rolling: { surge: 1 } } },
    patch: { strategy: { rolling: { surge: 2 } } },
    result: { strategy: { type: 'Rolling', rolling: { surge: 2 } } },
  },
  {
    name: 'fields without a schema',
    spec: { free: { a: { x: 1 }, l: [1] } },
    patch: { free: { a: { y: 2 }, l: [2] } },
    result: { free: { a: { x: 1, y: 2 }, l: [2] } },
  },
]

type Failure = { name: string; spec: JsonObject; patch: JsonObject; message: RegExp; code?: number }
const failures: Failure[] = [
  {
    name: 'item without key',
    spec: { containers: names('a') },
    patch: { containers: [{ image: 'x' }] },
    message: /^map: map\[image:string\] does not contain declared merge key: name$/,
  },
  {
    name: 'delete without key',
    spec: { containers: names('a') },
    patch: { containers: [{ $patch: 'delete' }] },
    message: /does not contain declared merge key: name/,
  },
  {
    name: 'unknown directive in a map',
    spec: { options: { a: '1' } },
    patch: { options: { $patch: 'frob' } },
    message: /^unknown patch type: frob in map: map\[\$patch:string\]$/,
  },
  {
    name: 'unknown directive in a list',
    spec: { containers: names('a') },
    patch: { containers: [{ $patch: 'frob', name: 'a' }] },
    message: /unknown patch type: frob/,
  },
  {
    name: 'merge directive in a list',
    spec: { containers: names('a') },
    patch: { containers: [{ $patch: 'merge', name: 'a' }] },
    message: /cannot yet be specified/,
  },
  {
    name: 'retainKeys without what it sets',
    spec: { strategy: { type: 'a' } },
    patch: { strategy: { $retainKeys: ['rolling'], type: 'b' } },
    message: /invalid patch format of retainKeys/,
  },
  {
    name: 'retainKeys no list',
    spec: { strategy: { type: 'a' } },
    patch: { strategy: { $retainKeys: 'type' } },
    message: /invalid patch format of retainKeys/,
  },
  {
    name: 'delete list without field',
    spec: { colors: ['a'] },
    patch: { $deleteFromPrimitiveList: ['a'] },
    message: /invalid patch format of primitive list/,
  },
  {
    name: 'order without field',
    spec: { colors: ['a'] },
    patch: { $setElementOrder: ['a'] },
    message: /invalid patch format of setElementOrder/,
  },
  {
    name: 'order no list',
    spec: { colors: ['a'] },
    patch: { '$setElementOrder/colors': 'a' },
    message: /expected a \[\]interface/,
  },
  {
    name: 'patch against its order',
    spec: { containers: names('a', 'b') },
    patch: { '$setElementOrder/containers': names('a', 'b'), containers: names('b', 'a') },
    message: /order in patch list/,
  },
  {
    name: 'mixed lists',
    spec: { colors: ['a'] },
    patch: { colors: [{ a: 1 }] },
    message: /list element types are not identical/,
  },
  {
    name: 'lists of lists',
    spec: { colors: ['a'] },
    patch: { colors: [['a']] },
    message: /the server rejected our request/,
    code: 422,
  },
]

describe('strategic merge patch', () => {
  for (const row of rows) it(row.name, () => assert.deepEqual(apply(row.spec, row.patch), row.result))
  for (const row of failures) {
    it(`refuses: ${row.name}`, () => {
      assert.throws(
        () => apply(row.spec, row.patch),
        (error: unknown) => {
          assert.ok(error instanceof ApiError, String(error))
          assert.equal(error.code, row.code ?? 400)
          assert.match(error.message, row.message)
          return true
        },
      )
    })
  }

  it('merges metadata: finalizers as a set, owners by uid', () => {
    const object = widget({}, { finalizers: ['a'], ownerReferences: [{ uid: '1', name: 'x' }], labels: { a: '1' } })
    const patch = { metadata: { finalizers: ['b'], ownerReferences: [{ uid: '2', name: 'y' }], labels: { a: null } } }
    const { metadata } = applyStrategicMergePatch(object, patch, widgetSchema, widgetSchemas)
    assert.deepEqual(metadata.finalizers, ['b', 'a'])
    assert.deepEqual(
      metadata.ownerReferences?.map(({ uid }) => uid),
      ['2', '1'],
    )
    assert.deepEqual(metadata.labels, {})
  })

  it('keeps __proto__ as data', () => {
    const patch = JSON.parse('{"options":{"__proto__":"x","constructor":"y"}}') as JsonObject
    for (const spec of [{}, { options: { a: '1' } }]) {
      const result = apply(spec, patch) as { options: object }
      assert.ok(Object.hasOwn(result.options, '__proto__'))
      assert.ok(Object.hasOwn(result.options, 'constructor'))
    }
  })

  it('the difference of two maps, applied, makes the one into the other', () => {
    const options = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', 'toString'), fc.string())
    fc.assert(
      fc.property(options, options, (from, to) => {
        const patch: JsonObject = {}
        for (const key of Object.keys(from)) if (own(to, key) === undefined) setOwn(patch, key, null)
        for (const key of Object.keys(to)) setOwn(patch, key, to[key]!)
        assert.ok(jsonEqual(apply({ options: from }, { options: patch }), { options: to }))
      }),
    )
  })

  it('puts merged lists in the order that $setElementOrder names, and loses nothing', () => {
    const letters = fc.uniqueArray(fc.constantFrom(...'abcdefgh'))
    fc.assert(
      fc.property(letters, letters, (live, order) => {
        const added = order.filter((name) => !live.includes(name))
        const patch: JsonObject = { '$setElementOrder/containers': names(...order), containers: names(...added) }
        const spec = apply({ containers: names(...live) }, patch) as { containers: { name: string }[] }
        const result = spec.containers.map(({ name }) => name)
        assert.deepEqual(new Set(result), new Set([...live, ...order]))
        assert.deepEqual(
          result.filter((name) => order.includes(name)),
          order,
        )
        assert.deepEqual(
          result.filter((name) => !order.includes(name)),
          live.filter((name) => !order.includes(name)),
        )
      }),
    )
  })
})
