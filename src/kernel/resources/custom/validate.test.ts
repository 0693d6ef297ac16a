import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { messages, objectOf, schemaOf } from './fixtures.ts'

const string = { type: 'string' }
const integer = { type: 'integer' }
type Row = [name: string, schema: object, value: unknown, ...errors: string[]]

const nil = '<nil>: Invalid value: "":'
const rows: Row[] = [
  ['string', string, 'x'],
  ['wrong type', integer, 'x', 'spec.f: Invalid value: "string": spec.f in body must be of type integer: "string"'],
  ['fraction', integer, 1.5, 'spec.f: Invalid value: "number": spec.f in body must be of type integer: "number"'],
  ['integer as number', { type: 'number' }, 1],
  ['null', string, null, 'spec.f: Invalid value: "null": spec.f in body must be of type string: "null"'],
  ['nullable', { ...string, nullable: true, minLength: 3 }, null],
  [
    'list for object',
    { type: 'object' },
    [],
    'spec.f: Invalid value: "array": spec.f in body must be of type object: "array"',
  ],
  ['enum', { ...string, enum: ['a', 'b'] }, 'c', 'spec.f: Unsupported value: "c": supported values: "a", "b"'],
  ['enum of numbers', { ...integer, enum: [1, 2] }, 2.0],
  [
    'enum without null',
    { ...string, nullable: true, enum: ['a'] },
    null,
    'spec.f: Unsupported value: null: supported values: "a"',
  ],
  [
    'pattern',
    { ...string, pattern: '^[a-z]+$' },
    'A',
    `spec.f: Invalid value: "A": spec.f in body should match '^[a-z]+$'`,
  ],
  ['pattern is unanchored', { ...string, pattern: 'b' }, 'abc'],
  ['pattern in RE2 syntax', { ...string, pattern: '^\\pL+\\z' }, 'äöü'],
  ['maxLength counts code points', { ...string, maxLength: 2 }, '😀😀'],
  ['maxLength', { ...string, maxLength: 2 }, 'abc', 'spec.f: Too long: may not be more than 2 bytes'],
  [
    'minLength',
    { ...string, minLength: 1 },
    '',
    'spec.f: Invalid value: "": spec.f in body should be at least 1 chars long',
  ],
  [
    'minLength counts code points',
    { ...string, minLength: 2 },
    '😀',
    'spec.f: Invalid value: "😀": spec.f in body should be at least 2 chars long',
  ],
  [
    'minimum',
    { ...integer, minimum: 1 },
    0,
    'spec.f: Invalid value: 0: spec.f in body should be greater than or equal to 1',
  ],
  [
    'exclusive',
    { ...integer, minimum: 1, exclusiveMinimum: true },
    1,
    'spec.f: Invalid value: 1: spec.f in body should be greater than 1',
  ],
  [
    'maximum',
    { ...integer, maximum: 9, exclusiveMaximum: true },
    9,
    'spec.f: Invalid value: 9: spec.f in body should be less than 9',
  ],
  ['multiple', { type: 'number', multipleOf: 0.1 }, 0.3],
  [
    'no multiple',
    { ...integer, multipleOf: 3 },
    4,
    'spec.f: Invalid value: 4: spec.f in body should be a multiple of 3',
  ],
  [
    'int32',
    { ...integer, format: 'int32' },
    2 ** 31,
    `${nil} Checked value must be of type integer with format int32 in spec.f`,
  ],
  ['int64', integer, 2 ** 63, `${nil} Checked value must be of type integer (default format) in spec.f`],
  [
    'items',
    { type: 'array', items: integer },
    [1, 'x'],
    'spec.f[1]: Invalid value: "string": spec.f[1] in body must be of type integer: "string"',
  ],
  [
    'minItems',
    { type: 'array', items: integer, minItems: 1 },
    [],
    'spec.f: Invalid value: 0: spec.f in body should have at least 1 items',
  ],
  [
    'maxItems',
    { type: 'array', items: integer, maxItems: 1 },
    [1, 2],
    'spec.f: Too many: 2: must have at most 1 items',
  ],
  ['required', objectOf({ a: string }, { required: ['a'] }), {}, 'spec.f.a: Required value'],
  [
    'map values',
    { type: 'object', additionalProperties: integer },
    { 'a.b': 'x' },
    'spec.f.a.b: Invalid value: "string": spec.f.a.b in body must be of type integer: "string"',
  ],
  [
    'minProperties',
    { type: 'object', additionalProperties: integer, minProperties: 1 },
    {},
    'spec.f: Invalid value: 0: spec.f in body should have at least 1 properties',
  ],
  [
    'maxProperties',
    { type: 'object', additionalProperties: integer, maxProperties: 1 },
    { a: 1, b: 1 },
    'spec.f: Too many: 2: must have at most 1 items',
  ],
  [
    'closed object',
    objectOf({ a: string }, { additionalProperties: false }),
    { b: 1 },
    `${nil} spec.f.b in body is a forbidden property`,
  ],
  ['int or string', { 'x-kubernetes-int-or-string': true }, '50%'],
  [
    'int or string or not',
    { 'x-kubernetes-int-or-string': true },
    true,
    'spec.f: Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"',
  ],
  [
    'set',
    { type: 'array', items: string, 'x-kubernetes-list-type': 'set' },
    ['a', 'b', 'a'],
    'spec.f[2]: Duplicate value: "a"',
  ],
  [
    'set of numbers',
    { type: 'array', items: { type: 'number' }, 'x-kubernetes-list-type': 'set' },
    [1, 1.5, 1.0],
    'spec.f[2]: Duplicate value: 1',
  ],
  [
    'map list with a default key',
    {
      type: 'array',
      items: objectOf({ port: integer, protocol: { ...string, default: 'TCP' } }),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
    },
    [{ port: 1, protocol: 'TCP' }, { port: 1, protocol: 'UDP' }, { port: 1 }],
    'spec.f[2]: Duplicate value: {"port":1,"protocol":"TCP"}',
  ],
  [
    'date-time',
    { ...string, format: 'date-time' },
    'today',
    'spec.f: Invalid value: "today": spec.f in body must be of type date-time: "today"',
  ],
  ['unknown format', { ...string, format: 'whatever' }, 'x'],
  [
    'fields named like the prototype',
    objectOf({ constructor: string }, { required: ['constructor'] }),
    {},
    'spec.f.constructor: Required value',
  ],
]

