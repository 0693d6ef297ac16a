/** What `kubectl auth can-i --list` shows of a live server, beside what `rampart rbac can --list` finds by itself. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { KUBECTL_VERSIONS, startCluster, type TestCluster, testProgram } from './setup/cluster.ts'

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
    cluster = await startCluster()
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
