import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json, JsonObject } from '../api/object.ts'
import { isObject, jsonEqual, own, setOwn } from './json-value.ts'
import { applyMergePatch } from './merge-patch.ts'

// RFC 7386, appendix A.
const rows: [target: Json, patch: Json, result: Json][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]

/** The patch that makes `from` into `to`, for documents without nulls. */
function diff(from: JsonObject, to: JsonObject): JsonObject {
  const patch: JsonObject = {}
  for (const key of Object.keys(from)) if (own(to, key) === undefined) setOwn(patch, key, null)
  for (const key of Object.keys(to)) {
    const before = own(from, key)
    const after = to[key]!
    if (isObject(before) && isObject(after)) setOwn(patch, key, diff(before, after))
    else if (!jsonEqual(before, after)) setOwn(patch, key, after)
  }
  return patch
}

const { document } = fc.letrec<{ value: Json; document: JsonObject }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer()), tie('document')),
  document: fc.dictionary(
    fc.oneof(fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'constructor'), fc.string()),
    tie('value'),
    {
      maxKeys: 5,
    },
  ) as fc.Arbitrary<JsonObject>,
}))

describe('JSON merge patch', () => {
  for (const [target, patch, result] of rows) {
    it(`${JSON.stringify(target)} + ${JSON.stringify(patch)}`, () => {
      assert.deepEqual(applyMergePatch(target, patch), result)
    })
  }

  it('makes any document into any other, changes neither argument, twice is once', () => {
    fc.assert(
      fc.property(document, document, (from, to) => {
        const patch = diff(from, to)
        const text = JSON.stringify([from, patch])
        const result = applyMergePatch(from, patch)
        assert.ok(jsonEqual(result, to))
        assert.ok(jsonEqual(applyMergePatch(result, patch), to))
        assert.equal(JSON.stringify([from, patch]), text)
      }),
    )
  })

  it('keeps __proto__ as data', () => {
    const result = applyMergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}') as Json)
    assert.equal(JSON.stringify(result), '{"__proto__":{"polluted":true}}')
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  })
})
