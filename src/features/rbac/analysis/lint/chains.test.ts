import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../kernel/api/object.ts'
import { escalation } from '../escalation/build-graph.ts'
import { ADMIN, chainFrom } from '../escalation/graph.ts'
import { indirectHolders } from '../indirect.ts'
import { builtinResources } from '../known-resources.ts'
import { subjectName } from '../subject.ts'
import { whoCan } from '../who-can.ts'
import { account, bind, clusterRole, makeWorld, pod, role, withMetadata } from '../worlds.fixture.ts'
import { LINT_IGNORE, lintWorld } from './lint.ts'

const RBAC = 'rbac.authorization.k8s.io'
const CERTIFICATES = 'certificates.k8s.io'

/** A strong account in `ops`; `ann` gets to it, or not. */
const strong = [account('ops', 'root'), bind('', 'root', 'ClusterRole/cluster-admin', 'sa:ops/root')]
const ann = (namespace: string, ...rules: string[]): KubeObject[] =>
  namespace === ''
    ? [clusterRole('ann', ...rules), bind('', 'ann', 'ClusterRole/ann', 'user:ann')]
    : [role(namespace, 'ann', ...rules), bind(namespace, 'ann', 'Role/ann', 'user:ann')]

/** The chain of user ann as the subjects that are passed; empty without one. */
function chainOf(objects: KubeObject[], who = 'User:/ann'): string[] {
  const { graph, subjects } = escalation(makeWorld(...objects))
  return chainFrom(graph.waysTo([ADMIN]), who).map(({ to }) => {
    const subject = subjects.get(to)
    return subject === undefined ? to : subjectName(subject)
  })
}

