import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { decodeYaml } from './yaml.ts'

const decode = (text: string): Json => decodeYaml(Buffer.from(text)).value
const messageOf = (text: string): string => {
  try {
    decode(text)
  } catch (error) {
    assert.ok(error instanceof ApiError)
    assert.equal(error.code, 400)
    return error.message
  }
  throw new Error('the document was accepted')
}

test('scalars are read as YAML 1.1', () => {
  const rows: [string, unknown][] = [
    ['yes', true],
    ['Off', false],
    ['"yes"', 'yes'],
    ['true', true],
    ['0777', 511],
    ['0o17', 15],
    ['0x1F', 31],
    ['0b11', 3],
    ['1_000', 1000],
    ['-5', -5],
    ['0', 0],
    ['08', 8],
    ['1.5e3', 1500],
    ['.5', 0.5],
    ['2024-01-02T03:04:05Z', '2024-01-02T03:04:05Z'],
    ['2024-01-02', '2024-01-02'],
    ['~', null],
    ['', null],
    ['1.2.3', '1.2.3'],
    ['12:30', '12:30'],
    ['100m', '100m'],
    ['!!str 5', '5'],
    ['!!binary aGk=', 'hi'],
    ['{"a": 1, "b": [true, null]}', { a: 1, b: [true, null] }],
  ]
  for (const [text, expected] of rows) assert.deepEqual(decode(text), expected, text)
  assert.equal(JSON.stringify(decode('a: 9007199254740993')), '{"a":9007199254740993}')
})

test('anchors, aliases and merge keys', () => {
  assert.deepEqual(decode('a: &x {k: 1, l: 2}\nb: *x\nc: {<<: *x, l: 3}\nd: {<<: [*x, {m: 4}]}'), {
    a: { k: 1, l: 2 },
    b: { k: 1, l: 2 },
    c: { k: 1, l: 3 },
    d: { k: 1, l: 2, m: 4 },
  })
  const shared = decode('a: &x {k: 1}\nb: *x') as { a: unknown; b: unknown }
  assert.notEqual(shared.a, shared.b)
})

test('a repeated key is named with its line; the last one wins', () => {
  const decoded = decodeYaml(Buffer.from('metadata:\n  name: a\n  "name": b\n'))
  assert.deepEqual(decoded.value, { metadata: { name: 'b' } })
  assert.deepEqual(decoded.duplicates, ['yaml: unmarshal errors:\n  line 3: key "name" already set in map'])
})

test('bad documents are refused and not quoted', () => {
  const rows: [string, RegExp][] = [
    ['a: 1\n---\nb: 2\n', /single document/],
    ['a: [secret', /^yaml: line \d+: /],
    ['a: b: secret', /^yaml: line 1: /],
    ['a: !!js/function "secret"', /unknown/],
    ['a: *secret', /unidentified alias$/],
    ['a: *se"secret', /unidentified alias$/],
    ['a: !secret', /unknown tag$/],
    ['a: !secret!x y', /undeclared tag handle$/],
    ['a: !<se:secret> y', /unknown tag$/],
    ['a: .inf', /cannot be written as JSON/],
    ['__proto__: {polluted: 1}', /"__proto__" is not allowed/],
    ['[\n'.repeat(5000), /maxDepth|too deep/],
    ['- '.repeat(5000), /maxDepth|too deep/],
    ['\t- a', /^yaml: /],
  ]
  for (const [text, expected] of rows) {
    const message = messageOf(text)
    assert.match(message, expected)
    assert.ok(!message.includes('secret'), message)
  }
  assert.equal(({} as { polluted?: number }).polluted, undefined)
})

test('alias bombs are refused', () => {
  const levels = Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${Array(10).fill(i === 0 ? 'x' : `*a${i - 1}`)}]`)
  assert.match(messageOf(levels.join('\n')), /excessive aliasing/)
  assert.match(messageOf(`a: &a ${'x'.repeat(500_000)}\nb: [${Array(90).fill('*a')}]`), /excessive aliasing/)
  const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`)
  assert.match(messageOf(`a: &a {${keys}}\nb: {<<: [${Array(20_000).fill('*a')}]}`), /excessive aliasing/)
})

test('JSON is YAML', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = JSON.stringify(value)
      if (!text.includes('__proto__')) assert.equal(JSON.stringify(decode(text)), JSON.stringify(JSON.parse(text)))
    }),
  )
})

test('random text is read or refused with 400', () => {
  const alphabet = fc.constantFrom(
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a',
    '<<: ',
    '!!',
    '"',
    '|',
    '0',
    ',',
  )
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 30 }), (parts) => {
      try {
        decode(parts.join(''))
      } catch (error) {
        assert.ok(error instanceof ApiError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})
