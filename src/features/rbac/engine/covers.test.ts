import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compactRules, covers, ruleToString } from './covers.ts'
import { resourceQuery, ruleAllowsResource } from './rules.ts'
import type { PolicyRule } from './types.ts'

const rule = (verbs: string, apiGroups: string, resources: string, resourceNames?: string): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: apiGroups.split(','),
  resources: resources.split(','),
  ...(resourceNames === undefined ? {} : { resourceNames: resourceNames.split(',') }),
})
const urls = (verbs: string, list: string): PolicyRule => ({
  verbs: verbs.split(','),
  nonResourceURLs: list.split(','),
})

const CASES: [title: string, owner: PolicyRule[], wanted: PolicyRule[], missing: string[]][] = [
  ['the same', [rule('get', '', 'pods')], [rule('get', '', 'pods')], []],
  [
    'two rules together cover one',
    [rule('get', '', 'pods'), rule('list', '', 'pods')],
    [rule('get,list', '', 'pods')],
    [],
  ],
  [
    'a verb is missing',
    [rule('get', '', 'secrets')],
    [rule('get,list,watch', '', 'secrets')],
    ['{APIGroups:[""], Resources:["secrets"], Verbs:["list" "watch"]}'],
  ],
  ['star verb covers', [rule('*', '', 'pods')], [rule('get,*', '', 'pods')], []],
  [
    'named verbs do not cover star',
    [rule('get', '', 'pods')],
    [rule('*', '', 'pods')],
    ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}'],
  ],
  ['star resource covers subresources', [rule('get', '', '*')], [rule('get', '', 'pods/log')], []],
  ['*/log covers pods/log', [rule('get', '', '*/log')], [rule('get', '', 'pods/log')], []],
  [
    '*/log does not cover pods',
    [rule('get', '', '*/log')],
    [rule('get', '', 'pods')],
    ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
  ],
  ['all names cover one', [rule('get', '', 'pods')], [rule('get', '', 'pods', 'a')], []],
  [
    'one name does not cover all',
    [rule('get', '', 'pods', 'a')],
    [rule('get', '', 'pods')],
    ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
  ],
  [
    'names one by one',
    [rule('get', '', 'pods', 'a'), rule('get', '', 'pods', 'b')],
    [rule('get', '', 'pods', 'a,b,c')],
    ['{APIGroups:[""], Resources:["pods"], ResourceNames:["c"], Verbs:["get"]}'],
  ],
  ['url prefix', [urls('get', '/api/*')], [urls('get', '/api/v1,/api/*')], []],
  ['url star', [urls('*', '*')], [urls('get', '/x,/y*,*')], []],
  ['url outside', [urls('get', '/api/*')], [urls('get', '/apis')], ['{NonResourceURLs:["/apis"], Verbs:["get"]}']],
  ['nothing wanted', [], [], []],
]
for (const [title, owner, wanted, missing] of CASES)
  test(`covers: ${title}`, () => {
    const result = covers(owner, wanted)
    assert.equal(result.covered, missing.length === 0)
    assert.deepEqual(compactRules(result.missing).map(ruleToString), missing)
  })

test('property: what is covered allows nothing that the owner may not', () => {
  const pick = (...v: string[]): fc.Arbitrary<string[]> =>
    fc.array(fc.constantFrom(...v), { minLength: 1, maxLength: 2 })
  const arbRule = fc.record(
    {
      verbs: pick('get', 'list', '*'),
      apiGroups: pick('', 'apps', '*'),
      resources: pick('pods', 'pods/log', '*', '*/log', 'x/log'),
      resourceNames: pick('a', 'b'),
    },
    { requiredKeys: ['verbs', 'apiGroups', 'resources'] },
  )
  const rules = fc.array(arbRule, { maxLength: 4 })
  fc.assert(
    fc.property(rules, rules, (owner, wanted) => {
      if (!covers(owner, wanted).covered) return
      for (const verb of ['get', 'list', 'watch'])
        for (const group of ['', 'apps', 'z'])
          for (const [resource, sub] of [
            ['pods', ''],
            ['pods', 'log'],
            ['x', 'log'],
            ['y', ''],
          ] as const)
            for (const name of ['', 'a', 'c']) {
              const q = resourceQuery(verb, group, resource, sub, name)
              if (wanted.some((r) => ruleAllowsResource(r, q))) assert.ok(owner.some((r) => ruleAllowsResource(r, q)))
            }
    }),
    { numRuns: 500 },
  )
})
