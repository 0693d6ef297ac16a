import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { PRIVILEGED_CONFIGURATION, parsePodSecurityConfiguration } from './configuration.ts'
import { loadPodSecurityConfiguration, PodSecurityConfigurationError } from './index.ts'

const noFile = (): never => assert.fail('no other file is read')
const parse = (text: string): ReturnType<typeof parsePodSecurityConfiguration> =>
  parsePodSecurityConfiguration(text, 'psa.yaml', noFile)

const HEAD = 'apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\n'
const FULL = `${HEAD}defaults:
  enforce: baseline
  enforce-version: v1.30
  audit: restricted
  warn: ""
exemptions:
  usernames: [system:serviceaccount:kube-system:replicaset-controller]
  namespaces:
  - kube-system
  runtimeClasses: [gvisor]
`

test('a whole configuration', () => {
  assert.deepEqual(parse(FULL), {
    defaults: {
      enforce: { level: 'baseline', version: 30 },
      audit: { level: 'restricted', version: 'latest' },
      warn: { level: 'privileged', version: 'latest' },
    },
    exemptions: {
      usernames: new Set(['system:serviceaccount:kube-system:replicaset-controller']),
      namespaces: new Set(['kube-system']),
      runtimeClasses: new Set(['gvisor']),
    },
  })
})

describe('nothing configured is privileged', () => {
  for (const [name, text] of [
    ['empty file', ' \n'],
    ['head alone', HEAD],
    ['older versions', HEAD.replace('/v1', '/v1beta1')],
    ['empty parts', `${HEAD}defaults:\nexemptions: {usernames: null}\n`],
    ['wrapper without plug-ins', 'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n'],
    [
      'wrapper for others',
      'apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: ImagePolicyWebhook\n  path: x\n- name: PodSecurity\n',
    ],
  ] as const)
    test(name, () => assert.deepEqual(parse(text), PRIVILEGED_CONFIGURATION))
})

test('inside an AdmissionConfiguration, and as JSON', () => {
  const indented = FULL.split('\n').map((line) => `    ${line}`)
  const text = [
    'apiVersion: apiserver.config.k8s.io/v1',
    'kind: AdmissionConfiguration',
    'plugins:',
    '- name: PodSecurity',
    '  configuration:',
    ...indented,
  ]
  assert.deepEqual(parse(text.join('\n')), parse(FULL))
  const json = {
    apiVersion: 'pod-security.admission.config.k8s.io/v1',
    kind: 'PodSecurityConfiguration',
    defaults: { enforce: 'baseline' },
  }
  assert.deepEqual(parse(JSON.stringify(json)).defaults.enforce, { level: 'baseline', version: 'latest' })
})

