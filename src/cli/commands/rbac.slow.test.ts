import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { load, loadAll } from 'js-yaml'
import type { KubeObject } from '../../kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'

/** The least program that has the commands: what main.ts does with errors, it does, too. */
const ENTRY = `
import { Command, CommanderError } from ${JSON.stringify(import.meta.resolve('commander'))}
import { registerRbac } from ${JSON.stringify(new URL('./rbac.ts', import.meta.url).href)}
const root = new Command('rampart').exitOverride()
registerRbac(root)
try { await root.parseAsync(process.argv.slice(1), { from: 'user' }) } catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error.name === 'CliError') { console.error('rampart: ' + error.message); process.exitCode = error.exitCode }
  else throw error
}`

const folder = mkdtempSync(join(tmpdir(), 'rampart-rbac-'))
let server: TestServer
before(async () => {
  server = await startTestServer()
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const config = {
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: server.url, 'certificate-authority-data': base64(server.ca) } }],
    users: [
      {
        name: 'admin',
        user: { 'client-certificate-data': base64(server.adminCert), 'client-key-data': base64(server.adminKey) },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin', namespace: 'shop' } }],
  }
  writeFileSync(join(folder, 'kubeconfig'), JSON.stringify(config), { mode: 0o600 })
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

type Result = { status: number | null; out: string; err: string }

/** Not synchronous: the server that answers runs in this process. */
async function rbac(...args: string[]): Promise<Result> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', ENTRY, '--', 'rbac', ...args], {
    cwd: folder,
    timeout: 60_000,
    env: { ...process.env, HOME: folder, KUBECONFIG: join(folder, 'kubeconfig') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result: Result = { status: null, out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (result.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (result.err += text))
  result.status = await new Promise((resolve) => child.on('close', resolve))
  return result
}

const MANIFEST = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}
- {kind: ServiceAccount, name: web, namespace: shop}
`
writeFileSync(join(folder, 'shop.yaml'), MANIFEST)
const OFFLINE = ['-f', 'shop.yaml', '--no-defaults']

test('offline: who-can prints subject, place, binding, role and rule; remarks go to stderr', async () => {
  const some = await rbac('who-can', 'get', 'po', '-n', 'shop', '-o', 'wide', ...OFFLINE)
  assert.equal(some.status, 0)
  assert.match(some.out, /^SUBJECT +NAMESPACE +BINDING +ROLE +RULE +AT\n/)
  assert.match(
    some.out,
    /^user\/ann +shop +RoleBinding shop\/readers +Role shop\/reader +get,list pods +shop\.yaml:8$/m,
  )
  assert.match(some.err, /system:masters/)
  const nobody = await rbac('who-can', 'delete', 'pods', '-n', 'shop', ...OFFLINE)
  assert.deepEqual([nobody.status, nobody.out], [1, ''])
  const names = await rbac('who-can', 'list', 'pods', '-A', '-o', 'name', ...OFFLINE)
  assert.equal(names.out, 'user/ann\nserviceaccount/shop/web\n')
})

test('offline: can says yes with the rule, no with the change; manifests of that change, applied, say yes', async () => {
  const yes = await rbac('can', 'serviceaccount/shop/web', 'list', 'pods', '-n', 'shop', ...OFFLINE)
  assert.equal(yes.status, 0)
  assert.match(
    yes.out,
    /^yes\nbinding +RoleBinding shop\/readers \(shop\.yaml:8\)\nrole +Role shop\/reader\nrule +get,list pods\n$/,
  )
  const no = await rbac('can', 'ann', 'get', 'pods/log', '-n', 'shop', ...OFFLINE)
  assert.equal(no.status, 1)
  assert.match(no.out, /kubectl create role ann-get-pods-log --verb=get --resource=pods\/log -n shop/)
  const value = await rbac('can', 'ann', 'get', 'pods/log', '-n', 'shop', '-o', 'yaml', ...OFFLINE)
  const { allowed, nearMisses, smallestChange } = load(value.out) as {
    allowed: boolean
    nearMisses: { reason: string }[]
    smallestChange: { objects: object[] }
  }
  assert.deepEqual([allowed, nearMisses.map(({ reason }) => reason)], [false, ['subresource']])
  writeFileSync(
    join(folder, 'more.json'),
    JSON.stringify({ kind: 'List', apiVersion: 'v1', items: smallestChange.objects }),
  )
  const now = await rbac('can', 'ann', 'get', 'pods/log', '-n', 'shop', '-o', 'name', ...OFFLINE, '-f', 'more.json')
  assert.deepEqual([now.status, now.out], [0, 'yes\n'])
})

test('wrong usage and unreadable manifests: exit 2, the place is named', async () => {
  writeFileSync(
    join(folder, 'broken.yaml'),
    'kind: Role\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: 1}\n',
  )
  const ROWS: [args: string[], message: RegExp][] = [
    [['can', 'ann'], /VERB and RESOURCE, or --list/],
    [['can', 'ann', 'get', 'pods', '--list'], /--list alone/],
    [['can', 'sa/Not/A', 'get', 'pods', ...OFFLINE], /not a service account/],
    [['who-can', 'get'], /missing required argument 'resource'/],
    [['who-can', 'get', 'pods', '-o', 'xml', ...OFFLINE], /not an output format/],
    [['lint', '--severity', 'bad', ...OFFLINE], /low, medium, high, critical/],
    [['lint', '--rule', 'secret-read', ...OFFLINE], /"secret-read" is no rule: did you mean secrets-read\?/],
    [['lint', '--rule', 'escalate', '--rule', 'nonsense-at-all', ...OFFLINE], /no rule: known are .*bind, /],
    [['can', 'ann', '', 'pods', ...OFFLINE], /VERB and RESOURCE must not be empty/],
    [['who-can', 'get', '', ...OFFLINE], /VERB and RESOURCE must not be empty/],
    [['lint', '-f', 'broken.yaml'], /broken\.yaml:1: Role: metadata\.name/],
    [['lint', '-f', 'shop.yaml', '-f', 'shop.yaml'], /shop\.yaml:1: Role shop\/reader stands at shop\.yaml/],
    [['lint', '-f', 'none.yaml'], /none\.yaml cannot be read/],
  ]
  for (const [args, message] of ROWS) {
    const { status, out, err } = await rbac(...args)
    assert.deepEqual([status, out], [2, ''], args.join(' '))
    assert.match(err, message)
  }
})

test('a cluster that does not answer: exit 3', async () => {
  const { status, err } = await rbac('lint', '--kubeconfig', 'nowhere')
  assert.equal(status, 3)
  assert.match(err, /nowhere: no such file/)
})

test('live: the same commands over the API, and the server agrees with them', async () => {
  const { remoteClient } = server
  const id = (group: string, resource: string) => ({ group, version: 'v1', resource })
  assert.deepEqual((await rbac('lint')).out, '', 'a fresh cluster has no findings')
  await remoteClient.create(id('', 'namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
  await remoteClient.create(id('', 'serviceaccounts'), {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'web', namespace: 'shop' },
  })
  for (const object of loadAll(MANIFEST) as KubeObject[])
    await remoteClient.create(id('rbac.authorization.k8s.io', `${object.kind.toLowerCase()}s`), object)

  const who = await rbac('who-can', 'list', 'pods', '-o', 'json')
  const { holders } = JSON.parse(who.out) as { holders: { subject: { kind: string; name: string } }[] }
  assert.ok(holders.some(({ subject }) => subject.name === 'ann'))
  for (const [user, verb, resource] of [
    ['ann', 'list', 'pods'],
    ['ann', 'delete', 'pods'],
    ['ann', 'create', 'selfsubjectaccessreviews.authorization.k8s.io'],
    ['bob', 'list', 'pods'],
    ['system:serviceaccount:shop:web', 'get', 'pods'],
    ['system:kube-scheduler', 'create', 'pods/binding'],
  ] as const) {
    const [plain = '', subresource = ''] = resource.split('/')
    const [name = '', ...group] = plain.split('.')
    const review = await remoteClient.create(id('authorization.k8s.io', 'subjectaccessreviews'), {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        user,
        groups: ['system:authenticated'],
        resourceAttributes: { verb, group: group.join('.'), resource: name, subresource, namespace: 'shop' },
      },
    })
    const { status } = await rbac('can', user, verb, resource)
    assert.equal(status, review['status'].allowed ? 0 : 1, `${user} ${verb} ${resource}`)
  }
  const listed = await rbac('can', 'ann', '--list')
  assert.match(listed.out, /^pods +\[\] +\[\] +\[get list\] +RoleBinding shop\/readers +Role shop\/reader$/m)
})

test('live: lint finds what is dangerous, with typo hints from discovery, and custom kinds are none', async () => {
  const { remoteClient } = server
  const roles = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles' }
  await remoteClient.create(
    { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions' },
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.example.com' },
      spec: {
        group: 'example.com',
        names: { plural: 'widgets', singular: 'widget', kind: 'Widget', shortNames: ['wd'] },
        scope: 'Namespaced',
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    },
  )
  await remoteClient.create(roles, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'ops' },
    rules: [
      { apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] },
      { apiGroups: ['example.com'], resources: ['wigdets'], verbs: ['get'] },
      { apiGroups: [''], resources: ['nodes/proxy'], verbs: ['get'] },
    ],
  })
  await remoteClient.create(
    { ...roles, resource: 'clusterrolebindings' },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'ops' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'ops' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'ann' }],
    },
  )
  // Served as soon as the definition is established.
  for (let i = 0; i < 100; i++) {
    const groups = (await remoteClient.raw('GET', '/apis')) as { groups: { name: string }[] }
    if (groups.groups.some(({ name }) => name === 'example.com')) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { status, out, err } = await rbac('lint', '-o', 'json')
  assert.equal(status, 1)
  const { findings } = JSON.parse(out) as { findings: { rule: string; fix: string }[] }
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['nodes-proxy', 'unknown-resource'],
  )
  assert.equal(findings[1]!.fix, 'write widgets')
  assert.match(err, /^2 findings: 0 critical, 1 high, 0 medium, 1 low$/m)
  const short = await rbac('can', 'ann', 'get', 'wd', '-o', 'json')
  assert.equal(JSON.parse(short.out).question.resource, 'widgets')
  assert.equal(short.status, 0)
})
