import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dump, loadAll } from 'js-yaml'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { decodeYaml } from '../../../kernel/codec/yaml.ts'
import { ecKey, letters } from './credentials.fixture.ts'
import { type DocumentReport, lintDocument } from './document.ts'
import { type FixedDocument, fixDocument } from './fix.ts'
import { SecretsFile, SecretsFileError } from './secrets-file.ts'

const decode = (text: string): KubeObject => decodeYaml(Buffer.from(text)).value as unknown as KubeObject

function lint(text: string): DocumentReport {
  const root = decode(text)
  const items = root['items'] as KubeObject[] | undefined
  const objects =
    root.kind === 'List' && items !== undefined
      ? items.map((object, i) => ({ object, path: ['items', i] }))
      : [{ object: root, path: [] }]
  return lintDocument({ file: 'a.yaml', line: 1, text, objects })
}

function fix(text: string, secrets: SecretsFile = new SecretsFile('')): FixedDocument & { secrets: SecretsFile } {
  return { ...fixDocument(lint(text), secrets), secrets }
}

type Env = { name: string; value?: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }
type Container = { name: string; env?: Env[]; command?: string[]; args?: string[] }

/**
 * What the containers of the manifest would see: variables from the Secrets put in place, `$(X)` expanded as Kubernetes
 * does, and the variables that the fix added taken out again.
 */
function effective(manifest: string, secrets: string): unknown {
  const values = new Map<string, string>()
  for (const secret of loadAll(secrets) as { metadata: { name: string }; stringData: Record<string, string> }[])
    for (const [key, value] of Object.entries(secret?.stringData ?? {}))
      values.set(`${secret.metadata.name}/${key}`, value)
  const visit = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(visit)
    if (typeof node !== 'object' || node === null) return node
    const out = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, visit(value)]))
    if (!('image' in out)) return out
    const container = out as unknown as Container
    const env = (container.env ?? []).map((variable): Env => {
      const ref = variable.valueFrom?.secretKeyRef
      const value = ref === undefined ? undefined : values.get(`${ref.name}/${ref.key}`)
      return value === undefined ? variable : { name: variable.name, value }
    })
    const expand = (text: string): string =>
      text.replace(/\$\((ARG_[A-Z0-9_]+)\)/g, (all, name) => env.find((v) => v.name === name)?.value ?? all)
    for (const field of ['command', 'args'] as const)
      if (container[field]) container[field] = container[field].map(expand)
    const own = env.filter((variable) => !variable.name.startsWith('ARG_'))
    if (own.length > 0) container.env = own
    else delete container.env
    return container
  }
  return visit(decode(manifest))
}

