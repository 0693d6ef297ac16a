import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Json } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { applyJsonPatch } from './json-patch.ts'

const parse = (text: string): Json => JSON.parse(text) as Json

type Row = { name: string; doc: Json; patch: unknown; result: Json }
const rows: Row[] = [
  { name: 'add a member', doc: { a: 1 }, patch: [{ op: 'add', path: '/b', value: 2 }], result: { a: 1, b: 2 } },
  { name: 'add replaces', doc: { a: 1 }, patch: [{ op: 'add', path: '/a', value: 2 }], result: { a: 2 } },
  { name: 'add into a list', doc: ['x', 'z'], patch: [{ op: 'add', path: '/1', value: 'y' }], result: ['x', 'y', 'z'] },
  { name: 'add at the end', doc: ['x'], patch: [{ op: 'add', path: '/-', value: 'y' }], result: ['x', 'y'] },
  { name: 'add at length', doc: ['x'], patch: [{ op: 'add', path: '/1', value: 'y' }], result: ['x', 'y'] },
  { name: 'add the whole', doc: { a: 1 }, patch: [{ op: 'add', path: '', value: [] }], result: [] },
  { name: 'add null', doc: {}, patch: [{ op: 'add', path: '/a', value: null }], result: { a: null } },
  { name: 'remove', doc: { a: 1, b: 2 }, patch: [{ op: 'remove', path: '/a' }], result: { b: 2 } },
  { name: 'remove from a list', doc: [1, 2, 3], patch: [{ op: 'remove', path: '/1' }], result: [1, 3] },
  { name: 'remove the last', doc: [1, 2, 3], patch: [{ op: 'remove', path: '/-1' }], result: [1, 2] },
  { name: 'replace', doc: { a: [1] }, patch: [{ op: 'replace', path: '/a/0', value: 2 }], result: { a: [2] } },
  { name: 'replace an absent member', doc: {}, patch: [{ op: 'replace', path: '/a', value: 2 }], result: { a: 2 } },
  {
    name: 'move',
    doc: { a: { b: 1 }, c: {} },
    patch: [{ op: 'move', from: '/a/b', path: '/c/d' }],
    result: { a: {}, c: { d: 1 } },
  },
  { name: 'move in a list', doc: [1, 2, 3], patch: [{ op: 'move', from: '/0', path: '/2' }], result: [2, 3, 1] },
  { name: 'move onto itself', doc: { a: 1 }, patch: [{ op: 'move', from: '/a', path: '/a' }], result: { a: 1 } },
  {
    name: 'copy',
    doc: { a: { b: 1 } },
    patch: [
      { op: 'copy', from: '/a', path: '/c' },
      { op: 'add', path: '/c/b', value: 2 },
    ],
    result: { a: { b: 1 }, c: { b: 2 } },
  },
  {
    name: 'test',
    doc: { a: { b: [1, 'x'], c: null } },
    patch: [{ op: 'test', path: '/a', value: { c: null, b: [1, 'x'] } }],
    result: { a: { b: [1, 'x'], c: null } },
  },
  { name: 'test of an absent member', doc: {}, patch: [{ op: 'test', path: '/a', value: null }], result: {} },
  {
    name: 'escapes',
    doc: { 'a/b': 1, 'm~n': 2, '~1': 3 },
    patch: [
      { op: 'remove', path: '/a~1b' },
      { op: 'remove', path: '/m~0n' },
      { op: 'test', path: '/~01', value: 3 },
    ],
    result: { '~1': 3 },
  },
  { name: 'empty key', doc: { '': 1 }, patch: [{ op: 'replace', path: '/', value: 2 }], result: { '': 2 } },
  { name: 'no operation', doc: { a: 1 }, patch: [], result: { a: 1 } },
]

