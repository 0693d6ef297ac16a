import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { BitmapAllocator, staticBand, staticPortBand } from './allocator.ts'

describe('BitmapAllocator', () => {
  test('agrees with a set, whatever is taken and released', () => {
    const operation = fc.oneof(
      fc.record({ op: fc.constant('take' as const), n: fc.integer({ min: -2, max: 102 }) }),
      fc.record({ op: fc.constant('release' as const), n: fc.integer({ min: -2, max: 102 }) }),
      fc.record({ op: fc.constant('find' as const), n: fc.integer({ min: 0, max: 999 }) }),
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 0, max: 40 }),
        fc.array(operation),
        (size, band, operations) => {
          const bitmap = new BitmapAllocator(size, band)
          const set = new Set<number>()
          for (const { op, n } of operations) {
            if (op === 'take') {
              const free = n >= 0 && n < size && !set.has(n)
              assert.equal(bitmap.take(n), free)
              if (free) set.add(n)
            } else if (op === 'release') {
              bitmap.release(n)
              set.delete(n)
            } else {
              const found = bitmap.findFree(() => n / 1000)
              if (set.size === size) assert.equal(found, undefined)
              else assert.ok(found !== undefined && found >= 0 && found < size && !set.has(found))
            }
            assert.equal(bitmap.taken, set.size)
          }
        },
      ),
    )
  })

  test('gives out every number, the lower band last', () => {
    const bitmap = new BitmapAllocator(100, 20)
    let seed = 1
    const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647
    const order: number[] = []
    for (let n = bitmap.findFree(random); n !== undefined; n = bitmap.findFree(random)) {
      bitmap.take(n)
      order.push(n)
    }
    assert.equal(new Set(order).size, 100)
    assert.ok(order.slice(0, 80).every((n) => n >= 20))
    assert.ok(order.slice(80).every((n) => n < 20))
  })

  test('bands as Kubernetes has them', () => {
    assert.deepEqual([254, 4094, 1_048_574, 16, 6].map(staticBand), [16, 255, 256, 0, 0])
    assert.deepEqual([2768, 16, 100_000].map(staticPortBand), [86, 0, 128])
  })
})
