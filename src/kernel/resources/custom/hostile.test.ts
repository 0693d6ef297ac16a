import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Json } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import { compileCustom } from './codec.ts'
import { validateCustomResourceDefinition } from './crd-validation.ts'
import { crdOf, messages, objectOf, schemaOf, widget } from './fixtures.ts'
import { compilePattern } from './pattern.ts'
import { parseSchema } from './schema-parse.ts'

const errors = (schema: object): string[] => validateCustomResourceDefinition(crdOf(schema)).map(fieldErrorMessage)

test('expressions that explode in a backtracking engine', () => {
  const value = `${'a'.repeat(50_000)}!`
  for (const pattern of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '(x+x+)+y', '^(.*?,){11}P', '((((a?)*)*)*)*$b'])
    assert.equal(messages(schemaOf(objectOf({ s: { type: 'string', pattern } })), { s: value }).length, 1, pattern)
})

test('expressions that explode when they are compiled', () => {
  for (const pattern of [
    '(a{1000}){1000}',
    'a{1001}',
    `${'('.repeat(5000)}a${')'.repeat(5000)}`,
    'a'.repeat(20_000),
    '(((a{1,30}){1,30}){1,30})',
    '(?:a{100}){10}'.repeat(30),
  ])
    assert.ok('error' in compilePattern(pattern), pattern.slice(0, 40))
})

test('a costly expression is not run on a great value', () => {
  const pattern = compilePattern('(a|b|c){0,900}x')
  assert.ok('match' in pattern)
  assert.equal(pattern.match('a'.repeat(2_000_000)), 'too-long')
})

test('schemas that are too deep, or too many', () => {
  let deep: object = { type: 'string' }
  for (let i = 0; i < 10_000; i++) deep = objectOf({ x: deep })
  assert.match(errors(deep)[0]!, /nested more than 128 levels deep/)
  const wide = objectOf(Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`f${i}`, { type: 'string' }])))
  assert.match(errors(wide)[0]!, /more than 50000 parts/)
  let junctors: object = { minLength: 1 }
  for (let i = 0; i < 10_000; i++) junctors = { allOf: [junctors] }
  assert.match(errors(objectOf({ s: { type: 'string', ...junctors } }))[0]!, /nested more than 128 levels deep/)
})

test('a schema as deep as is allowed works', () => {
  let schema: object = { type: 'string' }
  let value: unknown = 1
  for (let i = 0; i < 120; i++) {
    schema = objectOf({ x: schema })
    value = { x: value }
  }
  assert.deepEqual(errors(objectOf({ spec: schema })), [])
  assert.match(messages(schemaOf(schema), value)[0]!, /must be of type string: "integer"$/)
})

test('junctors inside junctors end', () => {
  let schema: object = { required: ['b'] }
  for (let i = 0; i < 40; i++) schema = { anyOf: [schema, schema] }
  const { errors: found } = parseSchema(objectOf({ spec: { ...objectOf({ b: { type: 'string' } }), ...schema } }), 's')
  assert.match(found[0]!.detail, /more than 50000 parts/)
})

test('validating a great list stops with its errors bounded', () => {
  const schema = schemaOf(objectOf({ l: { type: 'array', items: { type: 'string' } } }))
  assert.ok(messages(schema, { l: new Array(500_000).fill(1) }).length <= 201)
})

test('an object visits each of many alternatives only so often', () => {
  const anyOf = Array.from({ length: 2000 }, (_, i) => ({ maximum: -i - 1 }))
  const schema = schemaOf(objectOf({ l: { type: 'array', items: { type: 'integer', anyOf } } }))
  assert.ok(messages(schema, { l: new Array(100_000).fill(0) }).length > 0)
})

test('a schema of any JSON is refused or read, never a crash', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (json) => {
      assert.ok(Array.isArray(validateCustomResourceDefinition(crdOf(json as object))))
    }),
  )
})

test('keywords of any JSON are refused or read, never a crash', () => {
  const keyword = fc.constantFrom(
    'type',
    'properties',
    'items',
    'additionalProperties',
    'anyOf',
    'not',
    'enum',
    'default',
    'pattern',
    'format',
    'nullable',
    'required',
    'minLength',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
    'x-kubernetes-validations',
    'x-kubernetes-int-or-string',
    'x-kubernetes-embedded-resource',
  )
  const { schema } = fc.letrec((tie) => ({
    schema: fc.dictionary(
      keyword,
      fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom<Json>('object', 'string', 'array', 'map', true, 1, null),
        tie('schema'),
        fc.array(tie('schema'), { maxLength: 2 }),
      ),
      { maxKeys: 5 },
    ),
  }))
  fc.assert(
    fc.property(schema, fc.jsonValue({ maxDepth: 4 }), (s, value) => {
      const crd = crdOf({ type: 'object', properties: { spec: s } })
      if (validateCustomResourceDefinition(crd).length > 0) return
      const codec = compileCustom(schemaOf(s as object), { kind: 'Widget', version: 'v1' })
      const object = widget(value) as never
      codec.check(object, true)
      codec.applyDefaults(object)
      assert.ok(Array.isArray(codec.validate(object)))
    }),
    { numRuns: 2000 },
  )
})
