import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { builtinResources } from './known-resources.ts'
import { lintWorld } from './lint/lint.ts'
import { type ObjectLoadOptions, RbacWorldError, worldFromObjects } from './load.ts'
import { account, bind, clusterRole, pod, role, withMetadata } from './worlds.fixture.ts'

const load = (objects: KubeObject[], options?: ObjectLoadOptions) =>
  worldFromObjects(
    objects.map((object, i) => ({ object, file: 'a.yaml', line: i * 10 + 1 })),
    options,
  )

test('objects go where they belong, other kinds are skipped, namespaces default, origins are kept', () => {
  const world = load([
    role('shop', 'reader', 'get core pods'),
    role('', 'here', 'get core pods'),
    bind('shop', 'readers', 'Role/reader', 'user:ann'),
    clusterRole('c', 'get core nodes'),
    bind('', 'c', 'ClusterRole/c', 'group:ops'),
    account('shop', 'web'),
    pod('shop', 'web-1', 'web'),
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec: {} },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' } },
    { apiVersion: 'example.com/v1', kind: 'Role', metadata: { name: 'not-rbac' } },
  ])
  const names = (objects: readonly { metadata: KubeObject['metadata'] }[]): string[] =>
    objects.map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`)
  assert.deepEqual(names(world.roles), ['shop/reader', 'default/here'])
  assert.deepEqual(names(world.roleBindings), ['shop/readers'])
  assert.deepEqual(names(world.clusterRoles), ['/c'])
  assert.deepEqual(names(world.clusterRoleBindings), ['/c'])
  assert.deepEqual(names(world.serviceAccounts), ['shop/web'])
  assert.deepEqual(names(world.workloads), ['shop/web-1', 'default/d'])
  assert.equal(world.origin(world.roles[1]!), 'a.yaml:11')
  assert.equal(world.origin({}), undefined)
})

test('aggregated roles gather by label, through levels, also into the default roles; what was given stays as it was', () => {
  const label = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' }
  const source = withMetadata(clusterRole('widgets', 'get example.com widgets'), { labels: label })
  const own = {
    ...withMetadata(clusterRole('own'), { labels: {} }),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: label }] },
    rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
  }
  const world = load([own, source], { defaults: true })
  const rulesOf = (name: string): unknown[] => [
    ...(world.clusterRoles.find((r) => r.metadata.name === name)!.rules ?? []),
  ]
  const gathered = { verbs: ['get'], apiGroups: ['example.com'], resources: ['widgets'] }
  for (const name of ['view', 'edit', 'admin', 'own'])
    assert.ok(
      rulesOf(name).some((rule) => JSON.stringify(rule) === JSON.stringify(gathered)),
      name,
    )
  assert.ok(!rulesOf('own').some((rule) => JSON.stringify(rule).includes('"*"')), 'what it said itself is replaced')
  assert.equal(own.rules.length, 1)
  assert.equal(world.origin(world.clusterRoles.find((r) => r.metadata.name === 'own')!), 'a.yaml:1')
})

test('lists and maps left empty in YAML are none', () => {
  const empty = { ...clusterRole('r'), rules: null }
  const nothing = { labels: null, annotations: null, namespace: null }
  const rule = { verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: null, nonResourceURLs: null }
  const world = load(
    [
      { ...empty, metadata: { name: 'r', ...nothing } } as unknown as KubeObject,
      { ...role('', 'r'), metadata: { name: 'r', ...nothing }, rules: [rule] } as unknown as KubeObject,
      { ...bind('', 'b', 'ClusterRole/r'), subjects: null },
    ],
    { defaults: true },
  )
  assert.equal(world.roles[0]!.metadata.namespace, 'default')
  assert.equal(lintWorld(world, { known: builtinResources(), severity: 'medium' }).findings.length, 0)
})

test('manifests win over defaults of the same name', () => {
  const world = load([bind('', 'cluster-admin', 'ClusterRole/view', 'user:ann')], { defaults: true })
  const found = world.clusterRoleBindings.filter((b) => b.metadata.name === 'cluster-admin')
  assert.deepEqual(
    found.map((b) => b.roleRef.name),
    ['view'],
  )
})

test('one object twice: both places are named', () => {
  assert.throws(
    () => load([role('shop', 'a'), role('other', 'a'), role('shop', 'a')]),
    (error) => error instanceof RbacWorldError && error.message === 'a.yaml:21: Role shop/a stands at a.yaml:1 already',
  )
})

const BROKEN: [title: string, change: Record<string, unknown>, message: RegExp][] = [
  ['no metadata', { metadata: undefined }, /a\.yaml:1: Role: metadata must be an object/],
  ['no name', { metadata: {} }, /metadata\.name must be a string that is not empty/],
  ['namespace a number', { metadata: { name: 'x', namespace: 1 } }, /metadata\.namespace must be a string/],
  ['labels a list', { metadata: { name: 'x', labels: ['a'], annotations: 1 } }, /metadata\.(labels|annotations)/],
  ['rules an object', { rules: {} }, /rules must be a list/],
  ['a rule is text', { rules: ['get pods'] }, /rules\[0\] must be an object/],
  ['verbs is text', { rules: [{ verbs: 'get' }] }, /rules\[0\]\.verbs must be a list/],
  ['a verb is a list', { rules: [{ verbs: [['get']] }] }, /rules\[0\]\.verbs\[0\] must be a string/],
  ['no roleRef', { kind: 'RoleBinding' }, /RoleBinding: roleRef must be an object/],
  ['roleRef without name', { kind: 'RoleBinding', roleRef: { kind: 'Role' } }, /roleRef\.name/],
  [
    'a subject is text',
    { kind: 'RoleBinding', roleRef: { kind: 'Role', name: 'x' }, subjects: ['ann'] },
    /subjects\[0\] must be an object/,
  ],
  [
    'a subject without name',
    { kind: 'RoleBinding', roleRef: { kind: 'Role', name: 'x' }, subjects: [{ kind: 'User' }] },
    /subjects\[0\]\.name/,
  ],
  [
    'selectors text',
    { kind: 'ClusterRole', aggregationRule: { clusterRoleSelectors: 'a' } },
    /clusterRoleSelectors must/,
  ],
  [
    'an unknown operator',
    {
      kind: 'ClusterRole',
      aggregationRule: { clusterRoleSelectors: [{ matchExpressions: [{ key: 'a', operator: 'Like' }] }] },
    },
    /matchExpressions must be/,
  ],
]
for (const [title, change, message] of BROKEN)
  test(`of wrong form: ${title}`, () =>
    assert.throws(
      () => load([{ ...role('shop', 'a'), ...change } as KubeObject]),
      (error) => error instanceof RbacWorldError && message.test(error.message),
    ))
