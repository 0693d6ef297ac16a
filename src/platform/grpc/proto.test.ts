import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  bool,
  bytes,
  embedded,
  integer,
  type Message,
  message,
  ProtoError,
  repeatedBytes,
  repeatedInteger,
  repeatedMessage,
  repeatedString,
  string,
  stringMap,
} from './proto.ts'

type Sample = {
  id: number
  name: string
  on: boolean
  raw: Uint8Array
  child: Sample | undefined
  list: Sample[]
  words: string[]
  blobs: Uint8Array[]
  numbers: number[]
  labels: Record<string, string>
}

const sample: Message<Sample> = message({
  id: integer(1),
  name: string(2),
  on: bool(3),
  raw: bytes(4),
  child: embedded(5, () => sample),
  list: repeatedMessage(6, () => sample),
  words: repeatedString(7),
  blobs: repeatedBytes(8),
  numbers: repeatedInteger(16),
  labels: stringMap(2047),
})

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('protobuf', () => {
  // Bytes worked out by hand from the encoding guide.
  const rows: [string, Partial<Sample>, string][] = [
    ['nothing', {}, ''],
    ['defaults are not sent', { id: 0, name: '', on: false, raw: new Uint8Array(0), numbers: [] }, ''],
    ['small integer', { id: 150 }, '08 9601'],
    ['negative integer', { id: -2 }, '08 feffffffffffffffff01'],
    ['2^53 - 1', { id: Number.MAX_SAFE_INTEGER }, '08 ffffffffffffff0f'],
    ['string', { name: 'testing' }, '12 07 74657374696e67'],
    ['bool', { on: true }, '18 01'],
    ['bytes', { raw: hex('00ff') }, '22 02 00ff'],
    ['empty message', { child: sample.decode(hex('')) }, '2a 00'],
    ['embedded', { child: { ...sample.decode(hex('')), id: 150 } }, '2a 03 089601'],
    ['repeated strings, empty ones too', { words: ['a', '', 'b'] }, '3a 01 61 3a 00 3a 01 62'],
    ['packed', { numbers: [3, 270, 86942] }, '8201 06 03 8e02 9ea705'],
    ['map', { labels: { b: '2', a: '' } }, 'fa7f 03 0a0161 fa7f 06 0a0162 120132'],
    ['order of numbers', { on: true, id: 1 }, '08 01 18 01'],
  ]
  for (const [name, value, expected] of rows) {
    it(name, () => {
      assert.equal(sample.encode(value).toString('hex'), expected.replaceAll(' ', ''))
      const decoded = sample.decode(hex(expected))
      for (const [key, part] of Object.entries(value)) {
        const found = decoded[key as keyof Sample]
        const plain = (of: unknown): unknown => (of instanceof Uint8Array ? Buffer.from(of).toString('hex') : of)
        if (key === 'labels') assert.deepEqual({ ...(found as object) }, part)
        else assert.deepEqual(plain(found), plain(part))
      }
    })
  }

  it('reads unpacked numbers, skips unknown fields of every wire type, takes the last of a scalar', () => {
    assert.deepEqual(sample.decode(hex('8001 05 8001 06')).numbers, [5, 6])
    const unknown = hex('a006 01  a106 0102030405060708  a206 02 0000  a506 01020304  08 01 08 02')
    assert.equal(sample.decode(unknown).id, 2)
  })

  it('keeps __proto__ in a map as a plain key', () => {
    const labels = JSON.parse('{"__proto__":"x"}') as Record<string, string>
    const decoded = sample.decode(sample.encode({ labels })).labels
    assert.deepEqual(Object.entries(decoded), [['__proto__', 'x']])
  })

  const malformed: [string, string][] = [
    ['number cut short', '08 96'],
    ['number of eleven bytes', '08 ffffffffffffffffffffff01'],
    ['string beyond the end', '12 07 74'],
    ['length of 2^63', '12 ffffffffffffffff7f'],
    ['child beyond its parent', '2a 02 1205'],
    ['child with a field beyond it', '2a 02 0896 01'],
    ['wrong wire type', '0a 00'],
    ['group', '0b'],
    ['packed beyond its end', '8201 01 9601'],
    ['unknown fixed field beyond the end', 'a106 01'],
  ]
  for (const [name, input] of malformed) {
    it(`refuses: ${name}`, () => assert.throws(() => sample.decode(hex(input)), ProtoError))
  }

  it('refuses messages nested without end', () => {
    let nested = sample.encode({ id: 1 })
    for (let depth = 0; depth < 200; depth++) {
      const length = nested.length < 128 ? [nested.length] : [(nested.length & 0x7f) | 0x80, nested.length >> 7]
      nested = Buffer.concat([Buffer.from([0x2a, ...length]), nested])
    }
    assert.throws(() => sample.decode(nested), /nested too deep/)
  })

  it('refuses to send what is not an integer', () => {
    for (const id of [1.5, Number.NaN, 2 ** 60]) assert.throws(() => sample.encode({ id }), ProtoError)
  })

  it('decodes what it encodes', () => {
    const arbitrary = fc.record({
      id: fc.maxSafeInteger(),
      name: fc.string({ unit: 'grapheme' }),
      on: fc.boolean(),
      raw: fc.uint8Array({ maxLength: 3000 }).map((value) => Buffer.from(value)),
      words: fc.array(fc.string()),
      numbers: fc.array(fc.maxSafeInteger()),
    })
    fc.assert(
      fc.property(arbitrary, fc.array(arbitrary), (value, list) => {
        const empty = sample.decode(hex(''))
        const full = { ...empty, ...value, list: list.map((entry) => ({ ...empty, ...entry })) }
        const decoded = sample.decode(sample.encode(full))
        assert.deepEqual(JSON.parse(JSON.stringify(decoded)), JSON.parse(JSON.stringify(full)))
      }),
      { numRuns: 100 },
    )
  })

  it('answers only with ProtoError to arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (input) => {
        try {
          sample.decode(input)
        } catch (error) {
          assert.ok(error instanceof ProtoError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
