import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ApiError } from '../api/status.ts'
import { decodeJson, int64ToJson, isRawJson, MAX_DEPTH } from './json.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const messageOf = (input: Uint8Array): string => {
  try {
    decodeJson(input)
  } catch (error) {
    assert.ok(error instanceof ApiError)
    assert.equal(error.code, 400)
    return error.message
  }
  throw new Error('the document was accepted')
}

test('duplicates are named by path, once each', () => {
  const rows: [string, string[]][] = [
    ['{"a":1,"b":{"a":1}}', []],
    ['{"a":1,"a":2}', ['duplicate field "a"']],
    ['{"metadata":{"name":"x","name":"y"}}', ['duplicate field "metadata.name"']],
    ['{"l":[{},{"b":1,"b":2,"b":3}]}', ['duplicate field "l[1].b"']],
    ['{"a":"b\\":1,\\"a"}', []],
    ['{"a":1,"\\u0061":2}', ['duplicate field "a"']],
    ['{"a\\\\":1,"b":{"c":2,"c":3},"a\\\\":"}"}', ['duplicate field "b.c"', 'duplicate field "a\\\\"']],
    ['[{"a":1,"a":1}]', ['duplicate field "[0].a"']],
  ]
  for (const [text, duplicates] of rows) assert.deepEqual(decodeJson(bytes(text)).duplicates, duplicates, text)
  assert.deepEqual(decodeJson(bytes('{"a":1,"a":2}')).value, { a: 2 }, 'the last one wins')
})

test('bad documents are refused with a place and without their text', () => {
  const rows: [Uint8Array, RegExp][] = [
    [bytes(''), /unexpected end of JSON input/],
    [bytes('{'), /unexpected end of JSON input/],
    [bytes('{"a":"secret'), /unexpected end of JSON input/],
    [bytes('{"a":1} x'), /invalid character 'x' after top-level value \(offset 8\)/],
    [bytes('{"a":1}{}'), /after top-level value/],
    [bytes('{a:1}'), /invalid character 'a' looking for beginning of object key string/],
    [bytes('{"a":1,}'), /object key string/],
    [bytes('[1 2]'), /invalid character '2' after array element/],
    [bytes('{"a" 1}'), /after object key/],
    [bytes('nul'), /looking for beginning of value/],
    [bytes('01'), /after top-level value/],
    [bytes('{"a":"\u0000"}'), /invalid character '\\u0000' in string literal/],
    [bytes('{"a":"\\x"}'), /in string escape code/],
    [bytes('\u0000'), /invalid character/],
    [bytes('{"a":1e400}'), /float64/],
    [bytes('{"__proto__":{"polluted":true}}'), /"__proto__" is not allowed/],
    [bytes('{"\\u005f_proto__":{}}'), /"__proto__" is not allowed/],
    [Uint8Array.of(0x22, 0xff, 0x22), /not valid UTF-8/],
    [Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), /not valid UTF-8/],
  ]
  for (const [input, expected] of rows) {
    const message = messageOf(input)
    assert.match(message, expected)
    assert.ok(!message.includes('secret'))
  }
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
})

test('depth is bounded before anything recurses', () => {
  for (const depth of [MAX_DEPTH + 1, 10_000, 1_000_000])
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      assert.match(messageOf(bytes(open.repeat(depth))), /exceeded max depth/)
      assert.match(messageOf(bytes(`${open.repeat(depth)}1${close.repeat(depth)}`)), /exceeded max depth/)
    }
  decodeJson(bytes('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH)))
  const deep = `${'{"a":'.repeat(MAX_DEPTH)}1${'}'.repeat(MAX_DEPTH)}`
  assert.deepEqual(decodeJson(bytes(deep)).duplicates, [])
  assert.equal(decodeJson(bytes(deep.replace('"a":1', '"a":0,"a":1'))).duplicates.length, 1)
  // Brackets in strings are no levels, and a long string needs no stack.
  decodeJson(bytes(JSON.stringify({ a: '{['.repeat(100_000) })))
  assert.equal(decodeJson(bytes(`{"a":"${'\\"'.repeat(500_000)}","a":1}`)).duplicates.length, 1)
})

test('integers of the int64 range stay exact', () => {
  const rows: [string, string][] = [
    ['9007199254740993', '9007199254740993'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['9223372036854775807', '9223372036854775807'],
    ['9007199254740991', '9007199254740991'],
    ['0.1234567890123456', '0.1234567890123456'],
    ['9223372036854775808', '9223372036854776000'],
  ]
  for (const [input, output] of rows)
    assert.equal(JSON.stringify(decodeJson(bytes(`{"a":[${input}]}`)).value), `{"a":[${output}]}`)
  const { value } = decodeJson(bytes('{"a":9007199254740993,"b":"9007199254740993"}'))
  const object = value as { a: unknown; b: unknown }
  assert.ok(isRawJson(object.a))
  assert.equal(object.a.rawJSON, '9007199254740993')
  assert.equal(object.b, '9007199254740993')
  assert.equal(int64ToJson(5n), 5)
  assert.equal(JSON.stringify(int64ToJson(-(2n ** 63n))), '-9223372036854775808')
})

test('every document that JSON.stringify writes is read back', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value)
      if (text.includes('__proto__')) return
      const decoded = decodeJson(bytes(text))
      assert.deepEqual(decoded.value, JSON.parse(text))
      assert.deepEqual(decoded.duplicates, [])
    }),
  )
})

test('accepts exactly what JSON.parse accepts, and otherwise answers 400', () => {
  const alphabet = fc.constantFrom(...'{}[]:,"\\01ae-.tn \u0000é'.split(''), 'true', '"a":', '{"a":1', 'null')
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 20 }), (parts) => {
      const text = parts.join('')
      let expected: unknown
      try {
        expected = JSON.parse(text)
      } catch {
        assert.match(messageOf(bytes(text)), /^json parse error: (invalid character|unexpected end)/)
        return
      }
      assert.equal(JSON.stringify(decodeJson(bytes(text)).value), JSON.stringify(expected))
    }),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
      try {
        decodeJson(input)
      } catch (error) {
        assert.ok(error instanceof ApiError)
      }
    }),
    { numRuns: 2000 },
  )
})
