import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AuditLogReader } from './audit-log-reader.ts'

function readAll(chunks: readonly (string | Buffer)[], maxLineBytes?: number): { events: unknown[]; broken: string[] } {
  const events: unknown[] = []
  const broken: string[] = []
  const reader = new AuditLogReader(
    { event: (value, line) => events.push([line, value]), broken: (line, what) => broken.push(`${line}: ${what}`) },
    maxLineBytes,
  )
  for (const chunk of chunks) reader.push(Buffer.from(chunk))
  reader.end()
  return { events, broken }
}

test('lines, lists, documents, and what is broken', () => {
  const cases: [text: string, events: unknown[], broken: string[]][] = [
    ['', [], []],
    [
      '{"a":1}\n{"a":2}\n',
      [
        [1, { a: 1 }],
        [2, { a: 2 }],
      ],
      [],
    ],
    [
      '{"a":1}\r\n\r\n{"a":2}',
      [
        [1, { a: 1 }],
        [3, { a: 2 }],
      ],
      [],
    ],
    ['\ufeff{"a":1}\n', [[1, { a: 1 }]], []],
    [
      '{"a":1}\n{"secret":"hunter2\n{"a":2}\n',
      [
        [1, { a: 1 }],
        [3, { a: 2 }],
      ],
      ['2: it is not JSON'],
    ],
    [
      '{"kind":"EventList","items":[{"a":1},{"a":2}]}\n{"a":3}',
      [
        [1, { a: 1 }],
        [1, { a: 2 }],
        [2, { a: 3 }],
      ],
      [],
    ],
    ['\n{\n "kind": "EventList",\n "items": [\n  {"a":1}\n ]\n}\n', [[2, { a: 1 }]], []],
    [
      '[\n{"a":1},\n{"a":2}\n]',
      [
        [1, { a: 1 }],
        [1, { a: 2 }],
      ],
      [],
    ],
    ['{\n "a": \n', [], ['1: it is not JSON']],
    [
      `{"a":1}\n"${'x'.repeat(100)}"\n{"a":2}\n`,
      [
        [1, { a: 1 }],
        [3, { a: 2 }],
      ],
      ['2: it is longer than 64 bytes'],
    ],
  ]
  for (const [text, events, broken] of cases) {
    assert.deepEqual(readAll([text], 64), { events, broken }, JSON.stringify(text))
    assert.deepEqual(
      readAll(
        [...Buffer.from(text)].map((byte) => Buffer.of(byte)),
        64,
      ),
      { events, broken },
    )
  }
  assert.deepEqual(readAll(['['.repeat(10_000_000)]).broken, ['1: it is not JSON'])
})

test('property: where the pieces are cut has no influence', () => {
  fc.assert(
    fc.property(fc.array(fc.json(), { maxLength: 6 }), fc.array(fc.nat(200), { maxLength: 5 }), (values, cuts) => {
      const bytes = Buffer.from(values.join('\n'))
      const at = [0, ...cuts.map((c) => Math.min(c, bytes.length)).sort((a, b) => a - b), bytes.length]
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
      assert.deepEqual(readAll(chunks), readAll([bytes]))
    }),
  )
})
