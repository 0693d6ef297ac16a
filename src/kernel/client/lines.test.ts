import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineTooLongError, lines } from './lines.ts'

async function collect(chunks: Iterable<Uint8Array>, max: number = 1000): Promise<string[]> {
  const found: string[] = []
  const source = (async function* () {
    yield* chunks
  })()
  for await (const line of lines(source, max)) found.push(line)
  return found
}

test('lines are the same, wherever the stream is cut, also within a character', async () => {
  const text = fc.array(
    fc.string({ unit: 'grapheme', minLength: 1 }).filter((s) => !/[\n\r]/.test(s)),
    { minLength: 1, maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), fc.boolean(), async (expected, size, ended) => {
      const bytes = Buffer.from(expected.join('\n') + (ended ? '\n' : ''))
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      )
      assert.deepEqual(await collect(chunks), expected)
    }),
    { numRuns: 100 },
  )
})

test('empty lines are skipped; a line without end is refused', async () => {
  assert.deepEqual(await collect([Buffer.from('a\n\n\r\nb')]), ['a', 'b'])
  const endless = Array.from({ length: 20 }, () => Buffer.alloc(100, 'x'))
  await assert.rejects(collect(endless), LineTooLongError)
})