const pod = (container: string): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n${container.replace(/^/gm, '  ').trimEnd()}\n`
const pw = 'q9w8E7r6Tz'

describe('fixed manifests mean the same, and are clean', () => {
  const rows: [string, string][] = [
    ['a variable', `- name: web\n  image: web\n  env:\n  - name: DB_PASSWORD\n    value: ${pw}\n`],
    ['value before name', `- name: web\n  image: web\n  env:\n  - value: ${pw} # here\n    name: DB_PASSWORD\n`],
    [
      'quoted values',
      `- name: web\n  image: web\n  env:\n  - name: A_TOKEN\n    value: "${pw}\\u0041"\n  - name: B_TOKEN\n    value: '${pw}''x'\n`,
    ],
    [
      'a block scalar',
      `- name: web\n  image: web\n  env:\n  - name: KEY\n    value: |\n${ecKey.replace(/^/gm, '      ').trimEnd()}\n  - name: B\n    value: b\n`,
    ],
    [
      'a block scalar at the end',
      `- name: web\n  image: web\n  env:\n  - name: KEY\n    value: |-\n${ecKey.replace(/^/gm, '      ').trimEnd()}\n`,
    ],
    ['a value on the next line', `- name: web\n  image: web\n  env:\n  - name: DB_PASSWORD\n    value:\n      ${pw}\n`],
    ['flow style', `- {name: web, image: web, env: [{name: DB_PASSWORD, value: ${pw}}, {name: B, value: b}]}\n`],
    ['an argument without env', `- name: web\n  image: web\n  args: [--password=${pw}, -v] # flags\n  ports: []\n`],
    [
      'arguments as a list',
      `- name: web\n  image: web\n  args:\n  - --password=${pw}\n  # and\n  - --token\n  - "${letters(24)}"\n  ports: []\n`,
    ],
    [
      'an argument with env',
      `- name: web\n  image: web\n  env:\n  - name: A\n    value: b # c\n  args: ['--password=${pw}']\n`,
    ],
    [
      'an argument with env in flow style',
      `- name: web\n  image: web\n  env: [{name: A, value: b}]\n  args: ['--password=${pw}']\n`,
    ],
    ['an argument with empty env', `- name: web\n  image: web\n  env: []\n  args: ['--password=${pw}']\n`],
    ['everything in flow style', `- {name: web, image: web, args: [--password=${pw}]}\n`],
    [
      'a script',
      `- name: web\n  image: web\n  command:\n  - sh\n  - -c\n  - |\n    set -e\n    PGPASSWORD='${pw}' psql\n    if true; then\n      mysql -p${pw}x\n    fi\n`,
    ],
    [
      'a folded script',
      `- name: web\n  image: web\n  command:\n  - sh\n  - -c\n  - >\n    set -e;\n    PGPASSWORD='${pw}' psql\n`,
    ],
    [
      'a script in quotes with escapes',
      `- name: web\n  image: web\n  command: ["sh", "-c", "export X=\\"1\\"\\nPGPASSWORD=${pw} psql"]\n`,
    ],
    [
      'the same secret twice',
      `- name: web\n  image: web\n  args: [--password=${pw}, --admin-password=${pw}, --password=${pw}]\n`,
    ],
    [
      'different secrets of one name',
      `- name: web\n  image: web\n  args: [--password=${pw}]\n- name: b\n  image: b\n  args: [--password=${pw}2]\n`,
    ],
    ['a secret within a word it resembles', `- name: web\n  image: web\n  args: ["--token-token=token${pw}"]\n`],
    [
      'a URL',
      `- name: web\n  image: web\n  env:\n  - {name: URL, value: "postgres://a:${pw}@db/x"}\n  args: [--dsn=postgres://a:${pw}y@db/x]\n`,
    ],
    [
      'a variable name that is taken',
      `- name: web\n  image: web\n  env:\n  - name: ARG_PASSWORD\n    value: x\n  args: [--password=${pw}]\n`,
    ],
  ]
  for (const [what, container] of rows)
    for (const [style, text] of [
      ['LF', pod(container)],
      ['CRLF', pod(container).replaceAll('\n', '\r\n')],
      ['no newline at the end', pod(container).trimEnd()],
    ] as const)
      test(`${what}, ${style}`, () => {
        const { text: after, secrets, refused } = fix(text)
        assert.deepEqual(
          refused.map((r) => r.why),
          [],
        )
        const taken = what.endsWith('taken')
        if (!taken) assert.deepEqual(effective(after, secrets.toString()), effective(text, ''))
        else assert.match(after, /--password=\$\(ARG_PASSWORD_2\)/)
        assert.deepEqual(
          lint(after).found.map((f) => f.finding.message),
          [],
        )
        const kept = text.split(/\r?\n/).filter((line) => line.includes('# '))
        for (const line of kept) assert.ok(after.includes(line.slice(line.indexOf('# '))), `comment kept: ${line}`)
      })
  test('the rest of the text stays letter by letter', () => {
    const text = `# head\n\n${pod(`- name: web   # main\n  image:   "web"\n  env:\n  # db\n  - name: DB_PASSWORD\n    value: ${pw}   # old\n\n  - name:  B\n    value: 'b'\n`)}# tail\n`
    const expected = text.replace(
      `value: ${pw}   # old`,
      'valueFrom:\n        secretKeyRef:\n          name: web-secrets\n          key: DB_PASSWORD   # old',
    )
    assert.equal(fix(text).text, expected)
  })
  test('JSON and Lists', () => {
    const one = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'n' },
      spec: {
        containers: [
          { name: 'w', image: 'w', args: [`--token=${letters(24)}`], env: [{ name: 'PASSWORD', value: pw }] },
        ],
      },
    }
    const text = JSON.stringify(
      { apiVersion: 'v1', kind: 'List', items: [one, { ...one, metadata: { name: 'b' } }] },
      null,
      2,
    )
    const { text: after, secrets, fixed } = fix(text)
    assert.equal(fixed.length, 4)
    assert.doesNotThrow(() => JSON.parse(after))
    assert.deepEqual(effective(after, secrets.toString()), effective(text, ''))
    const names = (loadAll(secrets.toString()) as KubeObject[]).map(({ metadata }) => metadata)
    assert.deepEqual(names, [{ name: 'a-secrets', namespace: 'n' }, { name: 'b-secrets' }])
  })
})

