import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { fieldErrorMessage } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { expressionCost } from './cel-cost.ts'
import { parseExpression } from './cel-environment.ts'
import { sizedOf } from './cel-size.ts'
import { validateCustomResourceDefinition, validateCustomResourceDefinitionUpdate } from './crd-validation.ts'
import { crdOf, objectOf } from './fixtures.ts'
import { validateRuleCosts } from './rule-costs.ts'
import { parseSchema } from './schema-parse.ts'

const cost = (rule: string, schema: object): number =>
  expressionCost(parseExpression(rule), sizedOf(schema as Schema, false)!)

const type = (name: string): object =>
  name === 'int-or-string'
    ? { 'x-kubernetes-int-or-string': true }
    : ['duration', 'date', 'date-time', 'byte'].includes(name)
      ? { type: 'string', format: name }
      : { type: name }
type Bounded = (max?: number) => object
const bound = (keyword: string, max: number | undefined): object => (max === undefined ? {} : { [keyword]: max })
const list =
  (items: object): Bounded =>
  (max) => ({ type: 'array', items, ...bound('maxItems', max) })
const map =
  (values: object): Bounded =>
  (max) => ({ type: 'object', additionalProperties: values, ...bound('maxProperties', max) })
const text: Bounded = (max) => ({ ...type('string'), ...bound('maxLength', max) })
const texts: Bounded = (max) => list(text(max))(max)
const pair = objectOf({ required: type('string'), optional: type('string') }, { required: ['required'] })

describe('costs are those of Kubernetes: without a bound, and with one', () => {
  const rows: [rule: string, schema: Bounded, free: number, max: number, bounded: number][] = [
    ['self.all(x, true)', list(type('number')), 4718591, 10, 32],
    ['self.all(x, true)', list(type('string')), 3145727, 20, 62],
    ['self.all(x, true)', list(type('boolean')), 1887437, 5, 17],
    ['self.all(x, true)', list(list(type('number'))()), 3145727, 100, 302],
    ['self.all(x, true)', list(type('duration')), 2359295, 5, 17],
    ['self.all(x, true)', list(type('date')), 725936, 15, 47],
    ['self.all(x, true)', list(type('date-time')), 428963, 25, 77],
    ['self.all(x, true)', list(type('int-or-string')), 4718591, 10, 32],
    ['self.all(x, true)', map(type('number')), 1348169, 10, 32],
    ['self.all(x, true)', map(type('string')), 1179647, 3, 11],
    ['self.all(x, true)', map(type('date-time')), 349526, 25, 77],
    ['self.all(x, true)', map(pair), 428963, 20, 62],
    ['self.all(x, true)', map(map(type('number'))()), 1179647, 10, 32],
    ["self.contains('test')", text, 314574, 10, 5],
    ["self.startsWith('test')", text, 2, 15, 2],
    ['size(self + "hello") > size("hello")', text, 314578, 4, 7],
    ['self[1] == 0.0', list(type('number')), 2, 5000, 2],
    ['self[1] == self[1]', list(type('string')), 314577, 8, 314577],
    ['self.all(x, x == 0.0)', list(type('number')), 6291454, 3 * 1024 * 2048, 25165826],
    ['self.all(x, self.all(y, true))', list(type('number')), 3 * 1572863 ** 2 + 5 * 1572863 + 2, 10, 352],
    ['self.matches("x")', text, 314574, 50, 22],
    ['"".matches("(((((((((())))))))))[0-9]")', text, 7, 10, 7],
    ['self.matches("")', text, 1, 100, 1],
    ['self[0] == 5', list(type('int-or-string')), 3, 10, 3],
    ['self[0][0] == -1.0', list(list(type('number'))()), 3, 51, 3],
    ['self.all(x, x.y == 25.2)', list(map(type('number'))()), 6291452, 12, 74],
    ['self[0].x > 2.0', list(map(type('number'))()), 4, 3000, 4],
    ['self[0].getHours() == 2', list(type('duration')), 4, 525, 4],
    ['self[2].getDayOfMonth() == 13', list(type('date')), 4, 42, 4],
    ['self == "x"', text, 2, 0, 1],
    ['self == b"x"', (max) => ({ ...type('byte'), ...bound('maxLength', max) }), 2, 0, 1],
    ["self.find('[0-9]+') == ''", text, 629147, 10, 11],
    ["self.join(' ') == 'aa bb'", texts, 329853068905, 10, 43],
    ['self.isSorted() == true', texts, 329854432052, 10, 52],
    ["self.lowerAscii() == 'lower!'", text, 314575, 10, 6],
    ['oldSelf.size() == self.size()', map(type('integer')), 5, 10, 5],
    ['self["a"] == self["b"]', map(type('date-time')), 8, 7, 8],
    ['self.all(x, x.contains(self[x]))', (max) => map(text(max))(max), 2752507, 10, 72],
    ['self.all(x, x["y"].required == "z")', (max) => list(map(pair)(max))(max), 7340027, 10, 72],
    [
      'self.str.replace(self.before, self.after) == "does not matter"',
      (max) => objectOf({ str: text(max), before: text(2), after: text(4) }),
      629154,
      4,
      12,
    ],
    [
      'self.str.split(self.separator) == []',
      (max) => objectOf({ str: text(max), separator: text(max) }),
      629160,
      10,
      22,
    ],
    ["self.contains('A')", (max) => ({ ...text(max), enum: ['A', 'B', 'LongValue'] }), 2, 1000, 401],
  ]
  for (const [rule, schema, free, max, bounded] of rows)
    test(`${rule} of ${JSON.stringify(schema())}`, () => {
      assert.equal(cost(rule, schema()), free)
      assert.equal(cost(rule, schema(max)), bounded)
    })
})

