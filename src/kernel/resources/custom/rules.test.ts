import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fieldErrorMessage } from '../../api/status.ts'
import { validateCustomResourceDefinition } from './crd-validation.ts'
import { crdOf, messages, objectOf, schemaOf } from './fixtures.ts'

const string = { type: 'string' }
const integer = { type: 'integer' }
const fields = {
  s: string,
  n: integer,
  min: integer,
  d: { type: 'number' },
  b: { type: 'boolean' },
  // Loops over lists without bounds cost more than rules may.
  l: { type: 'array', items: { ...string, maxLength: 1000 }, maxItems: 100 },
  m: { type: 'object', additionalProperties: integer },
  o: objectOf({ x: integer }),
  items: {
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['k'],
    items: objectOf({ k: string, v: integer }, { required: ['k'] }),
  },
  ip: { 'x-kubernetes-int-or-string': true },
  namespace: string,
  'with-dash': string,
  t: { ...string, format: 'date-time' },
  wait: { ...string, format: 'duration' },
  bytes: { ...string, format: 'byte' },
  nothing: { ...integer, nullable: true },
  tmpl: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
}
const withRule = (rule: string | object, more: object = fields): object =>
  objectOf(more, { 'x-kubernetes-validations': [typeof rule === 'string' ? { rule } : rule] })
const failed = (rule: string): string => `spec: Invalid value: "object": failed rule: ${rule}`

const truths: [rule: string, value: object][] = [
  ['self.min <= self.n', { min: 1, n: 2 }],
  ['has(self.s) && !has(self.n)', { s: '' }],
  ['self.d > 1.4 && double(self.n) < self.d', { d: 1.5, n: 1 }],
  [
    'self.l.all(x, x.startsWith("a")) && self.l.exists(x, x == "ab") && self.l.exists_one(x, x == "ab")',
    { l: ['a', 'ab'] },
  ],
  ['self.l.map(x, size(x)) == [1, 2] && self.l.filter(x, size(x) > 1) == ["ab"]', { l: ['a', 'ab'] }],
  ['self.m["a"] == 1 && "b" in self.m && self.m.all(k, self.m[k] > 0)', { m: { a: 1, b: 2 } }],
  ['self.o == self.o && self.o != {"x": 1}.map(k, self.o)[0] == false', { o: { x: 1 } }],
  ['self.items.exists(i, i.k == "a" && i.v == 1)', { items: [{ k: 'a', v: 1 }] }],
  ['type(self.ip) == string ? self.ip == "50%" : self.ip == 5', { ip: 5 }],
  ['self.__namespace__ == "n" && self.with__dash__dash == "d"', { namespace: 'n', 'with-dash': 'd' }],
  ['self.t > timestamp("2024-01-01T00:00:00Z") && self.t.getFullYear() == 2025', { t: '2025-01-01T00:00:00Z' }],
  ['self.wait < duration("2h")', { wait: '1h30m' }],
  ['size(self.bytes) == 3', { bytes: 'YWJj' }],
  ['!has(self.nothing) || self.nothing == null || self.nothing > 1', { nothing: null }],
  [
    'self.tmpl.kind == "Pod" && self.tmpl.metadata.name == "p"',
    { tmpl: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } } },
  ],
  ['self.s.matches("^[a-z]+$") && self.s.find("[b-y]+") == "b" && self.s.findAll("[a-z]").size() == 3', { s: 'abz' }],
  ['self.s.replace("a", "b") == "bb" && self.s.charAt(0) == "a" && self.s.upperAscii() == "AB"', { s: 'ab' }],
  ['"%s has %d".format([dyn(self.s), dyn(self.n)]) == "x has 3"', { s: 'x', n: 3 }],
  ['self.l.isSorted() && [1, 2].sum() == 3 && [2, 1].min() == 1 && self.l.indexOf("b") == 1', { l: ['a', 'b'] }],
  ['sets.contains(self.l, ["a"]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2])', { l: ['a', 'b'] }],
  [
    'isURL(self.s) && url(self.s).getHostname() == "example.com" && url(self.s).getPort() == "80"',
    { s: 'http://example.com:80/a' },
  ],
  [
    'quantity(self.s).isGreaterThan(quantity("1Gi")) && quantity("1k").asInteger() == 1000 && isQuantity("x") == false',
    { s: '2Gi' },
  ],
  ['ip(self.s).family() == 4 && cidr("10.0.0.0/8").containsIP(self.s) && !isIP("10.0.0")', { s: '10.1.2.3' }],
  ['cidr("10.0.0.0/8").containsCIDR("10.1.0.0/16") && string(cidr("10.1.2.3/8").masked()) == "10.0.0.0/8"', {}],
  ['self.?s.orValue("none") == "none"', {}],
  ['cel.bind(x, self.n, x + x) == 4', { n: 2 }],
]