describe('what cannot be replaced safely stays', () => {
  const rows: [string, string, RegExp][] = [
    [
      'anchors',
      pod(`- name: web\n  image: web\n  env:\n  - &pw\n    name: DB_PASSWORD\n    value: ${pw}\n  - *pw\n`),
      /anchor/,
    ],
    ['merge keys', pod(`- name: web\n  image: web\n  env:\n  - <<: {name: DB_PASSWORD, value: ${pw}}\n`), /anchor/],
    ['expansions', pod(`- name: web\n  image: web\n  env:\n  - {name: DB_PASSWORD, value: "${pw}$$x"}\n`), /\$\$/],
    [
      'a comment within',
      pod(`- name: web\n  image: web\n  env:\n  - name: DB_PASSWORD\n    value: # why\n      ${pw}\n`),
      /safely/,
    ],
    [
      'a custom resource',
      pod(`- name: web\n  image: web\n  env:\n  - {name: DB_PASSWORD, value: ${pw}}\n`).replace('v1', 'example.com/v1'),
      /built-in/,
    ],
    [
      'a ConfigMap',
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {password: ${pw}}\n`,
      /no safe replacement/,
    ],
  ]
  for (const [what, text, why] of rows)
    test(what, () => {
      const { text: after, refused, fixed, secrets } = fix(text)
      assert.equal(after, text)
      assert.equal(fixed.length, 0)
      assert.match(refused[0]!.why, why)
      assert.equal(secrets.changed, false)
    })
})

test('any container survives a fix: it means what it meant', () => {
  const word = fc.constantFrom(
    'a b',
    '$HOME',
    "it's",
    '"q"',
    '--x',
    pw,
    `--password=${pw}`,
    `--api-key=${letters(24)}`,
    `TOKEN=${pw}`,
    '# no',
    '- x',
    'é',
    '{a: b}',
  )
  const style = fc.record({
    flowLevel: fc.constantFrom(-1, 4, 6, 8),
    indent: fc.constantFrom(1, 2, 4),
    noArrayIndent: fc.boolean(),
    forceQuotes: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 5 }),
      fc.array(word, { maxLength: 4 }),
      style,
      fc.boolean(),
      (args, values, options, withEnv) => {
        const env = values.map((value, i) => ({ name: i % 2 === 0 ? `V${i}_PASSWORD` : `V${i}`, value }))
        const container = { name: 'web', image: 'web', args, ...(withEnv ? { env } : {}) }
        const text = dump(
          { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' }, spec: { containers: [container] } },
          options,
        )
        const { text: after, secrets } = fix(text)
        const same = (t: string, s: string): unknown =>
          JSON.parse(JSON.stringify(effective(t, s)).replace('"env":[],', ''))
        assert.deepEqual(same(after, secrets.toString()), same(text, ''))
      },
    ),
    { numRuns: 300 },
  )
})

describe('the file of Secrets', () => {
  const id = { name: 'web-secrets', namespace: 'shop' }
  test('keeps what it has, with comments, and adds', () => {
    const first = new SecretsFile('')
    assert.equal(first.keyFor(id, 'A', 'one'), 'A')
    assert.equal(first.keyFor(id, 'A', 'two'), 'A-2')
    first.commit()
    const text = first.toString().replace('  A: one', '  A: one # mine')
    const second = new SecretsFile(text)
    assert.equal(second.changed, false)
    assert.equal(second.keyFor(id, 'A', 'one'), 'A')
    assert.equal(second.keyFor(id, 'A', 'three'), 'A-3')
    assert.equal(second.keyFor({ name: 'other' }, 'A', 'x'), 'A')
    second.commit()
    assert.match(second.toString(), /A: one # mine\n {2}A-2: two\n {2}A-3: three\n---\n[\s\S]*name: other/)
  })
  test('what is rolled back is not in it', () => {
    const file = new SecretsFile('')
    file.keyFor(id, 'A', 'one')
    file.rollback()
    file.commit()
    assert.equal(file.changed, false)
    assert.equal(file.toString(), '')
  })
  test('is refused when it holds anything else', () => {
    for (const text of [
      'kind: Pod\napiVersion: v1\n',
      'a: [',
      'x',
      'apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops: {}\n',
      'apiVersion: v1\nkind: Secret\nmetadata: {}\n',
      'apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n',
    ])
      assert.throws(() => new SecretsFile(text), SecretsFileError)
  })
})
