import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from './object.ts'
import { fieldMatcher, matchesSelector, parseFieldSelector, parseLabelSelector } from './selectors.ts'

const labels = { app: 'web', tier: 'front', n: '5', 'example.com/x': '' }

const ROWS: [selector: string, matches: boolean][] = [
  ['', true],
  ['app', true],
  ['!app', false],
  ['!other', true],
  ['app=web', true],
  ['app==web', true],
  ['app!=web', false],
  ['other!=web', true],
  ['app in (api, web)', true],
  ['app notin (api,web)', false],
  ['other notin (a)', true],
  ['n>4', true],
  ['n<5', false],
  ['app>4', false],
  ['app=web,tier=front', true],
  ['app=web,tier=back', false],
  ['example.com/x=', true],
  ['example.com/x in ()', true],
]

for (const [selector, matches] of ROWS)
  test(`labels: ${selector || '(empty)'}`, () =>
    assert.equal(matchesSelector(parseLabelSelector(selector), labels), matches))

for (const broken of [
  '=a',
  'a=b=c',
  'a in b',
  'a in (b',
  'a,',
  ',a',
  '!',
  'a>b',
  'a/b/c=d',
  `a=${'x'.repeat(64)}`,
  'a b',
])
  test(`labels refused: ${broken.slice(0, 20)}`, () =>
    assert.throws(() => parseLabelSelector(broken), { reason: 'BadRequest' }))

test('labels: keys of Object.prototype are no labels', () => {
  assert.equal(matchesSelector(parseLabelSelector('constructor'), labels), false)
})

const getters = { 'status.phase': (o: KubeObject): string => o['status']?.phase ?? '' }
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'b' }, status: { phase: 'Running' } }

const FIELDS: [selector: string, matches: boolean][] = [
  ['metadata.name=a', true],
  ['metadata.name==a,metadata.namespace=b', true],
  ['metadata.name!=a', false],
  ['status.phase=Running', true],
  ['status.phase!=Running', false],
]
for (const [selector, matches] of FIELDS)
  test(`fields: ${selector}`, () => assert.equal(fieldMatcher(parseFieldSelector(selector), getters)(pod), matches))

test('fields: escapes', () =>
  assert.deepEqual(parseFieldSelector('a=b\\,c\\=d'), [{ field: 'a', equal: true, value: 'b,c=d' }]))
test('fields: what a kind cannot select by is refused', () => {
  assert.throws(() => fieldMatcher(parseFieldSelector('spec.x=1'), getters), /field label not supported: spec\.x/)
})