const ROOT = ['serviceaccount/ops/root', 'admin']
const CSR = [
  `create ${CERTIFICATES} certificatesigningrequests`,
  `update ${CERTIFICATES} certificatesigningrequests/approval`,
]
/** An aggregated role that `ann` is bound to, and one that it does not gather (yet). */
const gatherer = (namespace: string): KubeObject[] => [
  clusterRole('other'),
  { ...clusterRole('gathers'), aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'gathers' } }] } },
  bind(namespace, 'gathers', 'ClusterRole/gathers', 'user:ann'),
]
const ROWS: [title: string, objects: KubeObject[], chain: string[]][] = [
  ['pods', [...strong, ...ann('ops', 'create core pods')], ROOT],
  ['pods elsewhere', [...strong, ...ann('shop', 'create core pods')], []],
  ['deployments', [...strong, ...ann('ops', 'patch apps deployments')], ROOT],
  ['reading pods', [...strong, ...ann('ops', 'get core pods')], []],
  ['tokens', [...strong, ...ann('ops', 'create core serviceaccounts/token')], ROOT],
  ['tokens of one', [...strong, ...ann('ops', 'create core serviceaccounts/token root')], ROOT],
  ['tokens of another', [...strong, ...ann('ops', 'create core serviceaccounts/token web')], []],
  ['tokens of one, everywhere', [...strong, ...ann('', 'create core serviceaccounts/token root')], ROOT],
  ['exec where it runs', [...strong, pod('ops', 'p', 'root'), ...ann('ops', 'create core pods/exec')], ROOT],
  ['exec where it does not run', [...strong, pod('ops', 'p', 'web'), ...ann('ops', 'create core pods/exec')], []],
  ['images where it runs', [...strong, pod('ops', 'p', 'root'), ...ann('ops', 'patch core pods')], ROOT],
  [
    'ephemeral containers',
    [...strong, pod('ops', 'p', 'root'), ...ann('ops', 'patch core pods/ephemeralcontainers')],
    ROOT,
  ],
  ['kubelets', [...strong, pod('ops', 'p', 'root'), ...ann('', 'get core nodes/proxy')], ROOT],
  ['kubelets, in a namespace', [...strong, pod('ops', 'p', 'root'), ...ann('ops', 'get core nodes/proxy')], []],
  ['secrets made and read', [...strong, ...ann('ops', 'create core secrets', 'get core secrets')], ROOT],
  ['secrets read', [...strong, ...ann('ops', 'get core secrets')], []],
  [
    'a stored token read',
    [strong[1]!, account('ops', 'root', { secrets: [{ name: 'root-token-x7' }] }), ...ann('ops', 'get core secrets')],
    ROOT,
  ],
  ['impersonating accounts', [...strong, ...ann('ops', 'impersonate core serviceaccounts')], ROOT],
  [
    'impersonating users',
    [...ann('', 'impersonate core users'), bind('', 'x', 'ClusterRole/cluster-admin', 'user:bob')],
    ['user/bob', 'admin'],
  ],
  [
    'impersonating one user',
    [...ann('', 'impersonate core users eve'), bind('', 'x', 'ClusterRole/cluster-admin', 'user:bob')],
    [],
  ],
  ['impersonating users and groups', ann('', 'impersonate core users,groups'), ['admin']],
  ['impersonating groups alone', ann('', 'impersonate core groups'), []],
  ['escalate and change', ann('', `escalate,patch ${RBAC} clusterroles`), ['admin']],
  ['escalate its own role, by name', ann('', `escalate,patch ${RBAC} clusterroles ann`), ['admin']],
  ['escalate another role, by name', ann('', `escalate ${RBAC} clusterroles other`, `patch ${RBAC} clusterroles`), []],
  ['change another role, by name', ann('', `escalate ${RBAC} clusterroles`, `patch ${RBAC} clusterroles other`), []],
  [
    'one rule of several fits',
    ann('', `escalate ${RBAC} clusterroles ann`, `patch ${RBAC} clusterroles other`, `update ${RBAC} clusterroles ann`),
    ['admin'],
  ],
  ['another role, gathered', [...gatherer(''), ...ann('', `escalate,patch ${RBAC} clusterroles other`)], ['admin']],
  [
    'a role that is not there, gathered',
    [...gatherer('').slice(1), ...ann('', `escalate,patch ${RBAC} clusterroles other`)],
    [],
  ],
  ['a new role, gathered', [...gatherer(''), ...ann('', `escalate,create ${RBAC} clusterroles`)], ['admin']],
  ['a new role, not gathered', ann('', `escalate,create ${RBAC} clusterroles`), []],
  [
    'a new role, escalated by name',
    [...gatherer(''), ...ann('', `escalate ${RBAC} clusterroles x`, `create ${RBAC} clusterroles`)],
    [],
  ],
  [
    'a new role, gathered in a namespace',
    [...strong, ...gatherer('ops'), ...ann('', `escalate,create ${RBAC} clusterroles`)],
    ROOT,
  ],
  [
    'roles of a namespace, by other names',
    [...strong, ...ann('ops', `escalate ${RBAC} roles x`, `update ${RBAC} roles`)],
    [],
  ],
  ['escalate alone', ann('', `escalate ${RBAC} clusterroles`), []],
  ['escalate roles', [...strong, ...ann('ops', `escalate,update ${RBAC} roles`)], ROOT],
  ['bind', ann('', `bind ${RBAC} clusterroles`, `create ${RBAC} clusterrolebindings`), ['admin']],
  ['bind without bindings', ann('', `bind ${RBAC} clusterroles`), []],
  ['bind a weak role', ann('', `bind ${RBAC} clusterroles view`, `create ${RBAC} clusterrolebindings`), []],
  [
    'bind a role that leads on',
    [
      ...ann('', `bind ${RBAC} clusterroles key`, `create ${RBAC} clusterrolebindings`),
      clusterRole('key', `escalate,patch ${RBAC} clusterroles`),
    ],
    ['role:/ClusterRole/key', 'admin'],
  ],
  ['bind in a namespace', [...strong, ...ann('ops', `bind ${RBAC} clusterroles`, `create ${RBAC} rolebindings`)], ROOT],
  [
    'bind a role of the namespace',
    [
      ...strong,
      role('ops', 'pods', 'create core pods'),
      ...ann('ops', `bind ${RBAC} roles pods`, `create ${RBAC} rolebindings`),
    ],
    ['role:ops/Role/pods', ...ROOT],
  ],
  [
    'certificates',
    [...ann('', ...CSR, `approve ${CERTIFICATES} signers`), bind('', 'x', 'ClusterRole/cluster-admin', 'user:bob')],
    ['user/bob', 'admin'],
  ],
  [
    'certificates of another signer',
    [...ann('', ...CSR, `approve ${CERTIFICATES} signers a/b`), bind('', 'x', 'ClusterRole/cluster-admin', 'user:bob')],
    [],
  ],
  [
    'webhooks',
    [...strong, ...ann('', 'create admissionregistration.k8s.io mutatingwebhookconfigurations')],
    ['serviceaccount/kube-system/clusterrole-aggregation-controller', 'admin'],
  ],
  [
    'by a group',
    [
      ...strong,
      role('ops', 'r', 'create core pods'),
      bind('ops', 'b', 'Role/r', 'group:system:authenticated'),
      bind('shop', 'x', 'ClusterRole/view', 'user:ann'),
    ],
    ROOT,
  ],
  [
    'three steps',
    [
      ...strong,
      ...ann('shop', 'create core pods'),
      account('shop', 'deployer'),
      role('ops', 'd', 'create batch jobs'),
      bind('ops', 'd', 'Role/d', 'sa:shop/deployer'),
    ],
    ['serviceaccount/shop/deployer', ...ROOT],
  ],
  [
    'four steps',
    [
      ...strong,
      ...ann('a', 'create core pods/exec'),
      pod('a', 'p', 'one'),
      role('b', 'r', 'impersonate core serviceaccounts two'),
      bind('b', 'r', 'Role/r', 'sa:a/one'),
      role('ops', 'r', 'create core serviceaccounts/token'),
      bind('ops', 'r', 'Role/r', 'sa:b/two'),
    ],
    ['serviceaccount/a/one', 'serviceaccount/b/two', ...ROOT],
  ],
  [
    'the shorter of two',
    [
      ...strong,
      ...ann('shop', 'create core pods'),
      role('ops', 'r', 'create core pods'),
      bind('ops', 'r', 'Role/r', 'sa:shop/web', 'user:ann'),
    ],
    ROOT,
  ],
  [
    'a circle that leads nowhere',
    [
      ...ann('shop', 'create core pods'),
      role('shop', 'r', 'create core pods'),
      bind('shop', 'r', 'Role/r', 'sa:shop/a', 'sa:shop/b'),
    ],
    [],
  ],
  [
    'an account that does not exist, where all are known',
    [strong[1]!, account('ops', 'default'), ...ann('ops', 'create core pods')],
    [],
  ],
]
for (const [title, objects, chain] of ROWS)
  test(`chain: ${title}`, () => {
    const found = chainOf(objects)
    // Any strong account of kube-system will do.
    assert.deepEqual(
      title === 'webhooks' ? [found.length, found.at(-1)] : found,
      title === 'webhooks' ? [2, 'admin'] : chain,
    )
  })

