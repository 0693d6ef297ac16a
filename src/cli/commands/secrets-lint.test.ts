import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const folder = mkdtempSync(join(tmpdir(), 'rampart-secrets-lint-'))
after(() => rmSync(folder, { recursive: true }))
/** The command alone, as main.ts wires it. */
const program = join(folder, 'program.ts')
before(() =>
  writeFileSync(
    program,
    `import { Command, CommanderError } from '${fileURLToPath(import.meta.resolve('commander'))}'
import { registerSecretsLint } from '${fileURLToPath(new URL('./secrets-lint.ts', import.meta.url))}'
const root = new Command('rampart').exitOverride()
registerSecretsLint(root.command('secrets'))
try {
  await root.parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = 2
  else if (typeof error.exitCode === 'number') {
    console.error(error.message)
    process.exitCode = error.exitCode
  } else throw error
}
`,
  ),
)

type Run = { status: number | null; stdout: string; stderr: string }
const lint = (args: readonly string[], input = ''): Run =>
  spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', program, 'secrets', 'lint', ...args], {
    encoding: 'utf8',
    input,
    timeout: 30_000,
  })

const pw = 'q9w8E7r6Tz'
const manifest = `# shop
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data:
  level: debug
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: web
        image: web:1
        args: [--token=${pw}9]
        env:
        - name: DB_PASSWORD
          value: ${pw} # db
`
let files = 0
function file(content: string, name = `f${files++}.yaml`): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe('rampart secrets lint', () => {
  test('what cannot be read in a folder is told and hides nothing else; links to folders are not followed', () => {
    const tree = join(folder, 'tree')
    mkdirSync(join(tree, 'inner', 'deep.yaml'), { recursive: true })
    symlinkSync('user@host.1:2', join(tree, '.#web.yaml'))
    symlinkSync('..', join(tree, 'inner', 'back.yaml'))
    file(manifest, 'tree/web.yaml')
    file(manifest, 'tree/inner/deep.yaml/app.json')
    file('kind: [', 'tree/broken.yml')
    file(manifest, 'tree/notes.txt')
    const flat = lint([tree])
    assert.equal(flat.status, 2)
    assert.match(flat.stderr, /\.#web\.yaml cannot be read/)
    assert.match(flat.stderr, /broken\.yml:1/)
    assert.match(flat.stderr, /2 findings;/)
    assert.match(flat.stdout, /tree\/web\.yaml:/)
    assert.match(lint(['-R', tree]).stderr, /4 findings;/)
  })

  test('exit codes: 0 nothing, 1 findings, 2 unreadable or wrong usage', () => {
    assert.equal(lint([file(manifest.replaceAll(pw, '$(X)'))]).status, 0)
    assert.equal(lint([file(manifest)]).status, 1)
    assert.equal(lint([file('kind: [')]).status, 2)
    assert.equal(lint([join(folder, 'missing.yaml')]).status, 2)
    for (const args of [
      [],
      ['--cluster', 'x.yaml'],
      ['--cluster', '--fix'],
      ['-o', 'name', 'x'],
      ['--fix', '-', 'x'],
      ['--nonsense'],
    ])
      assert.equal(lint(args).status, 2, args.join(' '))
  })
  test('a table with places and without values', () => {
    const path = file(manifest)
    const { stdout, stderr } = lint([path])
    assert.match(stdout, /^WHERE +SEVERITY +RULE +OBJECT +FIELD +VALUE\n/)
    assert.match(
      stdout,
      new RegExp(`${path}:17 +high +command-line +Deployment/web +spec.template.spec.containers\\[0\\].args\\[0\\]`),
    )
    assert.match(stdout, new RegExp(`${path}:20 +high +named-secret`))
    assert.ok(!`${stdout}${stderr}`.includes(pw))
    assert.match(stderr, /2 findings/)
    assert.match(lint(['-o', 'wide', path]).stdout, /kind: Secret[\s\S]*secretKeyRef:/)
  })
  test('JSON for programs, also from standard input', () => {
    const { status, stdout } = lint(['-o', 'json', '-'], manifest)
    const { findings, suppressed } = JSON.parse(stdout) as { findings: Record<string, unknown>[]; suppressed: number }
    assert.equal(status, 1)
    assert.equal(suppressed, 0)
    assert.deepEqual(
      findings.map(({ rule, file, line }) => [rule, file, line]),
      [
        ['command-line', '-', 17],
        ['named-secret', '-', 20],
      ],
    )
    assert.ok(!stdout.includes(pw))
  })
  test('one broken document: the others are looked at, and the exit code is 2', () => {
    const { status, stdout, stderr } = lint(['-o', 'json', '-'], `${manifest}---\nkind: [\n---\n${manifest}`)
    assert.equal(status, 2)
    assert.equal((JSON.parse(stdout) as { findings: unknown[] }).findings.length, 4)
    assert.match(stderr, /-:22: /)
  })
  test('comments and annotations suppress', () => {
    const count = (text: string): number[] => {
      const { findings, suppressed } = JSON.parse(lint(['-o', 'json', '-'], text).stdout) as {
        findings: unknown[]
        suppressed: number
      }
      return [findings.length, suppressed]
    }
    assert.deepEqual(count(manifest.replace('# db', '# rampart:ignore')), [1, 1])
    assert.deepEqual(count(manifest.replace('# db', '# db # rampart:ignore named-secret')), [1, 1])
    assert.deepEqual(count(manifest.replace('# db', '# rampart:ignore jwt')), [2, 0])
    const annotated = manifest.replace(
      'name: web, ',
      "name: web, annotations: {secrets.rampart.dev/lint-ignore: '*'}, ",
    )
    assert.deepEqual(count(annotated), [0, 2])
    assert.equal(lint(['-'], annotated).status, 0)
  })
  test('Secrets in manifests are findings unless accepted', () => {
    const secret = `apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: ${pw}\n`
    const { status, stdout } = lint(['-'], secret)
    assert.equal(status, 1)
    assert.match(stdout, /stdin:5 +low +secret-manifest/)
    assert.equal(lint(['--no-secret-manifests', '-'], secret).status, 0)
  })
})

describe('rampart secrets lint --fix', () => {
  test('edits the file, keeps its mode, and puts the values beside it', () => {
    const path = file(manifest, 'web.yaml')
    chmodSync(path, 0o640)
    const first = lint(['--fix', path])
    assert.equal(first.status, 0)
    assert.match(first.stderr, /fixed .*web\.yaml:20: .* key DB_PASSWORD of Secret web-secrets/)
    assert.match(first.stderr, /do not commit it/)
    assert.ok(!`${first.stdout}${first.stderr}`.includes(pw))
    assert.equal(statSync(path).mode & 0o777, 0o640)
    const secrets = join(folder, 'web.secrets.yaml')
    assert.equal(statSync(secrets).mode & 0o777, 0o600)
    assert.match(readFileSync(secrets, 'utf8'), new RegExp(`DB_PASSWORD: ${pw}\n`))
    assert.match(readFileSync(path, 'utf8'), /^# shop\n[\s\S]*key: DB_PASSWORD # db\n/)
    assert.equal(lint([path]).status, 0)
    // Again: nothing to do, nothing touched.
    const before = readFileSync(path, 'utf8') + readFileSync(secrets, 'utf8')
    assert.equal(lint(['--fix', path]).status, 0)
    assert.equal(readFileSync(path, 'utf8') + readFileSync(secrets, 'utf8'), before)
    // More of the same: added to what is there.
    writeFileSync(path, manifest.replaceAll(pw, `${pw}new`))
    assert.equal(lint(['--fix', path]).status, 0)
    assert.match(readFileSync(secrets, 'utf8'), new RegExp(`DB_PASSWORD: ${pw}\n[\\s\\S]*DB_PASSWORD-2: ${pw}new\n`))
  })
  test('a file of Secrets that is not one is left alone, and so is the manifest', () => {
    const path = file(manifest, 'taken.yaml')
    const secrets = file('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n', 'taken.secrets.yaml')
    const { status, stderr } = lint(['--fix', path])
    assert.equal(status, 1)
    assert.match(stderr, /taken\.yaml is not fixed: .*taken\.secrets\.yaml stays as it is/)
    assert.equal(readFileSync(path, 'utf8'), manifest)
    assert.match(readFileSync(secrets, 'utf8'), /ConfigMap/)
  })
  test('a link stays a link', () => {
    const target = file(manifest, 'target.yaml')
    symlinkSync(target, join(folder, 'link.yaml'))
    assert.equal(lint(['--fix', join(folder, 'link.yaml')]).status, 0)
    assert.match(readFileSync(target, 'utf8'), /secretKeyRef/)
    assert.ok(existsSync(join(folder, 'link.secrets.yaml')))
  })
  test('of standard input the fixed manifest and its Secrets go to standard output', () => {
    const { status, stdout, stderr } = lint(['--fix', '-'], manifest)
    assert.equal(status, 0)
    assert.match(stdout, /^# shop\n[\s\S]*secretKeyRef[\s\S]*\n---\napiVersion: v1\nkind: Secret\n/)
    assert.ok(!stderr.includes(pw))
    assert.equal(lint(['--no-secret-manifests', '-'], stdout).status, 0)
  })
  test('what cannot be fixed is a finding still', () => {
    const path = file(`${manifest}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndata: {password: ${pw}}\n`)
    const { status, stdout, stderr } = lint(['--fix', '-o', 'json', path])
    assert.equal(status, 1)
    const { findings, fixed } = JSON.parse(stdout) as { findings: unknown[]; fixed: unknown[] }
    assert.deepEqual([findings.length, fixed.length], [1, 2])
    assert.match(stderr, /left .*data\.password: there is no safe replacement/)
  })
})
