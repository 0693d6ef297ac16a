import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareElements, inOrder, keyElement } from './path-element.ts'

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' ', '"', '\\', '}', '!', '𐀀', '0') })
const element = fc.oneof(
  text.map((name) => keyElement([['name', name]])),
  fc.tuple(text, fc.integer()).map(([name, port]) =>
    keyElement([
      ['name', name],
      ['port', port],
    ]),
  ),
  fc.integer().map((port) => keyElement([['port', port]])),
  text.map((name) => `f:${name}`),
  fc.constant('.'),
)

test('elements come into Kubernetes’ order, whatever they are', () => {
  fc.assert(
    fc.property(fc.uniqueArray(element, { maxLength: 12 }), (elements) => {
      assert.deepEqual(inOrder([...elements]), [...elements].sort(compareElements))
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uniqueArray(text, { maxLength: 12 }), fc.boolean(), (names, dot) => {
      const elements = [...(dot ? ['.'] : []), ...names.map((name) => keyElement([['name', name]]))]
      assert.deepEqual(inOrder([...elements]), [...elements].sort(compareElements))
    }),
    { numRuns: 2000 },
  )
})

test('an array that is in order already is given back itself', () => {
  for (const elements of [['.', 'k:{"name":"a"}', 'k:{"name":"b"}'], ['f:a', 'f:b'], []])
    assert.equal(inOrder(elements), elements)
})