for (const [name, schema, value, ...want] of rows)
  test(name, () => assert.deepEqual(messages(schemaOf(objectOf({ f: schema })), { f: value }), want))

describe('junctors', () => {
  const choice = (more: object): ReturnType<typeof schemaOf> =>
    schemaOf(objectOf({ a: string, b: string, n: integer }, more))
  const need = (field: string): object => ({ required: [field] })

  test('anyOf', () => {
    const schema = choice({ anyOf: [need('a'), need('b')] })
    assert.deepEqual(messages(schema, { b: 'x' }), [])
    assert.deepEqual(
      messages(schema, {}),
      [
        `${nil} "spec" must validate at least one schema (anyOf)`,
        'spec.a: Required value',
        '<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
      ].slice(0, 2),
    )
  })
  test('oneOf', () => {
    const schema = choice({ oneOf: [need('a'), need('b')] })
    assert.deepEqual(messages(schema, { a: 'x' }), [])
    assert.deepEqual(messages(schema, { a: 'x', b: 'x' }), [
      `${nil} "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives`,
    ])
    assert.deepEqual(messages(schema, {}), [
      `${nil} "spec" must validate one and only one schema (oneOf). Found none valid`,
      'spec.a: Required value',
    ])
  })
  test('allOf', () => {
    const schema = choice({ allOf: [need('a'), { properties: { n: { minimum: 5 } } }] })
    assert.deepEqual(messages(schema, { a: 'x', n: 5 }), [])
    assert.deepEqual(messages(schema, { n: 1 }), [
      'spec.a: Required value',
      'spec.n: Invalid value: 1: spec.n in body should be greater than or equal to 5',
      `${nil} "spec" must validate all the schemas (allOf). None validated`,
    ])
  })
  test('not', () => {
    const schema = choice({ not: { properties: { a: { enum: ['bad'] } }, required: ['a'] } })
    assert.deepEqual(messages(schema, {}), [])
    assert.deepEqual(messages(schema, { a: 'bad' }), [`${nil} "spec" must not validate the schema (not)`])
  })
})

describe('updates let pass what was wrong before and has not changed', () => {
  const schema = schemaOf(
    objectOf({
      a: { ...string, maxLength: 1 },
      b: string,
      list: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: objectOf({ k: string, v: { ...integer, maximum: 1 } }, { required: ['k'] }),
      },
      plain: { type: 'array', items: { ...integer, maximum: 1 } },
    }),
  )
  const tooLong = 'spec.a: Too long: may not be more than 1 bytes'
  test('an unchanged field', () => {
    assert.deepEqual(messages(schema, { a: 'xx', b: 'new' }, { a: 'xx', b: 'old' }), [])
    assert.deepEqual(messages(schema, { a: 'yy' }, { a: 'xx' }), [tooLong])
    assert.deepEqual(messages(schema, { a: 'xx' }, {}), [tooLong])
  })
  test('an unchanged item of a map list, wherever it stands', () => {
    const bad = { k: 'x', v: 9 }
    assert.deepEqual(messages(schema, { list: [{ k: 'new' }, bad] }, { list: [bad] }), [])
    assert.equal(messages(schema, { list: [{ k: 'y', v: 9 }] }, { list: [bad] }).length, 1)
  })
  test('items of other lists cannot be told apart', () => {
    assert.deepEqual(messages(schema, { plain: [9], b: 'x' }, { plain: [9] }), [])
    assert.equal(messages(schema, { plain: [0, 9] }, { plain: [9] }).length, 1)
  })
})

describe('embedded resources', () => {
  const schema = schemaOf(
    objectOf({
      template: {
        type: 'object',
        'x-kubernetes-embedded-resource': true,
        'x-kubernetes-preserve-unknown-fields': true,
      },
    }),
  )
  const about = (template: unknown): string[] => messages(schema, { template })
  test('must name their kind', () => {
    assert.deepEqual(about({ apiVersion: 'v1', kind: 'Pod', spec: { anything: 1 } }), [])
    assert.deepEqual(about({}), [
      'spec.template.apiVersion: Required value: must not be empty',
      'spec.template.kind: Required value: must not be empty',
    ])
    assert.match(
      about({ apiVersion: 'a/b/c', kind: 'Po d' }).join(),
      /unexpected GroupVersion string: a\/b\/c.*may have mixed case/,
    )
  })
  test('have proper metadata', () => {
    const pod = { apiVersion: 'v1', kind: 'Pod' }
    assert.deepEqual(about({ ...pod, metadata: { labels: { a: 'b' }, namespace: 'x' } }), [])
    assert.match(
      about({ ...pod, metadata: { labels: { a: 1 } } })[0]!,
      /^spec.template.metadata: Invalid value: .*ObjectMeta\.labels of type string/,
    )
    assert.match(
      about({ ...pod, metadata: { labels: { '/': 'b' } } })[0]!,
      /^spec.template.metadata.labels: Invalid value: "\/": prefix part must be non-empty/,
    )
  })
})
