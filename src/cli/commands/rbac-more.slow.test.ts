import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { loadAll } from 'js-yaml'

/** The least program that has the commands: what main.ts does with errors, it does, too. */
const ENTRY = `
import { Command, CommanderError } from ${JSON.stringify(import.meta.resolve('commander'))}
import { registerRbacMore } from ${JSON.stringify(new URL('./rbac-more.ts', import.meta.url).href)}
const root = new Command('rampart').exitOverride()
registerRbacMore(root.command('rbac'))
try { await root.parseAsync(process.argv.slice(1), { from: 'user' }) } catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error.name === 'CliError') { console.error('rampart: ' + error.message); process.exitCode = error.exitCode }
  else throw error
}`

const folder = mkdtempSync(join(tmpdir(), 'rampart-rbac-more-'))
after(() => rmSync(folder, { recursive: true }))

type Result = { status: number | null; out: string; err: string }

function rbac(args: readonly string[], input = ''): Result {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', ENTRY, '--', 'rbac', ...args],
    { cwd: folder, input, encoding: 'utf8', timeout: 60_000, env: { ...process.env, HOME: folder, KUBECONFIG: '' } },
  )
  return { status, out: stdout, err: stderr }
}

function file(name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content)
  return name
}

const manifest = (verbs: string, user = 'alice'): string => `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: pods, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods, secrets], verbs: [${verbs}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: pods, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pods}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ${user}}]
`
const old = file('old.yaml', manifest('get'))
const now = file('new.yaml', manifest('get, list'))

test('diff: exit 0 for none, 1 for some; data on stdout, the summary on stderr', () => {
  const none = rbac(['diff', old, old])
  assert.deepEqual([none.status, none.out, none.err], [0, '', 'nobody gains or loses anything\n'])
  const some = rbac(['diff', old, now])
  assert.equal(some.status, 1)
  assert.deepEqual(some.out.split('\n'), [
    'User alice',
    '  + list secrets in namespace shop  (RoleBinding shop/pods [new.yaml:8] → Role shop/pods [new.yaml:1])  DANGER: reads Secrets',
    '  + list pods in namespace shop  (RoleBinding shop/pods [new.yaml:8] → Role shop/pods [new.yaml:1])',
    '',
  ])
  assert.equal(some.err, '2 gains (1 dangerous) and 0 losses of 1 subjects\n')
})

test('diff: standard input, JSON, YAML, the default roles, overlay', () => {
  const json = rbac(['diff', '-', now, '-o', 'json'], manifest('get'))
  assert.equal(json.status, 1)
  const diff = JSON.parse(json.out)
  assert.deepEqual(diff.summary, { subjects: 1, gains: 2, losses: 0, dangerousGains: 1 })
  assert.deepEqual(diff.subjects[0].changes[0].rules, [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }])
  const yaml = rbac(['diff', old, now, '-o', 'yaml'])
  assert.deepEqual(loadAll(yaml.out), [JSON.parse(rbac(['diff', old, now, '-o', 'json']).out)])

  const admin = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"a"},
    "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"eve"}]}`
  const more = file('admin.json', admin)
  const laid = rbac(['diff', old, more, '--overlay'])
  assert.match(laid.out, /^User eve\n {2}\+ \* \*\.\* cluster-wide .*DANGER: everything/)
  assert.doesNotMatch(laid.out, /alice/)
  assert.match(rbac(['diff', old, more]).out, /^User alice\n {2}- get /)
  // Without the default roles nobody knows what the binding gives.
  assert.match(
    rbac(['diff', old, more, '--overlay', '--no-defaults']).out,
    /ClusterRole cluster-admin, whose rules are not known/,
  )
})

test('diff: wrong usage is 2, a cluster that is not there 3', () => {
  file('broken.yaml', 'kind: [')
  const cases: [args: string[], status: number, message: RegExp][] = [
    [[old], 2, /missing required argument/],
    [['-', '-'], 2, /only one of OLD and NEW/],
    [[old, 'nowhere.yaml'], 2, /nowhere.yaml cannot be read/],
    [[old, 'broken.yaml'], 2, /broken.yaml:1/],
    [[old, now, '-o', 'wide'], 2, /-o wide/],
    [[old, now, '-o', 'xml'], 2, /not an output format/],
    [[old, 'context:nope', '--kubeconfig', 'nowhere'], 3, /nowhere/],
    [['live', old, '--kubeconfig', 'nowhere'], 3, /nowhere/],
  ]
  for (const [args, status, message] of cases) {
    const result = rbac(['diff', ...args])
    assert.equal(result.status, status, args.join(' '))
    assert.match(result.err, message)
    assert.equal(result.out, '')
  }
})

test('graph: DOT and JSON from manifests; nothing left is 1', () => {
  const dot = rbac(['graph', '-f', old, '--no-defaults'])
  assert.equal(dot.status, 0)
  assert.match(dot.out, /^digraph rbac \{\n.*"User\/alice" -> "RoleBinding\/shop\/pods" \[label="bound by"\].*\}\n$/s)
  const json = rbac(['graph', '-f', old, '-o', 'json', '--subject', 'user:alice', '-n', 'shop', '--role', 'shop/pods'])
  const graph = JSON.parse(json.out)
  assert.deepEqual(
    graph.nodes.map((n: { id: string }) => n.id.replace(/[0-9a-f]{12}$/, '#')),
    ['User/alice', 'RoleBinding/shop/pods', 'Role/shop/pods', 'Role/shop/pods/rules/#'],
  )
  assert.equal(graph.edges.length, 3)
  const none = rbac(['graph', '-f', old, '-o', 'json', '--subject', 'user:nobody'])
  assert.deepEqual([none.status, JSON.parse(none.out)], [1, { nodes: [], edges: [] }])
  assert.equal(rbac(['graph', '-f', old, '-o', 'svg']).status, 2)
})

