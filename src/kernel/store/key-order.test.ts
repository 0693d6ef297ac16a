import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compareKeys, inRange, OrderedKeys } from './key-order.ts'

// Few characters, so that keys share prefixes; among them the border between surrogates and U+E000..U+FFFF.
const key = fc.string({
  unit: fc.constantFrom('a', 'b', '/', '\0', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '😀'),
  maxLength: 6,
})
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

describe('key order', () => {
  it('is that of UTF-8 bytes', () => {
    fc.assert(fc.property(key, key, (a, b) => assert.equal(Math.sign(compareKeys(a, b)), byBytes(a, b))))
  })

  it('keeps a set sorted through additions and deletions, and scans its ranges', () => {
    const change = fc.tuple(fc.boolean(), key)
    const range = fc.oneof(
      fc.record({ key }),
      fc.record({ key, end: key }),
      fc.record({ key, prefix: fc.constant(true) }),
    )
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), fc.array(range), (changes, ranges) => {
        const keys = new OrderedKeys()
        const model = new Set<string>()
        for (const [add, one] of changes) {
          if (!add) {
            keys.delete(one)
            model.delete(one)
          } else if (!model.has(one)) {
            keys.add(one)
            model.add(one)
          }
        }
        assert.equal(keys.size, model.size)
        for (const one of [{ key: '', prefix: true }, ...ranges]) {
          const found: string[] = []
          keys.scan(one, (each) => {
            found.push(each)
            return false
          })
          assert.deepEqual(found, [...model].filter((each) => inRange(one, each)).sort(byBytes))
        }
      }),
    )
  })

  it('holds many keys, in whatever order they come', () => {
    const name = (i: number): string => `/k/${String(i).padStart(6, '0')}`
    const sorted = Array.from({ length: 5000 }, (_, i) => name(i))
    const orders = [sorted, sorted.toReversed(), sorted.map((_, i) => name((i * 2741) % 5000))]
    for (const order of orders) {
      const keys = new OrderedKeys()
      for (const one of order) keys.add(one)
      for (let i = 0; i < 5000; i += 3) keys.delete(name(i))
      const found: string[] = []
      keys.scan({ key: '/k/', prefix: true }, (each) => {
        found.push(each)
        return found.length === 2000
      })
      assert.deepEqual(found, sorted.filter((_, i) => i % 3 !== 0).slice(0, 2000))
    }
  })
})