describe('rules that hold', () => {
  for (const [rule, value] of truths)
    test(rule, () => {
      assert.deepEqual(
        validateCustomResourceDefinition(crdOf(objectOf({ spec: withRule(rule) }))).map(fieldErrorMessage),
        [],
      )
      assert.deepEqual(messages(schemaOf(withRule(rule)), value), [])
    })
})

describe('rules that fail', () => {
  const say = (rule: object, value: object): string[] =>
    messages(schemaOf(withRule({ rule: 'self.n > 1', ...rule })), value)
  test('without a message', () => assert.deepEqual(say({}, { n: 1 }), [failed('self.n > 1')]))
  test('with one', () =>
    assert.deepEqual(say({ message: ' too small ' }, { n: 1 }), ['spec: Invalid value: "object": too small']))
  test('with an expression for it', () =>
    assert.deepEqual(say({ message: 'm', messageExpression: '"n is " + string(self.n)' }, { n: 1 }), [
      'spec: Invalid value: "object": n is 1',
    ]))
  test('with an expression that fails', () =>
    assert.deepEqual(say({ message: 'm', messageExpression: '"s is " + self.s' }, { n: 1 }), [
      'spec: Invalid value: "object": m',
    ]))
  test('with a reason and a path', () => {
    assert.deepEqual(say({ reason: 'FieldValueForbidden', fieldPath: '.n', message: 'm' }, { n: 1 }), [
      'spec.n: Forbidden: m',
    ])
    assert.deepEqual(say({ reason: 'FieldValueRequired', fieldPath: '.o.x', message: 'm' }, { n: 1 }), [
      'spec.o.x: Required value: m',
    ])
    assert.deepEqual(say({ reason: 'FieldValueDuplicate', message: 'm' }, { n: 1 }), [
      'spec: Duplicate value: "object": m',
    ])
  })
  test('because of an error', () =>
    assert.deepEqual(say({}, {}), ['spec: Invalid value: "object": No such key: n evaluating rule: self.n > 1']))
  test('are not run on an object whose types are wrong', () =>
    assert.match(say({}, { n: 'x' }).at(-1)!, /^<nil>: Invalid value: null: some validation rules were not checked/))
})

describe('transitions', () => {
  const item = objectOf(
    { k: string, v: integer },
    { required: ['k'], 'x-kubernetes-validations': [{ rule: 'self.v >= oldSelf.v' }] },
  )
  const schema = schemaOf(
    objectOf({
      s: { ...string, 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'immutable' }] },
      items: { ...fields.items, items: item },
      once: {
        ...string,
        'x-kubernetes-validations': [{ rule: 'oldSelf.hasValue() || self == "first"', optionalOldSelf: true }],
      },
      fixed: { ...integer, 'x-kubernetes-validations': [{ rule: 'self > 5' }] },
    }),
  )
  test('need something old', () => {
    assert.deepEqual(messages(schema, { s: 'a' }), [])
    assert.deepEqual(messages(schema, { s: 'a' }, {}), [])
    assert.deepEqual(messages(schema, { s: 'b' }, { s: 'a' }), ['spec.s: Invalid value: "string": immutable'])
  })
  test('find items by their keys', () => {
    const old = {
      items: [
        { k: 'a', v: 5 },
        { k: 'b', v: 1 },
      ],
    }
    assert.deepEqual(
      messages(
        schema,
        {
          items: [
            { k: 'b', v: 1 },
            { k: 'a', v: 6 },
            { k: 'new', v: 0 },
          ],
        },
        old,
      ),
      [],
    )
    assert.deepEqual(messages(schema, { items: [{ k: 'b', v: 0 }] }, old), [
      'spec.items[0]: Invalid value: "object": failed rule: self.v >= oldSelf.v',
    ])
  })
  test('may ask whether there is something old', () => {
    assert.deepEqual(messages(schema, { once: 'first' }), [])
    assert.equal(messages(schema, { once: 'second' }).length, 1)
    assert.deepEqual(messages(schema, { once: 'second' }, { once: 'first' }), [])
  })
  test('what has not changed is not judged again', () => {
    assert.deepEqual(messages(schema, { fixed: 1, s: 'x' }, { fixed: 1 }), [])
    assert.equal(messages(schema, { fixed: 2 }, { fixed: 1 }).length, 1)
  })
})