test('macros, bindings, optionals and sets', () => {
  const numbers = list(type('integer'))(10)
  const rows: [rule: string, cost: number][] = [
    ['self.exists(x, x > 1)', 1 + 1 + 10 * (4 + 2)],
    ['self.exists_one(x, x > 1)', 1 + 2 + 10 * (2 + 2)],
    ['self.filter(x, x > 1).size() > 0', 1 + 11 + 10 * (13 + 2) + 1 + 1],
    ['self.map(x, x * 2) == [2]', 1 + 11 + 10 * (12 + 2) + 10 + 1],
    ['self.map(x, x > 1, x) == [2]', 1 + 11 + 10 * (12 + 2 + 1) + 10 + 1],
    ['cel.bind(a, self, size(a) > 1)', 10 + 1 + 3],
    ['has(self.x) ? self == [] : true', 1 + 1 + 10 + 1 - 1],
    ['sets.contains(self, self)', 2 + 100 + 1],
    ['1 in self', 1 + 10],
    ['self == oldSelf', 2 + 1],
    ['!(self == [1]) && true || false', 1 + 10 + 1 + 1],
    ['-1 < 2', 1],
  ]
  for (const [rule, expected] of rows) assert.equal(cost(rule, numbers), expected, rule)
})

describe('rules of a schema', () => {
  const errors = (spec: object): string[] => {
    const { schema, errors: wrong } = parseSchema(objectOf({ spec }), 's')
    assert.deepEqual(wrong, [])
    return validateRuleCosts(schema, 's').map(fieldErrorMessage)
  }
  const ruled = (schema: object, ...rules: (string | object)[]): object => ({
    ...schema,
    'x-kubernetes-validations': rules.map((rule) => (typeof rule === 'string' ? { rule } : rule)),
  })
  const hint =
    '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)'

  test('ordinary rules need no bounds', () => {
    const spec = objectOf({
      name: ruled(
        type('string'),
        'self.size() > 0',
        'self == oldSelf',
        "!self.contains('_')",
        "self.matches('^[a-z]+$')",
      ),
      replicas: ruled(type('integer'), 'self >= 0 && self <= 100'),
      tags: ruled(list(type('string'))(), 'self.all(x, x.size() > 1)', 'self.size() < 10'),
      labels: ruled(map(type('string'))(), "!('x' in self)", "self.all(k, k.startsWith('a'))"),
      port: ruled(type('int-or-string'), 'type(self) == int ? self > 0 : self != ""'),
      min: type('integer'),
      max: type('integer'),
      ports: list(ruled(objectOf({ number: type('integer'), name: text(63) }), 'self.number > 0'))(64),
    })
    const rules = [
      'self.min <= self.max',
      '!has(self.name) || self.name != "default"',
      'self == oldSelf',
      { rule: 'self.max < 10', messageExpression: '"too many: " + self.name' },
    ]
    assert.deepEqual(errors(ruled(spec, ...rules)), [])
  })

  test('a loop within a loop over lists without bounds is refused, and accepted with them', () => {
    const rule = 'self.all(x, self.all(y, x == y))'
    assert.deepEqual(errors(objectOf({ l: ruled(list(type('string'))(), rule) })), [
      `s.properties[spec].properties[l].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ${hint}`,
      's.properties[spec].properties[l].x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema',
      `s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${hint}`,
    ])
    assert.deepEqual(errors(objectOf({ l: ruled(list(text(100))(50), rule) })), [])
  })

  test('a rule below lists costs as often as there are items', () => {
    const item = ruled(objectOf({ s: type('string') }), "self.s.contains('a')")
    const cheap = ruled(objectOf({ s: text(10) }), "self.s.contains('a')")
    // 1,048,576 items of "{}," fit into a request; each text is as long as the request.
    assert.match(errors(objectOf({ l: list(item)() }))[0]!, /^s.properties\[spec\].properties\[l\].items\.x-kubernetes/)
    assert.deepEqual(errors(objectOf({ l: list(cheap)() })), [])
    assert.deepEqual(errors(objectOf({ l: list(list(cheap)(100))(100) })), [])
    assert.match(errors(objectOf({ l: list(item)(100) }))[0]!, /by factor of 3\.1x/)
    assert.match(errors(objectOf({ l: list(item)(32) }))[0]!, /by factor of 1\.006\d{3}x/)
    assert.deepEqual(errors(objectOf({ l: list(item)(31) })), [])
    assert.match(errors(objectOf({ m: map(list(item)(10))(10) }))[0]!, /by factor of 3\.1x/)
  })

  test('many rules that pass alone are too much together: the dearest four are named', () => {
    const scan = 'self.all(x, x.size() > 1)'
    const names = Array.from({ length: 20 }, (_, i) => `l${String(i).padStart(2, '0')}`)
    const found = errors(objectOf(Object.fromEntries(names.map((name) => [name, ruled(list(type('string'))(), scan)]))))
    assert.equal(found.length, 5)
    assert.match(found[0]!, /contributed to estimated rule cost total/)
    assert.match(found[4]!, /^s: Forbidden: .* exceeds budget by factor of 1\.2\d{5}x/)
  })

  test('the text of a number has no known length, nor has a message made of it', () => {
    const found = errors(
      ruled(objectOf({ n: type('integer') }), { rule: 'self.n > 1', messageExpression: '"n is " + string(self.n)' }),
    )
    assert.match(
      found[0]!,
      /messageExpression: Forbidden: estimated messageExpression cost exceeds budget by factor of more/,
    )
  })
})

