import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  difference,
  type FieldSet,
  forEachPath,
  has,
  intersection,
  isSubset,
  leaves,
  parseFieldsV1,
  recursiveDifference,
  setOf,
  setsEqual,
  union,
} from './field-set.ts'
import { compareElements, printPath } from './path-element.ts'

const elements = ['f:a', 'f:b', 'f:c', 'k:{"name":"x"}', 'k:{"name":"y"}', 'v:"p"', 'v:1', 'i:0']
const path = fc.array(fc.constantFrom(...elements), { minLength: 1, maxLength: 4 })
const paths = fc.array(path, { maxLength: 8 })

/** The obviously right reference: a set of printed paths. */
const listed = (set: FieldSet | undefined): Set<string> => {
  const out = new Set<string>()
  forEachPath(set, (at) => out.add(at.join('\n')))
  return out
}
const reference = (list: string[][]): Set<string> => new Set(list.map((at) => at.join('\n')))
const startsWith = (at: string, prefix: string): boolean => at === prefix || at.startsWith(`${prefix}\n`)

/** Canonical: elements in order, no empty branches, and the same as what reading it again gives. */
function assertCanonical(set: FieldSet | undefined): void {
  assert.equal(JSON.stringify(parseFieldsV1(JSON.parse(JSON.stringify(set ?? {})))), JSON.stringify(set))
  assert.ok(set === undefined || Object.keys(set).length > 0)
}

describe('field sets', () => {
  it('agrees with sets of paths in every operation', () => {
    fc.assert(
      fc.property(paths, paths, (p, q) => {
        const [a, b] = [setOf(...p), setOf(...q)]
        const [ra, rb] = [reference(p), reference(q)]
        const text = JSON.stringify([a, b])
        assert.deepEqual(listed(a), ra)
        assert.deepEqual(listed(union(a, b)), ra.union(rb))
        assert.deepEqual(listed(intersection(a, b)), ra.intersection(rb))
        assert.deepEqual(listed(difference(a, b)), ra.difference(rb))
        const kept = [...ra].filter((at) => ![...rb].some((other) => startsWith(at, other)))
        assert.deepEqual(listed(recursiveDifference(a, b)), new Set(kept))
        const ends = [...ra].filter((at) => ![...ra].some((other) => other !== at && startsWith(other, at)))
        assert.deepEqual(listed(leaves(a)), new Set(ends))
        assert.equal(isSubset(a, b), ra.isSubsetOf(rb))
        assert.equal(setsEqual(a, b), ra.size === rb.size && ra.isSubsetOf(rb))
        for (const at of [...p, ...q]) assert.equal(has(a, at), ra.has(at.join('\n')))
        const results = [a, union(a, b), intersection(a, b), difference(a, b), recursiveDifference(a, b), leaves(a)]
        results.forEach(assertCanonical)
        assert.equal(JSON.stringify([a, b]), text)
      }),
    )
  })

  it('keeps what does not change', () => {
    fc.assert(
      fc.property(paths, paths, (p, q) => {
        const a = setOf(...p)
        const both = union(a, setOf(...q))
        assert.equal(union(both, a), both)
        const rest = difference(a, setOf(...q))
        assert.equal(difference(rest, setOf(...q)), rest)
      }),
    )
  })

  it('laws: union and intersection commute, differences and intersections part a set', () => {
    fc.assert(
      fc.property(paths, paths, (p, q) => {
        const [a, b] = [setOf(...p), setOf(...q)]
        assert.equal(JSON.stringify(union(a, b)), JSON.stringify(union(b, a)))
        assert.equal(JSON.stringify(intersection(a, b)), JSON.stringify(intersection(b, a)))
        assert.equal(JSON.stringify(union(difference(a, b), intersection(a, b))), JSON.stringify(a))
        assert.equal(intersection(difference(a, b), b), undefined)
      }),
    )
  })

  it('orders elements as Kubernetes does', () => {
    const sorted = [
      '.',
      'f:a',
      'f:b',
      'k:{"name":"a"}',
      'k:{"name":"b"}',
      'k:{"port":9,"protocol":"TCP"}',
      'k:{"port":10,"protocol":"TCP"}',
      'k:{"port":10,"protocol":"UDP"}',
      'v:2',
      'v:10',
      'v:"a"',
      'v:true',
      'i:2',
      'i:10',
    ]
    assert.deepEqual([...sorted].reverse().sort(compareElements), sorted)
  })

  it('reads what clients write', () => {
    const rows: [input: unknown, output: string | undefined][] = [
      [{}, undefined],
      [{ '.': {} }, undefined],
      [{ 'f:b': {}, 'f:a': {} }, '{"f:a":{},"f:b":{}}'],
      [{ 'f:a': { '.': {} } }, '{"f:a":{}}'],
      [{ 'f:a': { 'f:b': {}, '.': {} } }, '{"f:a":{".":{},"f:b":{}}}'],
      [{ 'k:{ "b": 1, "a": 2 }': {} }, '{"k:{\\"a\\":2,\\"b\\":1}":{}}'],
      [{ 'k:{"a":1,"b":2}': { 'f:x': {} }, 'k:{"b":2,"a":1}': {} }, '{"k:{\\"a\\":1,\\"b\\":2}":{".":{},"f:x":{}}}'],
      [{ 'x:future': {}, 'f:a': {} }, '{"f:a":{}}'],
      [{ 'f:__proto__': {} }, '{"f:__proto__":{}}'],
    ]
    for (const [input, output] of rows) {
      const set = parseFieldsV1(input)
      assert.equal(set === undefined ? undefined : JSON.stringify(set), output)
    }
    for (const bad of [
      null,
      'x',
      [],
      { a: {} },
      { 'k:{': {} },
      { 'k:1': {} },
      { 'i:x': {} },
      { 'i:': {} },
      { 'f:a': 1 },
    ]) {
      assert.throws(() => parseFieldsV1(bad), SyntaxError, JSON.stringify(bad))
    }
  })

  it('prints paths as conflicts show them', () => {
    const at = ['f:spec', 'f:ports', 'k:{"port":80,"protocol":"TCP"}', 'f:name']
    assert.equal(printPath(at), '.spec.ports[port=80,protocol="TCP"].name')
    assert.equal(printPath(['f:a', 'v:"x"']), '.a[="x"]')
    assert.equal(printPath(['f:a', 'i:3']), '.a[3]')
  })
})
