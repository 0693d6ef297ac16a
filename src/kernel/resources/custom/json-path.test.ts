import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluateJsonPath, fieldNames, parseJsonPath } from './json-path.ts'

const object = {
  spec: {
    replicas: 3,
    'a.b': 'dotted',
    list: [
      { name: 'x', v: 1 },
      { name: 'y', v: 2 },
    ],
    nothing: null,
  },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
  metadata: { annotations: { 'example.com/x': 'y' } },
}

const rows: [string, unknown[]][] = [
  ['.spec.replicas', [3]],
  ['.', [object]],
  ['.spec.missing.deeper', []],
  ['.spec.nothing', [null]],
  ['.spec.list[0].name', ['x']],
  ['.spec.list[-1].name', ['y']],
  ['.spec.list[9].name', []],
  ['.spec.list[*].v', [1, 2]],
  ["['spec'].replicas", [3]],
  [".spec['a.b']", ['dotted']],
  ['.spec.a\\.b', ['dotted']],
  ['.metadata.annotations.example\\.com/x', ['y']],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type == 'None')].status", []],
  ['.spec.list[?(@.v>1)].name', ['y']],
  ['.spec.list[?(@.v<=2)].name', ['x', 'y']],
  ['.spec.list[?(@.name!="x")].v', [2]],
  ['.spec.list[?(@.v)].v', [1, 2]],
  ['.spec.constructor', []],
  ['.spec.__proto__', []],
]
for (const [path, want] of rows) test(path, () => assert.deepEqual(evaluateJsonPath(parseJsonPath(path), object), want))

test('what cannot be read', () => {
  for (const path of ['spec', '.spec[', '.spec[x]', '..spec', '.spec[?(@.x==)]', ".spec['x]", '.a'.repeat(5000)])
    assert.throws(() => parseJsonPath(path), Error, path)
})

test('a filter over a great list stops', () => {
  const great = { l: new Array(1_000_000).fill({ a: 1 }) }
  assert.deepEqual(evaluateJsonPath(parseJsonPath('.l[*].a'), great), [])
})

test('names of a simple path', () => {
  assert.deepEqual(fieldNames(parseJsonPath('.spec.replicas')), ['spec', 'replicas'])
  assert.equal(fieldNames(parseJsonPath('.spec.list[0]')), undefined)
})