const known = builtinResources()
const reported = (objects: KubeObject[]) =>
  lintWorld(makeWorld(...objects), { known, rules: ['escalation-chain'] }).findings

test('a chain is reported with the rule of each step, at the binding of the first', () => {
  const [finding, ...more] = reported([...strong, ...ann('ops', 'create core pods')])
  assert.equal(more.length, 0)
  assert.equal(finding!.subject, 'user/ann')
  assert.equal(finding!.at, 'world.yaml:4')
  assert.deepEqual(
    finding!.chain!.map(({ subject, by }) => [subject, by.map(({ binding, rule }) => `${binding?.name}: ${rule}`)]),
    [
      ['user/ann', ['ann: create pods']],
      ['serviceaccount/ops/root', ['root: * *.*']],
    ],
  )
  assert.match(finding!.fix, /take create pods from Role ops\/ann, or take user\/ann out of RoleBinding ops\/ann/)
})

test('members do not repeat the chain of their group, and administrators have none', () => {
  const objects = [
    ...strong,
    role('ops', 'r', 'create core pods'),
    bind('ops', 'b', 'Role/r', 'group:system:serviceaccounts:shop'),
    account('shop', 'a'),
    account('shop', 'b'),
  ]
  assert.deepEqual(
    reported(objects).map(({ subject }) => subject),
    ['group/system:serviceaccounts:shop'],
  )
})

test('a chain is silenced on the binding or the role of its first step', () => {
  const [mine, binding] = ann('ops', 'create core pods') as [KubeObject, KubeObject]
  const metadata = { annotations: { [LINT_IGNORE]: 'escalation-chain' } }
  assert.equal(reported([...strong, withMetadata(mine, metadata), binding]).length, 0)
  assert.equal(reported([...strong, mine, withMetadata(binding, metadata)]).length, 0)
})

test('who reaches something indirectly', () => {
  const world = makeWorld(
    role('ops', 'r', 'get core secrets'),
    bind('ops', 'r', 'Role/r', 'sa:ops/reader'),
    ...ann('ops', 'create core pods'),
  )
  const { holders } = whoCan(world, {
    verb: 'get',
    apiGroup: '',
    resource: 'secrets',
    subresource: '',
    name: '',
    namespace: 'ops',
  })
  const found = indirectHolders(world, holders).find(({ subject }) => subject.name === 'ann')
  assert.deepEqual(
    found!.chain.map(({ so }) => so),
    ['runs one as serviceaccount/ops/reader'],
  )
})