test('a definition is refused when it is created or its schema changes, not when something else does', () => {
  const dear = {
    type: 'array',
    items: { type: 'string' },
    'x-kubernetes-validations': [{ rule: 'self.all(x, self.all(y, x == y))' }],
  }
  const crd = (l: object): KubeObject => crdOf(objectOf({ spec: objectOf({ l }) }))
  const stored = (l: object): KubeObject => {
    const object = crd(l)
    return { ...object, metadata: { ...object.metadata, resourceVersion: '1' } }
  }
  const refusal =
    /^spec\.validation\.openAPIV3Schema\.properties\[spec\]\.properties\[l\].*Forbidden: estimated rule cost/
  const update = (after: object, before: object): string[] => [
    ...validateCustomResourceDefinition(stored(after)).map(fieldErrorMessage),
    ...validateCustomResourceDefinitionUpdate(stored(after), stored(before), {
      now: 0,
      subresource: '',
      user: '',
    }).map(fieldErrorMessage),
  ]
  assert.match(validateCustomResourceDefinition(crd(dear)).map(fieldErrorMessage)[0]!, refusal)
  assert.deepEqual(update(dear, dear), [])
  assert.match(update({ ...dear, minItems: 1 }, dear)[0]!, refusal)
  const bounded = { ...dear, maxItems: 10, items: { type: 'string', maxLength: 100 } }
  assert.deepEqual(update(bounded, dear), [])
  assert.match(update(dear, bounded)[0]!, refusal)
})

test('the longest rules are estimated, or refused, without an end of the stack', () => {
  for (const [part, count] of [
    ['+1', 4900],
    ['&&true', 4900],
    ['.a', 90],
    [' in [1]', 90],
  ] as const) {
    let rule = `self${part.repeat(count)}`
    try {
      parseExpression(rule)
    } catch {
      rule = `self${part.repeat(count >> 4)}`
    }
    assert.ok(cost(rule, type('int-or-string')) > 0, rule.slice(0, 20))
  }
})
