/**
 * RBAC of a live server: what `kubectl auth can-i --list` shows beside what `rampart rbac can --list` finds by itself; what
 * PUT creates; reviews; roles generated from the server's own audit log, and differences, proved by kubectl.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  KUBECTL_VERSIONS,
  type Run,
  rampart,
  run,
  startCluster,
  type TestCluster,
  testProgram,
} from './setup/cluster.ts'

const WORLD = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: odd}
rules:
- {verbs: [get, list], apiGroups: ['', apps], resources: [secrets, 'deployments/scale'], resourceNames: [a, b]}
- {verbs: ['*'], apiGroups: [example.com], resources: ['*']}
- {verbs: [frobnicate], apiGroups: [''], resources: ['*/status', pods]}
- {verbs: [get, post], nonResourceURLs: ['/metrics', '/debug/*']}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: odd}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: odd}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'system:serviceaccounts:default'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: views, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
- {kind: ServiceAccount, name: robot}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: bob}
`

type Rule = {
  verbs: string[]
  apiGroups?: string[]
  resources?: string[]
  resourceNames?: string[]
  nonResourceURLs?: string[]
}

describe('who may do what, asked twice', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await startCluster(['--nodes', '0'])
    const { code, stderr } = await cluster.kubectl('1.32', ['apply', '-f', '-'], { input: WORLD })
    assert.equal(code, 0, stderr)
  })
  after(() => cluster?.stop())

  const subjects: [user: string, groups: string[]][] = [
    ['alice', []],
    ['bob', []],
    ['nobody', []],
    ['system:serviceaccount:default:robot', ['system:serviceaccounts', 'system:serviceaccounts:default']],
  ]
  for (const version of KUBECTL_VERSIONS)
    for (const [user, groups] of subjects)
      test(`${user}, as kubectl ${version} lists it`, {
        skip: !testProgram(`kubectl-${version}`) && 'it is not there',
      }, async () => {
        const as = ['--as', user, ...[...groups, 'system:authenticated'].flatMap((g) => ['--as-group', g])]
        const listed = await cluster.kubectl(version, [
          'auth',
          'can-i',
          '--list',
          '-n',
          'default',
          '--no-headers',
          ...as,
        ])
        assert.equal(listed.code, 0, listed.stderr)
        const found = await cluster.rampart(['rbac', 'can', user, '--list', '-n', 'default', '-o', 'json'])
        assert.equal(found.code, 0, found.stderr)
        const { rules } = JSON.parse(found.stdout) as { rules: { rule: Rule }[] }
        const ours = new Set(rules.flatMap(({ rule }) => permissionsOf(rule)))
        const theirs = new Set(listed.stdout.trimEnd().split('\n').flatMap(permissionsOfLine))
        assert.ok(theirs.size > 5)
        assert.deepEqual([...theirs].sort(), [...ours].sort())
      })
})

/** Without names for everything of that resource; kubectl shows each name by itself. */
const each = (names: readonly string[]): readonly string[] => (names.length === 0 ? [''] : names)

function permissionsOf(rule: Rule): string[] {
  const what = [
    ...(rule.nonResourceURLs ?? []),
    ...(rule.apiGroups ?? []).flatMap((group) =>
      (rule.resources ?? []).flatMap((resource) => {
        const [name, sub] = resource.split('/')
        const full = `${name}${group === '' ? '' : `.${group}`}${sub === undefined ? '' : `/${sub}`}`
        return each(rule.resourceNames ?? []).map((n) => `${full} (${n})`)
      }),
    ),
  ]
  return what.flatMap((w) => rule.verbs.map((verb) => `${verb} ${w}`))
}

/** `secrets   []   [a b]   [get list]`: resource, URLs, names, verbs. */
function permissionsOfLine(line: string): string[] {
  const match = /^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$/.exec(line)
  assert.ok(match, line)
  const [, resource, urls, names, verbs] = match as unknown as [string, string, string, string, string]
  const what = resource === '' ? urls.split(' ') : each(names.split(' ')).map((n) => `${resource} (${n})`)
  return what.flatMap((w) => verbs.split(' ').map((verb) => `${verb} ${w}`))
}

const RBAC = 'rbac.authorization.k8s.io'
const skip = !testProgram('kubectl-1.32') && 'kubectl 1.32 is not there'

describe('writing, reviewing, generating, comparing', { skip }, () => {
  let cluster: TestCluster
  let scratch: string
  const kubectl = (args: readonly string[], input?: string, env: NodeJS.ProcessEnv = {}): Promise<Run> =>
    cluster.kubectl('1.32', args, { env, ...(input === undefined ? {} : { input }) })
  const done = async (running: Promise<Run>): Promise<string> => {
    const { code, stdout, stderr } = await running
    assert.equal(code, 0, stderr)
    return stdout
  }
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'rampart-rbac-'))
    cluster = await startCluster(['--nodes', '0'])
  })
  after(async () => {
    await cluster?.stop()
    rmSync(scratch, { recursive: true, force: true })
  })

  test('PUT creates roles and bindings, with the checks of a create', async () => {
    const pods = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]
    const secrets = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }]
    const role = (name: string, rules: object[]): object => ({ kind: 'ClusterRole', metadata: { name }, rules })
    const put = (resource: string, object: object, ...args: string[]): Promise<Run> => {
      const full = { apiVersion: `${RBAC}/v1`, metadata: { name: '' }, ...object }
      const path = `/apis/${RBAC}/v1/${resource}/${full.metadata.name}`
      return kubectl(['replace', '--raw', path, '-f', '-', ...args], JSON.stringify(full))
    }
    const binding = (name: string, roleName: string, user: string): object => ({
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: roleName },
      subjects: [{ apiGroup: RBAC, kind: 'User', name: user }],
    })
    const writing = {
      verbs: ['create', 'update'],
      apiGroups: [RBAC],
      resources: ['clusterroles', 'clusterrolebindings'],
    }
    await done(put('clusterroles', role('put-writer', [writing, ...pods])))
    await done(put('clusterroles', role('put-updater', [{ ...writing, verbs: ['update'] }, ...pods])))
    await done(put('clusterrolebindings', binding('put-writer', 'put-writer', 'wendy')))
    await done(put('clusterrolebindings', binding('put-updater', 'put-updater', 'uma')))

    const refused = async (running: Promise<Run>, why: RegExp): Promise<void> => {
      const { code, stderr } = await running
      assert.equal(code, 1)
      assert.match(stderr, why)
    }
    const grants =
      /attempting to grant RBAC permissions not currently held:\n\{APIGroups:\[""\], Resources:\["secrets"\]/
    await done(put('clusterroles', role('put-mine', pods), '--as=wendy'))
    await refused(put('clusterroles', role('put-more', secrets), '--as=wendy'), grants)
    await refused(put('clusterroles', role('put-mine', secrets), '--as=wendy'), grants)
    await refused(
      put('clusterroles', role('put-other', pods), '--as=uma'),
      /"uma" cannot create resource "clusterroles"/,
    )
    await done(put('clusterrolebindings', binding('put-mine', 'put-mine', 'wendy'), '--as=wendy'))
    await refused(
      put('clusterrolebindings', binding('put-admin', 'cluster-admin', 'wendy'), '--as=wendy'),
      /not currently held/,
    )
    await refused(
      put('clusterrolebindings', binding('put-gone', 'nowhere', 'wendy'), '--as=wendy'),
      /"nowhere" not found/,
    )
    await refused(put('clusterrolebindings', binding('put-mine', 'view', 'wendy')), /cannot change roleRef/)
    for (const name of ['put-more', 'put-other', 'put-admin', 'put-gone'])
      assert.match((await kubectl(['get', `clusterrole/${name}`, `clusterrolebinding/${name}`])).stderr, /not found/)
  })

  test('a binding to a missing role is told, and the list of rules is whole', async () => {
    await done(kubectl(['create', 'clusterrolebinding', 'dangling', '--clusterrole=nowhere', '--user=dora']))
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: 'default' },
    }
    const { status } = JSON.parse(
      await done(kubectl(['create', '-o', 'json', '--validate=false', '--as=dora', '-f', '-'], JSON.stringify(review))),
    )
    assert.equal(status.incomplete, false)
    assert.equal(status.evaluationError, `clusterrole.${RBAC} "nowhere" not found`)
    for (const version of KUBECTL_VERSIONS) {
      if (!testProgram(`kubectl-${version}`)) continue
      const { code, stderr } = await cluster.kubectl(version, ['auth', 'can-i', '--list', '--as=dora'])
      assert.deepEqual([code, stderr], [0, ''])
    }
  })

  test('a review about a machine’s list asks with its selector', async () => {
    const ask = async (fieldSelector: object | undefined): Promise<object> => {
      const resourceAttributes = { verb: 'list', resource: 'pods', ...(fieldSelector && { fieldSelector }) }
      const spec = { user: 'system:node:m1', groups: ['system:nodes'], resourceAttributes }
      const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
      return JSON.parse(await done(kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(review)))).status
    }
    const own = { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['m1'] }] }
    assert.deepEqual(await ask(own), { allowed: true, reason: 'Node authorizer: list pods belongs to node "m1"' })
    assert.partialDeepStrictEqual(await ask({ rawSelector: 'spec.nodeName=m2' }), { allowed: false })
    assert.partialDeepStrictEqual(await ask(undefined), { allowed: false })
  })

  test('generate: what an administrator did, a fresh account may repeat, and nothing else', async () => {
    for (const namespace of ['work', 'staff']) await done(kubectl(['create', 'namespace', namespace]))
    const signIn = async (account: string): Promise<NodeJS.ProcessEnv> => {
      await done(kubectl(['create', 'serviceaccount', account, '-n', 'staff']))
      const token = (await done(kubectl(['create', 'token', account, '-n', 'staff']))).trim()
      const config = JSON.parse(await done(kubectl(['config', 'view', '--raw', '-o', 'json'])))
      const file = join(scratch, account)
      config.users[0].user = { token }
      writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
      return { KUBECONFIG: file, HOME: join(scratch, `home-${account}`) }
    }
    const manifest = join(scratch, 'web.yaml')
    writeFileSync(manifest, WEB)
    const work = [
      'get namespaces',
      'create configmap one --from-literal=a=b',
      'label configmap one x=y',
      'create secret generic key --from-literal=a=b',
      `apply -f ${manifest}`,
      `apply -f ${manifest}`,
      `apply --server-side --force-conflicts -f ${manifest}`,
      'scale deployment web --replicas=2',
      'get all',
      'describe deployment web',
      'run one --image=registry.example/one',
      'wait pod/one --for=jsonpath={.metadata.name}=one --timeout=10s',
      'create serviceaccount robot',
      'create token robot',
      'delete pod one --grace-period=0 --force',
      'delete configmap,secret,deployment,service --all',
      'delete serviceaccount robot',
    ].map((line) => [...line.split(' '), '-n', 'work'])
    const repeat = async (env: NodeJS.ProcessEnv): Promise<string[]> => {
      const failures: string[] = []
      for (const args of work) {
        const { code, stderr } = await kubectl(args, undefined, env)
        if (code !== 0) failures.push(`${args.join(' ')}: ${stderr}`)
      }
      return failures
    }

    const boss = await signIn('boss')
    const grant = ['create', 'clusterrolebinding', 'boss', '--clusterrole=cluster-admin', '--serviceaccount=staff:boss']
    await done(kubectl(grant))
    assert.deepEqual(await repeat(boss), [])
    const log = join(cluster.directory, 'audit', 'audit.log')
    const generated = await run(rampart, ['rbac', 'generate', '--from-audit', log, '--service-account', 'staff/boss'])
    assert.equal(generated.code, 0, generated.stderr)

    const fresh = await signIn('fresh')
    assert.equal((await repeat(fresh)).length, work.length)
    await done(kubectl(['apply', '-f', '-'], generated.stdout.replaceAll(/\bboss\b/g, 'fresh')))
    assert.deepEqual(await repeat(fresh), [])
    for (const more of [
      'get secret other -n work',
      'delete namespace work',
      'get configmaps -n staff',
      'create token boss -n staff',
      'create role r --verb=get --resource=pods -n work',
      'get pods -A',
    ])
      assert.match((await kubectl(more.split(' '), undefined, fresh)).stderr, /is forbidden/, more)
  })

  test('diff: what apply would change, before and after it', async () => {
    const more = `
apiVersion: ${RBAC}/v1
kind: RoleBinding
metadata: {name: gail-edits, namespace: default}
roleRef: {apiGroup: ${RBAC}, kind: ClusterRole, name: edit}
subjects: [{kind: User, apiGroup: ${RBAC}, name: gail}]
`
    const compare = (args: string[], input: string): Promise<Run> =>
      cluster.rampart(['rbac', 'diff', ...args], { input })
    const first = await compare(['live', '-', '--overlay'], more)
    assert.equal(first.code, 1, first.stderr)
    assert.match(first.stdout, /^User gail\n(?: {2}[+] .*\n)+/)
    assert.match(first.stdout, / {2}\+ .*secrets in namespace default .*DANGER: reads Secrets/)
    await done(kubectl(['apply', '-f', '-'], more))
    const second = await compare(['live', '-', '--overlay'], more)
    assert.deepEqual([second.code, second.stdout], [0, ''], second.stderr)
    await done(kubectl(['delete', 'rolebinding', 'gail-edits']))
    const third = await compare(['-', 'live', '-o', 'json'], more)
    assert.equal(third.code, 1, third.stderr)
    assert.match(third.stdout, /gail/)
  })
})

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example/web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`
