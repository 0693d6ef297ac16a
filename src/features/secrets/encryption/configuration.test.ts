import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseEncryptionConfiguration } from './configuration.ts'
import { parseGoDuration } from './go-duration.ts'
import { EncryptionConfigurationError } from './types.ts'

const SECRET = 'c2VjcmV0LW9mLXRoaXJ0eS10d28tYnl0ZXMtbG9uZyE='
const HEAD = 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n'

/** From line 3 on, an entry for secrets whose providers begin at line 5. */
const providers = (lines: string): string => `${HEAD}resources:\n- resources: [secrets]\n  providers:\n${lines}`
const resources = (...lists: string[]): string =>
  `${HEAD}resources:\n${lists.map((list) => `- resources: [${list}]\n  providers: [identity: {}]\n`).join('')}`
const gcm = (keys: string): string => providers(`  - aesgcm:\n      keys:\n${keys}`)
const kms = (fields: string): string => providers(`  - kms:\n${fields.replaceAll(/^/gm, '      ')}\n`)
const KMS = 'apiVersion: v2\nname: vault\nendpoint: unix:///run/vault.sock'

describe('EncryptionConfiguration', () => {
  it('is read with its defaults', () => {
    const text = `${HEAD}resources:
- resources: [secrets, '*.apps', custom.example.com]
  providers:
  - kms: { apiVersion: v2, name: vault, endpoint: 'unix:///run/vault.sock' }
  - kms: { apiVersion: v2, name: slow, endpoint: 'unix:///@slow', timeout: 1m1.5s }
  - aesgcm: { keys: [{ name: a, secret: ${SECRET} }] }
  - aescbc: { keys: [{ name: a, secret: ${SECRET} }, { name: b, secret: AAECAwQFBgcICQoLDA0ODw== }] }
  - secretbox: { keys: [{ name: a, secret: ${SECRET} }] }
  - identity: {}
`
    const { entries } = parseEncryptionConfiguration(text, 'file')
    assert.deepEqual(
      entries[0]!.resources.map(({ resource, group }) => [resource, group]),
      [
        ['secrets', ''],
        ['*', 'apps'],
        ['custom', 'example.com'],
      ],
    )
    const seen = entries[0]!.providers.map((provider) => {
      if (provider.provider === 'kms') return [provider.name, provider.endpoint, provider.timeoutMs]
      if (provider.provider === 'identity') return ['identity']
      return [provider.provider, ...provider.keys.map(({ name, secret }) => `${name} ${secret.length}`)]
    })
    assert.deepEqual(seen, [
      ['vault', 'unix:///run/vault.sock', 3000],
      ['slow', 'unix:///@slow', 61_500],
      ['aesgcm', 'a 32'],
      ['aescbc', 'a 32', 'b 16'],
      ['secretbox', 'a 32'],
      ['identity'],
    ])
  })

  it('is read as JSON, and with anchors', () => {
    const json = JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [{ resources: ['secrets'], providers: [{ identity: {} }] }],
    })
    assert.equal(parseEncryptionConfiguration(json, 'file').entries.length, 1)
    const anchored = `${HEAD}resources:
- resources: [secrets]
  providers: &p [aesgcm: { keys: [{ name: a, secret: ${SECRET} }] }]
- resources: [configmaps]
  providers: *p
`
    assert.equal(parseEncryptionConfiguration(anchored, 'file').entries[1]!.providers.length, 1)
  })

  const accepted: [string, string][] = [
    ['*.*', resources("'*.*'")],
    ['a resource, its group, all', resources('secrets', "'*.'", "'*.*'")],
    ['groups apart', resources("'*.apps', secrets, '*.batch'")],
    ['a resource in two entries', resources('secrets', 'secrets')],
    ['core events', resources('events')],
    ['a subset after another group', resources("'*.apps'", 'deployments.extensions.example.com')],
    [
      'aescbc after aesgcm',
      gcm(`      - { name: a, secret: ${SECRET} }\n  - aescbc: { keys: [{ name: a, secret: ${SECRET} }] }\n`),
    ],
    [
      'secretbox only where another entry writes',
      `${resources('secrets')}- resources: [secrets]\n  providers: [secretbox: { keys: [{ name: a, secret: ${SECRET} }] }]\n`,
    ],
  ]
  for (const [what, text] of accepted) {
    it(`accepts ${what}`, () => {
      parseEncryptionConfiguration(text, 'file')
    })
  }

  const refused: [string, string, RegExp][] = [
    ['nothing', '', /^file:1: the file is empty$/],
    ['no YAML', 'a: [', /^file:1: /],
    ['a tab', 'apiVersion:\n\tkind: x', /^file:2: /],
    [
      'another kind',
      'apiVersion: v1\nkind: Secret\n',
      /^file:1: apiVersion must be .*\nfile:2: kind must be Encryption/,
    ],
    ['two documents', `${resources('secrets')}---\na: b\n`, /^file:7: one document is expected/],
    ['no resources', `${HEAD}resources: []\n`, /^file:3: resources: at least one is required/],
    ['resources no list', `${HEAD}resources: 1\n`, /^file:3: resources must be a list/],
    [
      'an unknown field at the top',
      `${HEAD}resource: []\n`,
      /^file:3: EncryptionConfiguration has no field "resource"/,
    ],
    ['a field twice', `${resources('secrets')}kind: EncryptionConfiguration\n`, /^file:6: .*kind is given twice/],
    [
      'an entry without providers',
      `${HEAD}resources:\n- resources: [secrets]\n`,
      /^file:4: resources\[0\]\.providers: at least one/,
    ],
    [
      'an entry without resources',
      `${HEAD}resources:\n- providers: [identity: {}]\n`,
      /^file:4: .*resources: at least one/,
    ],
    ['an unknown provider', providers('  - aesctr: {}\n'), /^file:6: .*no field "aesctr"/],
    ['no provider', providers('  - {}\n'), /^file:6: .*names no provider/],
    ['identity: null', providers('  - identity:\n'), /^file:6: .*names no provider.*identity is written {}/],
    ['identity with a field', providers('  - identity: { keys: [] }\n'), /^file:6: .*no field "keys"; it has none/],
    [
      'two providers in one',
      providers('  - identity: {}\n    aesgcm: {}\n'),
      /^file:6: .*names identity and aesgcm: each/,
    ],
    ['no keys', providers('  - aesgcm: { keys: [] }\n'), /^file:6: .*aesgcm\.keys: at least one/],
    ['a key without name', gcm(`      - secret: ${SECRET}\n`), /^file:8: .*keys\[0\]\.name is required$/],
    ['a key without secret', gcm('      - name: a\n'), /^file:8: .*keys\[0\]\.secret is required$/],
    ['a numeric name', gcm(`      - name: 1\n        secret: ${SECRET}\n`), /^file:8: .*name must be a string/],
    [
      'a name that YAML 1.1 reads as true',
      gcm(`      - name: yes\n        secret: ${SECRET}\n`),
      /^file:8: .*name must be a string/,
    ],
    ['a colon in a name', gcm(`      - name: a:b\n        secret: ${SECRET}\n`), /^file:8: .*no colon/],
    [
      'a secret that is no base64',
      gcm('      - name: a\n        secret: hunter2-hunter2-hunter2\n'),
      /^file:9: .*secret is not base64$/,
    ],
    [
      'a secret of 33 bytes',
      gcm('      - name: a\n        secret: c2VjcmV0LW9mLXRoaXJ0eS10aHJlZS1ieXRlcy1sb25n\n'),
      /^file:9: .*has 33 bytes, expected is 16 or 24 or 32$/,
    ],
    [
      'a secretbox key of 16 bytes',
      `${gcm(`      - { name: a, secret: ${SECRET} }\n`)}  - secretbox:\n      keys:\n      - name: a\n        secret: AAECAwQFBgcICQoLDA0ODw==\n`,
      /^file:12: .*has 16 bytes, expected is 32$/,
    ],
    [
      'two keys of one name',
      gcm(`      - name: a\n        secret: ${SECRET}\n      - name: a\n        secret: ${SECRET}\n`),
      /^file:10: .*keys\[1\]\.name: two keys have the name a$/,
    ],
    [
      'two keys of one name in two providers',
      gcm(`      - { name: a, secret: ${SECRET} }\n  - aesgcm:\n      keys:\n      - { name: a, secret: ${SECRET} }\n`),
      /^file:9: two aesgcm keys have the name a for secrets$/,
    ],
    [
      'aescbc as writer',
      providers(`  - aescbc: { keys: [{ name: a, secret: ${SECRET} }] }\n`),
      /^file:6: aescbc only reads: .*swapped/,
    ],
    [
      'secretbox as writer',
      providers(`  - secretbox: { keys: [{ name: a, secret: ${SECRET} }] }\n`),
      /^file:6: secretbox only reads/,
    ],
    ['kms v1', kms(KMS.replace('v2', 'v1')), /^file:7: .*apiVersion: KMS v1 is not supported: .*set apiVersion: v2$/],
    ['kms without version', kms(KMS.slice(KMS.indexOf('name'))), /^file:7: .*without apiVersion, v1 is meant/],
    ['kms v3', kms(KMS.replace('v2', 'v3')), /^file:7: .*apiVersion must be v2/],
    ['cachesize', kms(`${KMS}\ncachesize: 100`), /^file:10: .*cachesize is not supported in v2/],
    ['kms without name', kms(KMS.replace('name: vault\n', '')), /^file:7: .*kms\.name is required/],
    ['kms with a colon', kms(KMS.replace('vault', 'a:b')), /^file:8: .*no colon/],
    ['kms without endpoint', kms('apiVersion: v2\nname: vault'), /^file:7: .*endpoint is required/],
    ['kms over TCP', kms(KMS.replace('unix:///run', 'tcp://run')), /^file:9: .*endpoint must be a Unix socket/],
    ['kms with a relative socket', kms(KMS.replace('unix:///run', 'unix://run')), /^file:9: .*unix:\/\/\/path/],
    ['a timeout without unit', kms(`${KMS}\ntimeout: '3'`), /^file:10: .*timeout must be a duration/],
    ['a numeric timeout', kms(`${KMS}\ntimeout: 3`), /^file:10: .*timeout must be a string/],
    ['a negative timeout', kms(`${KMS}\ntimeout: -3s`), /^file:10: .*timeout must be positive/],
    ['a timeout of 0', kms(`${KMS}\ntimeout: 0s`), /^file:10: .*timeout must be positive/],
    [
      'two plugins of one name',
      providers(`  - kms: { ${KMS.replaceAll('\n', ', ')} }\n  - kms: { ${KMS.replaceAll('\n', ', ')} }\n`),
      /^file:7: two kms providers have the name vault/,
    ],
    [
      'a key in a wrong place',
      providers(
        `  - aesgcm:\n      keys:\n      - name: a\n        secret: ${SECRET}\n        ${SECRET.slice(0, -1)}: 1\n`,
      ),
      /^file:10: .*keys\[0\] has no field; it has name, secret$/,
    ],
    ['an anchor that is missing', providers('  - *hunter2\n'), /^file:6: /],
    ['capital letters', resources('Secrets'), /^file:4: resource "Secrets": .*capital/],
    ['*', resources("'*'"), /^file:4: resource "\*": use '\*\.'/],
    ['an empty resource', resources("''"), /^file:4: resource "": the name/],
    ['resources without API', resources('serviceipallocations'), /^file:4: .*without a REST API/],
    ['events.k8s.io', resources("'*.events.k8s.io'"), /^file:4: .*use 'events'/],
    ['extensions', resources('ingresses.extensions'), /^file:4: .*'extensions' was removed/],
    ['a resource of all groups', resources("'secrets.*'"), /^file:4: .*across groups/],
    ['a resource twice', resources('secrets, secrets'), /^file:4: resource "secrets" is named twice/],
    [
      'overlap with the core group',
      resources("secrets, '*.'"),
      /^file:4: resources "secrets" and "\*\." of one entry overlap/,
    ],
    [
      'overlap with a group',
      resources("'*.apps', deployments.apps"),
      /^file:4: resources "\*\.apps" and "deployments\.apps"/,
    ],
    ['overlap with all', resources("'*.apps', '*.*'"), /^file:4: .*overlap/],
    [
      'masked by a group',
      resources("'*.apps'", 'deployments.apps'),
      /^file:6: resource "deployments\.apps" is masked by the rule "\*\.apps"/,
    ],
    [
      'masked by the core group',
      resources("'*.'", 'secrets'),
      /^file:6: resource "secrets" is masked by the rule "\*\."/,
    ],
    ['masked by all', resources("'*.*'", "'*.apps'"), /^file:6: .*masked by the rule "\*\.\*"/],
    ['a group twice', resources("'*.apps'", "'*.apps'"), /^file:6: .*masked/],
    ['a list of 257', resources(Array.from({ length: 257 }, (_, i) => `r${i}`).join(', ')), /^file:4: .*257 elements/],
    ['1 MB', ' '.repeat(1 << 20), /^file:1: the file has more than 262144 bytes/],
    ['deep nesting', '['.repeat(200_000), /^file:1: /],
    [
      'a billion laughs',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
        .split('')
        .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`)
        .join('\n')}`,
      /^file:1: /,
    ],
    [
      'many aliases',
      `${HEAD}resources:\n- &e { resources: [secrets], providers: [identity: {}] }\n${'- *e\n'.repeat(200)}`,
      /more than 100 aliases/,
    ],
  ]
  for (const [what, text, pattern] of refused) {
    it(`refuses ${what}, naming the line`, () => {
      assert.throws(
        () => parseEncryptionConfiguration(text, 'file'),
        (error: unknown) => {
          assert.ok(error instanceof EncryptionConfigurationError, String(error))
          assert.match(error.message, pattern)
          assert.doesNotMatch(error.message, /hunter2|c2VjcmV0/, 'a secret is quoted')
          return true
        },
      )
    })
  }

  it('quotes no secret, wherever a file is broken', () => {
    const good = gcm(`      - name: key1\n        secret: ${SECRET}\n`)
    const at = fc.integer({ min: 0, max: good.length })
    const noise = fc.constantFrom(
      '',
      '\n',
      '\t',
      ':',
      '"',
      "'",
      '[',
      '{',
      '- ',
      '*',
      '&',
      '!',
      '|',
      '%',
      '@',
      '\0',
      '  ',
    )
    fc.assert(
      fc.property(at, at, noise, (from, to, inserted) => {
        const text = good.slice(0, Math.min(from, to)) + inserted + good.slice(Math.min(Math.max(from, to), from + 3))
        try {
          parseEncryptionConfiguration(text, 'file')
        } catch (error) {
          assert.ok(error instanceof EncryptionConfigurationError)
          for (const line of error.message.split('\n')) assert.match(line, /^file:\d+: /)
          for (let i = 0; i + 8 < SECRET.length; i++) assert.ok(!error.message.includes(SECRET.slice(i, i + 8)))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('durations of Go', () => {
  const rows: [string, number | undefined][] = [
    ['3s', 3000],
    ['100ms', 100],
    ['1h2m3s', 3_723_000],
    ['1.5s', 1500],
    ['.5s', 500],
    ['0', 0],
    ['-1s', -1000],
    ['3', undefined],
    ['', undefined],
    ['3 s', undefined],
    ['s', undefined],
    ['1d', undefined],
  ]
  for (const [text, expected] of rows) it(`'${text}'`, () => assert.equal(parseGoDuration(text), expected))
})