describe('what is wrong is told with its line', () => {
  const rows: [string, string, string[]][] = [
    [
      'unknown level',
      `${HEAD}defaults:\n  enforce: strict\n`,
      ['line 4: defaults.enforce: Invalid value: "strict": must be one of privileged, baseline, restricted'],
    ],
    [
      'wrong version',
      `${HEAD}defaults:\n  warn-version: "1.30"\n`,
      ['line 4: defaults.warn-version: Invalid value: "1.30": must be "latest" or "v1.x"'],
    ],
    [
      'number for a version',
      `${HEAD}defaults:\n  warn-version: 1.30\n`,
      ['line 4: defaults.warn-version: must be a text'],
    ],
    [
      'unknown fields',
      `${HEAD}default: {}\nexemptions:\n  users: []\n`,
      [
        'line 3: default: unknown field; known are apiVersion, kind, defaults, exemptions',
        'line 5: exemptions.users: unknown field; known are usernames, namespaces, runtimeClasses',
      ],
    ],
    [
      'names',
      `${HEAD}exemptions:\n  namespaces:\n  - a\n  - B\n  - a\n  usernames: [""]\n  runtimeClasses: x\n`,
      [
        'line 8: exemptions.usernames[0]: Invalid value: "": must not be empty',
        'line 6: exemptions.namespaces[1]: Invalid value: "B": a lowercase RFC 1123 label',
        'line 7: exemptions.namespaces[2]: Duplicate value: "a"',
        'line 9: exemptions.runtimeClasses: must be a list',
      ],
    ],
    [
      'another kind',
      'apiVersion: v1\nkind: Pod\n',
      [
        'line 2: kind: must be PodSecurityConfiguration',
        'line 1: apiVersion: must be pod-security.admission.config.k8s.io/v1',
      ],
    ],
    [
      'no mapping',
      '- a\n',
      ['line 1: kind: must be PodSecurityConfiguration', 'line 1: apiVersion: ', 'line 1: must be a mapping'],
    ],
    ['duplicate key', `${HEAD}kind: PodSecurityConfiguration\n`, ['line 3: Map keys must be unique']],
    ['syntax', `${HEAD}defaults: [\n`, ['line 4: ']],
    ['two documents', `${HEAD}---\n${HEAD}`, ['line 3: ']],
    [
      'aliases that explode',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n`,
      ['Excessive alias count'],
    ],
    ['nesting without end', '['.repeat(100_000), ['psa.yaml: ']],
    ['a megabyte', ' '.repeat(2 ** 20) + HEAD, ['is larger than']],
    [
      'both ways to configure',
      `apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: PodSecurity\n  path: x\n  configuration:\n    apiVersion: pod-security.admission.config.k8s.io/v1\n    kind: PodSecurityConfiguration\n    defaults:\n      audit: x\n`,
      [
        'line 5: plugins[0].path: cannot stand beside configuration',
        'line 10: plugins[0].configuration.defaults.audit: Invalid value: "x"',
      ],
    ],
    [
      'twice',
      'apiVersion: v9\nkind: AdmissionConfiguration\nplugins:\n- name: PodSecurity\n- name: PodSecurity\n',
      [
        'line 1: apiVersion: must be apiserver.config.k8s.io/v1',
        'line 5: plugins[1]: configures PodSecurity a second time',
      ],
    ],
  ]
  for (const [name, text, wanted] of rows)
    test(name, () =>
      assert.throws(
        () => parse(text),
        (error: Error) => {
          assert.ok(error instanceof PodSecurityConfigurationError)
          const lines = error.message.split('\n')
          for (const [i, want] of wanted.entries())
            assert.ok(lines[i]?.includes(want), `${error.message}\nlacks\n${want}`)
          assert.equal(lines.length, wanted.length, error.message)
          return true
        },
      ),
    )
  test('many are cut short', () => {
    const text = `${HEAD}exemptions:\n  namespaces: [${'A,'.repeat(100)}]\n`
    assert.throws(
      () => parse(text),
      (error: Error) => error.message.split('\n').length === 21 && error.message.endsWith('and 80 more'),
    )
  })
})

describe('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pod-security-'))
  after(() => rmSync(folder, { recursive: true }))
  const wrapper = (path: string): string => {
    const file = join(folder, 'admission.yaml')
    writeFileSync(
      file,
      `apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- {name: PodSecurity, path: ${path}}\n`,
    )
    return file
  }
  test('a named file lies beside the one that names it', () => {
    mkdirSync(join(folder, 'sub'))
    writeFileSync(join(folder, 'sub', 'psa.yaml'), FULL)
    assert.deepEqual(loadPodSecurityConfiguration(wrapper('sub/psa.yaml')), parse(FULL))
    assert.deepEqual(loadPodSecurityConfiguration(wrapper(join(folder, 'sub', 'psa.yaml'))), parse(FULL))
  })
  test('its errors name it', () => {
    writeFileSync(join(folder, 'bad.yaml'), `${HEAD}x: y\n`)
    assert.throws(() => loadPodSecurityConfiguration(wrapper('bad.yaml')), {
      message: /^bad\.yaml, line 3: x: unknown field/,
    })
  })
  test('missing', () => {
    assert.throws(() => loadPodSecurityConfiguration(wrapper('none.yaml')), {
      message: /none\.yaml: cannot be read: ENOENT/,
    })
  })
  test('too large', () => {
    writeFileSync(join(folder, 'large.yaml'), ' '.repeat(2 ** 20 + 1))
    assert.throws(() => loadPodSecurityConfiguration(join(folder, 'large.yaml')), { message: /is larger than/ })
  })
})