describe('definitions with rules', () => {
  const R = 'spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]'
  const about = (rule: object, more?: object): string[] =>
    validateCustomResourceDefinition(crdOf(objectOf({ spec: withRule(rule, more) }))).map(fieldErrorMessage)
  const rows: [string, object, RegExp][] = [
    ['empty', { rule: ' ' }, /\.rule: Required value: rule is not specified/],
    ['syntax', { rule: 'self.n >' }, /\.rule: Invalid value: .*compilation failed: /],
    ['no such field', { rule: 'self.nope > 1' }, /\.rule: .*compilation failed: .*nope/],
    ['wrong types', { rule: 'self.n + self.s == 1' }, /\.rule: .*compilation failed: .*no such overload/],
    ['no boolean', { rule: 'self.n' }, /\.rule: .*must evaluate to a bool/],
    [
      'message that is no text',
      { rule: 'true', messageExpression: 'self.n' },
      /\.messageExpression: .*must evaluate to a string/,
    ],
    [
      'line break without a message',
      { rule: 'self.n\n> 1' },
      /\.message: Required value: message must be specified if rule contains line breaks/,
    ],
    ['reason', { rule: 'true', reason: 'Because' }, /\.reason: Unsupported value: "Because"/],
    ['fieldPath', { rule: 'true', fieldPath: '.nope' }, /\.fieldPath: .*fieldPath must be a valid path/],
    [
      'optionalOldSelf without oldSelf',
      { rule: 'true', optionalOldSelf: true },
      /\.optionalOldSelf: .*may not be set if oldSelf is not used in rule/,
    ],
    ['function that is not there', { rule: 'self.s.explode()' }, /compilation failed/],
  ]
  for (const [name, rule, want] of rows)
    test(name, () => {
      const [error = '', ...more] = about(rule)
      assert.deepEqual(more, [])
      assert.ok(error.startsWith(R), error)
      assert.match(error, want)
    })

  test('oldSelf where items cannot be told apart', () => {
    const l = { type: 'array', items: { ...string, 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] } }
    assert.match(
      about({ rule: 'true' }, { l })[0]!,
      /oldSelf cannot be used on the uncorrelatable portion of the schema within spec.validation.openAPIV3Schema.properties\[spec\].properties\[l\]/,
    )
  })
  test('rules inside junctors are not structural', () => {
    const n = { ...integer, allOf: [{ 'x-kubernetes-validations': [{ rule: 'true' }] }] }
    assert.match(about({ rule: 'true' }, { n })[0]!, /must be empty to be structural/)
  })
})

describe('rules that cost too much stop', () => {
  const numbers = { l: { type: 'array', items: integer } }
  const great = { l: Array.from({ length: 5000 }, (_, i) => i) }
  const rows: [string, string][] = [
    ['nested loops', 'self.l.all(a, self.l.all(b, a >= 0 || b < 0))'],
    ['comparing all with all', 'self.l.all(a, self == self)'],
    [
      'doubling a text',
      `${Array.from({ length: 40 }, (_, i) => `cel.bind(x${i}, ${i === 0 ? '"aaaaaaaaaaaaaaaa"' : `x${i - 1} + x${i - 1}`}, `).join('')}size(x39) > 0${')'.repeat(40)}`,
    ],
    [
      'doubling a list',
      `${Array.from({ length: 30 }, (_, i) => `cel.bind(x${i}, ${i === 0 ? 'self.l' : `x${i - 1} + x${i - 1}`}, `).join('')}size(x29) > 0${')'.repeat(30)}`,
    ],
  ]
  for (const [name, rule] of rows)
    test(name, () => {
      assert.match(
        messages(schemaOf(withRule({ rule, message: 'm' }, numbers)), great)[0]!,
        /actual cost limit exceeded/,
      )
    })

  test('a regular expression never backtracks', () => {
    const rule = 'self.s.matches("^(a+)+$")'
    assert.deepEqual(messages(schemaOf(withRule(rule)), { s: `${'a'.repeat(100_000)}!` }), [failed(rule)])
  })
  test('one object has one budget', () => {
    const l = {
      type: 'array',
      items: { ...integer, 'x-kubernetes-validations': [{ rule: '[1,2,3,4,5,6,7,8,9].all(x, x > 0)' }] },
    }
    const errors = messages(schemaOf(objectOf({ l })), { l: new Array(200_000).fill(1) })
    assert.equal(errors.length, 1)
    assert.match(errors[0]!, /actual cost limit exceeded/)
  })
})
