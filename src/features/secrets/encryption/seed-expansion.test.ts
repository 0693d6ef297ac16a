import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeedExpansion } from './seed-expansion.ts'

const reference = (seed: Uint8Array, info: Uint8Array): Buffer =>
  createHmac('sha256', seed)
    .update(info)
    .update(Buffer.from([1]))
    .digest()

function expand(seed: Uint8Array, info: Uint8Array): Buffer {
  const out = Buffer.alloc(32)
  new SeedExpansion(seed).expand(info, out)
  return out
}

test('RFC 5869, test case 1: the first block of the output', () => {
  const seed = Buffer.from('077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5', 'hex')
  const info = Buffer.from('f0f1f2f3f4f5f6f7f8f9', 'hex')
  assert.equal(expand(seed, info).toString('hex'), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf')
})

test('agrees with node:crypto for every seed and info, also when several seeds take turns', () => {
  const seeds = fc.uint8Array({ minLength: 0, maxLength: 200 })
  const infos = fc.uint8Array({ minLength: 0, maxLength: 54 })
  fc.assert(
    fc.property(seeds, seeds, fc.array(infos, { minLength: 1, maxLength: 5 }), (one, two, list) => {
      const [a, b] = [new SeedExpansion(one), new SeedExpansion(two)]
      const out = Buffer.alloc(32)
      for (const info of list) {
        a.expand(info, out)
        assert.deepEqual(out, reference(one, info))
        b.expand(info, out)
        assert.deepEqual(out, reference(two, info))
      }
    }),
    { numRuns: 500 },
  )
})

test('refuses what does not fit one block', () => {
  assert.throws(() => expand(Buffer.alloc(32), Buffer.alloc(55)), RangeError)
})