type Failure = { name: string; doc?: Json; patch: unknown; code: number; cause?: RegExp }
const failures: Failure[] = [
  { name: 'no list', patch: { op: 'add' }, code: 400 },
  { name: 'operation is no object', patch: ['add'], code: 400 },
  { name: 'no path', patch: [{ op: 'add', value: 1 }], code: 422, cause: /missing path/ },
  { name: 'no op', patch: [{ path: '/a', value: 1 }], code: 422, cause: /missing op/ },
  { name: 'unknown op', patch: [{ op: 'frob', path: '/a' }], code: 422, cause: /unexpected kind: frob/ },
  { name: 'no value', patch: [{ op: 'add', path: '/a' }], code: 422, cause: /missing its value/ },
  { name: 'no from', patch: [{ op: 'move', path: '/a' }], code: 422, cause: /missing its from/ },
  { name: 'path without slash', patch: [{ op: 'add', path: 'a', value: 1 }], code: 422, cause: /begin with/ },
  { name: 'test fails', doc: { a: 1 }, patch: [{ op: 'test', path: '/a', value: 2 }], code: 422, cause: /test failed/ },
  {
    name: 'test of the whole fails',
    doc: { a: 1 },
    patch: [{ op: 'test', path: '', value: {} }],
    code: 422,
    cause: /test failed/,
  },
  { name: 'missing parent', patch: [{ op: 'add', path: '/a/b', value: 1 }], code: 422, cause: /missing path: \/a\/b/ },
  {
    name: 'below a scalar',
    doc: { a: 1 },
    patch: [{ op: 'add', path: '/a/b', value: 1 }],
    code: 422,
    cause: /missing path/,
  },
  { name: 'remove absent', patch: [{ op: 'remove', path: '/a' }], code: 422, cause: /nonexistent key: a/ },
  { name: 'remove the whole', patch: [{ op: 'remove', path: '' }], code: 422, cause: /below the document/ },
  { name: 'copy absent', patch: [{ op: 'copy', from: '/a', path: '/b' }], code: 422, cause: /missing key/ },
  {
    name: 'move into itself',
    doc: { a: {} },
    patch: [{ op: 'move', from: '/a', path: '/a/b' }],
    code: 422,
    cause: /into itself/,
  },
  {
    name: 'index too large',
    doc: [1],
    patch: [{ op: 'add', path: '/2', value: 1 }],
    code: 422,
    cause: /invalid index: 2/,
  },
  {
    name: 'index no number',
    doc: [1],
    patch: [{ op: 'add', path: '/x', value: 1 }],
    code: 422,
    cause: /invalid index: x/,
  },
  { name: 'dash without add', doc: [1], patch: [{ op: 'remove', path: '/-' }], code: 422, cause: /invalid index/ },
  { name: 'too many operations', patch: new Array(10_001).fill({ op: 'test', path: '', value: {} }), code: 413 },
]

describe('JSON patch', () => {
  for (const row of rows) {
    it(row.name, () => {
      const before = structuredClone(row.doc)
      const patch = structuredClone(row.patch)
      assert.deepEqual(applyJsonPatch(row.doc, row.patch), row.result)
      assert.deepEqual(row.doc, before)
      assert.deepEqual(row.patch, patch)
    })
  }
  for (const row of failures) {
    it(`refuses: ${row.name}`, () => {
      assert.throws(
        () => applyJsonPatch(row.doc ?? {}, row.patch),
        (error: unknown) => {
          assert.ok(error instanceof ApiError)
          assert.equal(error.code, row.code)
          if (row.cause) assert.match(error.details?.causes?.[0]?.message ?? '', row.cause)
          if (row.code === 422) {
            assert.equal(error.message, 'the server rejected our request due to an error in our request')
          }
          return true
        },
      )
    })
  }

  it('stops copies that grow beyond 3 MiB in all', () => {
    const patch = [{ op: 'add', path: '/a', value: ['x'.repeat(1000)] }]
    for (let i = 0; i < 30; i++) patch.push({ op: 'copy', from: '/a', path: '/a/-' } as never)
    assert.throws(
      () => applyJsonPatch({}, patch),
      (error: unknown) => error instanceof ApiError && error.code === 413,
    )
  })

  it('treats __proto__ and constructor as plain data', () => {
    const patch = parse(
      '[{"op":"add","path":"/__proto__","value":{"polluted":1}},{"op":"add","path":"/constructor","value":{}},' +
        '{"op":"add","path":"/constructor/prototype","value":{"polluted":1}}]',
    )
    const result = applyJsonPatch({}, patch) as object
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
    assert.deepEqual(Object.keys(result), ['__proto__', 'constructor'])
    assert.equal(Object.getPrototypeOf(result), Object.prototype)
    for (const path of ['/__proto__/x', '/constructor/prototype/x', '/toString/x']) {
      assert.throws(() => applyJsonPatch({}, [{ op: 'add', path, value: 1 }]), ApiError)
    }
    assert.throws(() => applyJsonPatch([], [{ op: 'add', path: '/length', value: 1 }]), ApiError)
  })

  it('answers nesting beyond the stack with 400', () => {
    let deep: Json = 1
    for (let i = 0; i < 200_000; i++) deep = [deep]
    assert.throws(
      () => applyJsonPatch({ deep }, []),
      (error: unknown) => error instanceof ApiError && error.code === 400,
    )
  })
})