const event = (verb: string, name: string | undefined, fields: object = {}): string =>
  `${JSON.stringify({
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    stage: 'ResponseComplete',
    verb,
    user: { username: 'alice', groups: ['dev'] },
    objectRef: { resource: 'configmaps', namespace: 'shop', name },
    responseStatus: { code: 200 },
    requestReceivedTimestamp: '2026-11-01T10:00:00Z',
    ...fields,
  })}\n`

const ruleLines = (text: string): string[] => text.split('\n').filter((l) => /^( {2}|- )(resource|verbs)/.test(l))

test('generate: YAML that can be applied; rotated and packed files; broken lines by number and without their text', () => {
  file('audit.log', `${event('get', 'web')}{"password":"hunter2"\n${event('get', 'web')}`)
  file('audit.log.2026-11-01T09-00-00-000Z-0000', event('list', undefined))
  file('audit-2026-11-01T08-00-00.000.log.gz', gzipSync(event('watch', undefined) + event('patch', 'db')))
  file('audit.log.notes', 'no log at all\n')
  const all = rbac(['generate', '--from-audit', 'audit.log', '--user', 'alice', '--name', 'alice'])
  assert.equal(all.status, 0, all.err)
  assert.deepEqual(ruleLines(all.out), [
    '  resources: [configmaps]',
    '  verbs: [list, watch]',
    '  resources: [configmaps]',
    '  resourceNames: [db]',
    '  verbs: [patch]',
    '  resources: [configmaps]',
    '  resourceNames: [web]',
    '  verbs: [get]',
  ])
  assert.equal(all.err, 'audit.log:2: left out: it is not JSON\n')
  assert.deepEqual(
    loadAll(all.out).map((d) => (d as { kind: string; metadata: unknown }).kind),
    ['Role', 'RoleBinding'],
  )
  const one = rbac(['generate', '--from-audit', 'audit.log', '--no-rotated', '-o', 'json', '--names', 'never'])
  const list = JSON.parse(one.out)
  assert.deepEqual(list.items[0].rules, [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }])
  assert.deepEqual(
    rbac([
      'diff',
      file('generated.yaml', all.out),
      file('generated.json', rbac(['generate', '--from-audit', 'audit.log', '-o', 'json']).out),
    ]).status,
    0,
  )
})

test('generate: standard input, folders, groups, denied', () => {
  const denied = event('delete', 'web', {
    annotations: { 'authorization.k8s.io/decision': 'forbid' },
    responseStatus: { code: 403 },
  })
  const some = rbac(['generate', '--from-audit', '-', '--group', 'dev'], event('get', 'web') + denied)
  assert.match(some.out, /kind: Group\n {2}name: dev/)
  assert.deepEqual(ruleLines(some.out).at(-1), '  verbs: [get]')
  assert.match(some.err, /1 refused requests are left out/)
  const more = rbac(['generate', '--from-audit', '-', '--include-denied'], event('get', 'web') + denied)
  assert.deepEqual(ruleLines(more.out).at(-1), '  verbs: [get, delete]')
  const packed = spawnGzip(event('get', 'web'))
  assert.equal(packed.status, 0, packed.err)
  mkdirSync(join(folder, 'logs'))
  file('logs/b.log', event('get', 'b'))
  file('logs/a.jsonl', event('get', 'a'))
  assert.match(rbac(['generate', '--from-audit', 'logs']).out, /resourceNames: \[a, b\]/)
})

function spawnGzip(text: string): Result {
  file('packed', gzipSync(text))
  return rbac(['generate', '--from-audit', 'packed'])
}

test('generate: what is wrong is 2, nothing found is 1', () => {
  file('truncated.log.gz', gzipSync(event('get', 'web').repeat(100)).subarray(0, 60))
  file('one.log', event('get', 'web'))
  mkdirSync(join(folder, 'empty'))
  const cases: [args: string[], status: number, message: RegExp][] = [
    [[], 2, /--from-audit/],
    [['--from-audit', 'nowhere.log'], 2, /nowhere.log cannot be read/],
    [['--from-audit', 'empty'], 2, /no audit log in empty/],
    [['--from-audit', 'truncated.log.gz'], 2, /truncated.log.gz cannot be read/],
    [['--from-audit', 'one.log', '--names', 'some'], 2, /auto, always or never/],
    [['--from-audit', 'one.log', '--since', 'yesterday'], 2, /--since/],
    [['--from-audit', 'one.log', '--service-account', 'web'], 2, /NAMESPACE\/NAME/],
    [['--from-audit', 'one.log', '--name', 'a/b'], 2, /--name/],
    [['--from-audit', 'one.log', '--min-count', '-1'], 2, /--min-count/],
    [['--from-audit', 'one.log', '-o', 'wide'], 2, /yaml or json/],
    [['--from-audit', 'one.log', '--user', 'bob'], 1, /shows nothing/],
    [['--from-audit', 'one.log', '--since', '2026-11-02T00:00:00Z'], 1, /shows nothing/],
  ]
  for (const [args, status, message] of cases) {
    const result = rbac(['generate', ...args])
    assert.equal(result.status, status, `${args.join(' ')}: ${result.err}`)
    assert.match(result.err, message)
    assert.equal(result.out, '')
  }
})
