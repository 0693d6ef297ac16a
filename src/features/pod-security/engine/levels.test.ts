import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fieldErrorMessage } from '../../../kernel/api/status.ts'
import {
  equivalent,
  LABEL_PREFIX,
  type LevelVersion,
  MODES,
  type Policy,
  PRIVILEGED_POLICY,
  parseVersion,
  policyOf,
  printLevelVersion,
} from './levels.ts'

const print = (policy: Policy): string => MODES.map((mode) => printLevelVersion(policy[mode])).join(' ')
const labels = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split(' ')
      .filter((t) => t !== '')
      .map((t) => [LABEL_PREFIX + t.split('=')[0], t.split('=')[1]!]),
  )

describe('policy of labels', () => {
  const at = (key: string, value: string, rule: string): string =>
    `metadata.labels[${LABEL_PREFIX}${key}]: Invalid value: "${value}": ${rule}`
  const LEVEL = 'must be one of privileged, baseline, restricted'
  const VERSION = 'must be "latest" or "v1.x"'
  const rows: [string, string, string[]?][] = [
    ['', 'privileged:latest privileged:latest privileged:latest'],
    ['enforce=baseline', 'baseline:latest privileged:latest baseline:latest'],
    ['warn=restricted', 'privileged:latest privileged:latest restricted:latest'],
    ['audit=baseline', 'privileged:latest baseline:latest privileged:latest'],
    ['enforce=baseline warn=restricted', 'baseline:latest privileged:latest restricted:latest'],
    ['enforce=baseline warn=privileged', 'baseline:latest privileged:latest privileged:latest'],
    ['enforce=baseline enforce-version=v1.22', 'baseline:v1.22 privileged:latest baseline:v1.22'],
    ['enforce=baseline enforce-version=v1.22 warn-version=latest', 'baseline:v1.22 privileged:latest baseline:latest'],
    ['enforce=baseline warn-version=v1.23', 'baseline:latest privileged:latest baseline:v1.23'],
    ['enforce-version=v1.9', 'privileged:v1.9 privileged:latest privileged:latest'],
    ['enforce=foo', 'restricted:latest privileged:latest privileged:latest', [at('enforce', 'foo', LEVEL)]],
    [
      'enforce=baseline warn=Foo audit= warn-version=1.2 enforce-version=v1.01',
      'baseline:latest privileged:latest privileged:latest',
      [
        at('enforce-version', 'v1.01', VERSION),
        at('audit', '', LEVEL),
        at('warn', 'Foo', LEVEL),
        at('warn-version', '1.2', VERSION),
      ],
    ],
  ]
  for (const [text, policy, errors = []] of rows)
    test(text === '' ? 'none' : text, () => {
      const found = policyOf({ other: 'x', ...labels(text) }, PRIVILEGED_POLICY)
      assert.equal(print(found.policy), policy)
      assert.deepEqual(found.errors.map(fieldErrorMessage), errors)
    })

  test('defaults fill in, and a stricter default warning stays', () => {
    const defaults: Policy = {
      enforce: { level: 'baseline', version: 25 },
      audit: { level: 'restricted', version: 26 },
      warn: { level: 'restricted', version: 27 },
    }
    assert.deepEqual(policyOf(undefined, defaults), { policy: defaults, errors: [] })
    assert.deepEqual(policyOf(null, defaults).policy, defaults)
    assert.equal(
      print(policyOf(labels('enforce=baseline'), defaults).policy),
      'baseline:v1.25 restricted:v1.26 restricted:v1.27',
    )
    assert.equal(
      print(policyOf(labels('enforce=privileged'), defaults).policy),
      'privileged:v1.25 restricted:v1.26 restricted:v1.27',
    )
  })
})

test('versions', () => {
  for (const [text, version] of [
    ['latest', 'latest'],
    ['v1.0', 0],
    ['v1.34', 34],
    ['v1.10000', 10000],
    ['v1.01', undefined],
    ['v1.', undefined],
    ['v2.0', undefined],
    ['1.1', undefined],
    ['v1.-1', undefined],
    ['V1.1', undefined],
    ['', undefined],
    ['v1.1\n', undefined],
    [`v1.${'9'.repeat(30)}`, undefined],
  ] as const)
    assert.equal(parseVersion(text), version, JSON.stringify(text))
})

test('privileged is the same in all versions', () => {
  const with1 = (audit: LevelVersion): Policy => ({ ...PRIVILEGED_POLICY, audit })
  assert.ok(equivalent(with1({ level: 'privileged', version: 3 }), PRIVILEGED_POLICY))
  assert.ok(!equivalent(with1({ level: 'baseline', version: 3 }), with1({ level: 'baseline', version: 4 })))
})
