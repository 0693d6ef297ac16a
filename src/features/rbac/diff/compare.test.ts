import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { UserInfo } from '../../../kernel/authn/types.ts'
import { covers } from '../engine/covers.ts'
import { createRbacEngine, type RbacEngine } from '../engine/engine.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../engine/types.ts'
import type { AggregatedRoleObject, RbacWorld } from '../world.ts'
import { type Change, compareWorlds, isEmpty } from './compare.ts'
import { groupsOf, type Holder, holderText } from './holder.ts'
import { overlay } from './overlay.ts'
import { permissionsOf, ruleOf } from './permission.ts'
import { diffLines } from './report.ts'

type Parts = Partial<Omit<RbacWorld, 'origin'>>
const world = (parts: Parts): RbacWorld => ({
  clusterRoles: [],
  clusterRoleBindings: [],
  roles: [],
  roleBindings: [],
  serviceAccounts: [],
  workloads: [],
  ...parts,
  origin: () => undefined,
})

const may = (verbs: string, resources: string, names?: string): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: [''],
  resources: resources.split(','),
  ...(names === undefined ? {} : { resourceNames: names.split(',') }),
})
const clusterRole = (name: string, ...rules: PolicyRule[]): RoleObject => ({ metadata: { name }, rules })
const role = (namespace: string, name: string, ...rules: PolicyRule[]): RoleObject => ({
  metadata: { name, namespace },
  rules,
})
const user = (name: string): Subject => ({ kind: 'User', name })
const group = (name: string): Subject => ({ kind: 'Group', name })
const sa = (namespace: string, name: string): Subject => ({ kind: 'ServiceAccount', namespace, name })
const everywhere = (name: string, to: string, ...subjects: Subject[]): BindingObject => ({
  metadata: { name },
  roleRef: { kind: 'ClusterRole', name: to },
  subjects,
})
const within = (namespace: string, name: string, to: string, ...subjects: Subject[]): BindingObject => ({
  metadata: { name, namespace },
  roleRef: { kind: to.startsWith('@') ? 'ClusterRole' : 'Role', name: to.replace('@', '') },
  subjects,
})

const lines = (before: Parts, now: Parts): string[] => diffLines(compareWorlds(world(before), world(now)))

test('what is no difference', () => {
  const reader = clusterRole('reader', may('get,list', 'pods,services'))
  const base: Parts = { clusterRoles: [reader], clusterRoleBindings: [everywhere('b', 'reader', user('alice'))] }
  const same: Record<string, Parts> = {
    'a role renamed': {
      clusterRoles: [clusterRole('viewer', may('get,list', 'pods,services'))],
      clusterRoleBindings: [everywhere('b', 'viewer', user('alice'))],
    },
    'a rule split': {
      clusterRoles: [clusterRole('reader', may('list', 'services,pods'), may('get', 'pods'), may('get', 'services'))],
      clusterRoleBindings: [everywhere('b', 'reader', user('alice'))],
    },
    'a role split over two bindings': {
      clusterRoles: [clusterRole('p', may('get,list', 'pods')), clusterRole('s', may('get,list', 'services'))],
      clusterRoleBindings: [everywhere('1', 'p', user('alice')), everywhere('2', 's', user('alice'), user('alice'))],
    },
    'what is covered already': {
      clusterRoles: [reader, clusterRole('less', may('get', 'pods', 'web'))],
      clusterRoleBindings: [everywhere('b', 'reader', user('alice')), everywhere('c', 'less', user('alice'))],
      roleBindings: [within('shop', 'd', '@reader', user('alice'))],
    },
    'a role that nobody is bound to': { ...base, roles: [role('shop', 'unused', may('*', 'secrets'))] },
    'a URL in a namespace': {
      ...base,
      roles: [role('shop', 'url', { verbs: ['get'], nonResourceURLs: ['/metrics'] })],
      roleBindings: [within('shop', 'url', 'url', user('bob'))],
    },
    'a subject that can be nobody': {
      ...base,
      clusterRoleBindings: [
        ...base.clusterRoleBindings!,
        everywhere('x', 'reader', { kind: 'ServiceAccount', name: 'a' }),
      ],
    },
  }
  for (const [what, now] of Object.entries(same)) {
    assert.ok(isEmpty(compareWorlds(world(base), world(now))), what)
    assert.ok(isEmpty(compareWorlds(world(now), world(base))), `${what}, backwards`)
  }
})

test('one service account, three ways to write it', () => {
  const roles = [role('shop', 'r', may('get', 'pods'))]
  const as = (subject: Subject): RbacWorld => world({ roles, roleBindings: [within('shop', 'b', 'r', subject)] })
  const forms = [sa('shop', 'web'), { kind: 'ServiceAccount', name: 'web' }, user('system:serviceaccount:shop:web')]
  for (const a of forms) for (const b of forms) assert.ok(isEmpty(compareWorlds(as(a), as(b))))
})

test('gains and losses name scope, binding, role and danger', () => {
  const clusterRoles = [
    clusterRole('pods', may('get,list', 'pods')),
    clusterRole('secrets', may('get,list', 'pods,secrets')),
    clusterRole('metrics', { verbs: ['get'], nonResourceURLs: ['/metrics'] }),
  ]
  assert.deepEqual(
    lines(
      {
        clusterRoles,
        clusterRoleBindings: [everywhere('all', 'pods', user('alice')), everywhere('m', 'metrics', group('ops'))],
      },
      {
        clusterRoles,
        clusterRoleBindings: [everywhere('all', 'secrets', user('alice'))],
        roleBindings: [within('shop', 'some', '@secrets', sa('shop', 'web'), user('alice'))],
      },
    ),
    [
      'Group ops',
      '  - get /metrics cluster-wide  (ClusterRoleBinding m → ClusterRole metrics)',
      'ServiceAccount shop/web',
      '  + get,list secrets in namespace shop  (RoleBinding shop/some → ClusterRole secrets)  DANGER: reads Secrets',
      '  + get,list pods in namespace shop  (RoleBinding shop/some → ClusterRole secrets)',
      'User alice',
      '  + get,list secrets cluster-wide  (ClusterRoleBinding all → ClusterRole secrets)  DANGER: reads Secrets',
    ],
  )
})

test('from everywhere into one namespace and back', () => {
  const clusterRoles = [clusterRole('pods', may('get', 'pods'))]
  const wide = { clusterRoles, clusterRoleBindings: [everywhere('b', 'pods', user('alice'))] }
  const narrow = { clusterRoles, roleBindings: [within('shop', 'b', '@pods', user('alice'))] }
  assert.deepEqual(lines(wide, narrow), [
    'User alice',
    '  - get pods cluster-wide, still in shop  (ClusterRoleBinding b → ClusterRole pods)',
  ])
  assert.deepEqual(lines(narrow, wide), [
    'User alice',
    '  + get pods cluster-wide, before only in shop  (ClusterRoleBinding b → ClusterRole pods)',
  ])
})

test('what everybody has, nobody gains', () => {
  const clusterRoles = [clusterRole('pods', may('get', 'pods'))]
  const all = everywhere('all', 'pods', group('system:authenticated'))
  const mine = within('shop', 'mine', '@pods', sa('shop', 'web'), user('alice'), group('dev'))
  assert.deepEqual(
    lines(
      { clusterRoles, clusterRoleBindings: [all] },
      { clusterRoles, clusterRoleBindings: [all], roleBindings: [mine] },
    ),
    [],
  )
  assert.deepEqual(
    lines({ clusterRoles, roleBindings: [mine] }, { clusterRoles, clusterRoleBindings: [all] }).filter(
      (l) => !l.startsWith(' '),
    ),
    ['Group system:authenticated'],
  )
  // The anonymous user is not authenticated.
  const anonymous = everywhere('x', 'pods', user('system:anonymous'))
  assert.equal(
    lines({ clusterRoles, clusterRoleBindings: [all] }, { clusterRoles, clusterRoleBindings: [all, anonymous] }).length,
    2,
  )
})

test('aggregation: who is bound gains, and the role itself is shown', () => {
  const edit: AggregatedRoleObject = {
    ...clusterRole('edit'),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'edit' } }] },
  }
  const more: RoleObject = { metadata: { name: 'more', labels: { to: 'edit' } }, rules: [may('get', 'secrets')] }
  const before = overlay(
    world({}),
    world({ clusterRoles: [edit], roleBindings: [within('shop', 'b', '@edit', user('alice'))] }),
  )
  const now = overlay(before, world({ clusterRoles: [more] }))
  assert.deepEqual(diffLines(compareWorlds(before, now)), [
    'User alice',
    '  + get secrets in namespace shop  (RoleBinding shop/b → ClusterRole edit)  DANGER: reads Secrets',
    'Aggregated ClusterRole edit: now gathers more',
    '  + get secrets',
  ])
  assert.deepEqual(diffLines(compareWorlds(now, before)).at(-2), 'Aggregated ClusterRole edit: no longer gathers more')
  assert.ok(isEmpty(compareWorlds(before, before)))
})

test('overlay: aggregated roles that gather each other settle, the given ones are not changed', () => {
  const gathers = (name: string, label: string, own: string): AggregatedRoleObject => ({
    metadata: { name, labels: { to: own } },
    rules: [],
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: label } }] },
  })
  const [top, middle] = [gathers('a-top', 'top', 'none'), gathers('b-middle', 'middle', 'top')]
  const leaf: RoleObject = { metadata: { name: 'leaf', labels: { to: 'middle' } }, rules: [may('get', 'pods')] }
  const laid = overlay(world({ clusterRoles: [top, middle] }), world({ clusterRoles: [leaf] }))
  assert.deepEqual(laid.clusterRoles.find((r) => r.metadata.name === 'a-top')?.rules, [may('get', 'pods')])
  assert.deepEqual(top.rules, [])
})

test('bindings to roles that do not exist are told apart', () => {
  const roleBindings = [within('shop', 'b', 'gone', user('alice'))]
  const diff = compareWorlds(world({}), world({ roleBindings }))
  assert.equal(diff.subjects.length, 0)
  assert.ok(!isEmpty(diff))
  assert.match(diffLines(diff)[1]!, /\+ User alice: RoleBinding shop\/b → Role shop\/gone, whose rules are not known/)
  assert.ok(isEmpty(compareWorlds(world({ roleBindings }), world({ roleBindings }))))
  const now = world({ roleBindings, roles: [role('shop', 'gone', may('get', 'pods'))] })
  assert.deepEqual(compareWorlds(world({ roleBindings }), now).summary, {
    subjects: 1,
    gains: 1,
    losses: 0,
    dangerousGains: 0,
  })
})

test('names cannot steer the terminal', () => {
  const clusterRoles = [clusterRole('r', may('get', 'pods\u001b[2J'))]
  const text = lines({}, { clusterRoles, clusterRoleBindings: [everywhere('b', 'r', user('a\u001b[31m\n+ x'))] }).join(
    '\n',
  )
  assert.doesNotMatch(text, /\u001b/)
  assert.match(text, /^User a\\u001b\[31m\\u000a\+ x$/m)
})

// ---- properties

const NAMES = ['a', 'b', 'c']
const NAMESPACES = ['shop', 'db']
const pick = <T>(...values: T[]): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 })
const anyRule: fc.Arbitrary<PolicyRule> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      verbs: pick('*', 'get', 'list'),
      apiGroups: pick('*', '', 'apps'),
      resources: pick('*', 'pods', 'pods/log', '*/log'),
      resourceNames: fc.constantFrom([], [], ['x'], ['x', 'y']),
    }),
  },
  { weight: 1, arbitrary: fc.record({ verbs: pick('*', 'get'), nonResourceURLs: pick('*', '/a', '/a*') }) },
)
const anyRules = fc.array(anyRule, { maxLength: 3 })
const anySubject: fc.Arbitrary<Subject> = fc.constantFrom(
  user('alice'),
  user('bob'),
  user('system:anonymous'),
  group('dev'),
  group('system:authenticated'),
  group('system:serviceaccounts'),
  group('system:serviceaccounts:shop'),
  sa('shop', 'web'),
  sa('db', 'pg'),
  { kind: 'ServiceAccount', name: 'web' },
  user('system:serviceaccount:shop:web'),
)
const subjects = fc.array(anySubject, { maxLength: 3 })
const unique = <T extends { metadata: { name?: string; namespace?: string } }>(items: T[]): T[] => [
  ...new Map(items.map((i) => [`${i.metadata.namespace}/${i.metadata.name}`, i])).values(),
]
const list = <T extends { metadata: { name?: string; namespace?: string } }>(a: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(a, { maxLength: 5 }).map(unique)
const name = fc.constantFrom(...NAMES)
const namespace = fc.constantFrom(...NAMESPACES)
const anyWorld: fc.Arbitrary<RbacWorld> = fc
  .record({
    clusterRoles: list(fc.tuple(name, anyRules).map(([n, r]) => clusterRole(n, ...r))),
    roles: list(fc.tuple(namespace, name, anyRules).map(([ns, n, r]) => role(ns, n, ...r))),
    clusterRoleBindings: list(fc.tuple(name, name, subjects).map(([n, r, s]) => everywhere(n, r, ...s))),
    roleBindings: list(
      fc
        .tuple(namespace, name, fc.constantFrom('@', ''), name, subjects)
        .map(([ns, n, k, r, s]) => within(ns, n, k + r, ...s)),
    ),
  })
  .map(world)

/** Another way to say the same: order turned, rules cut into single permissions, each binding made two. */
function rewritten(w: RbacWorld): RbacWorld {
  const cut = <T extends RoleObject>(r: T): T => ({
    ...r,
    rules: permissionsOf(r.rules ?? [], 'cluster')
      .map(ruleOf)
      .reverse(),
  })
  const doubled = (bindings: readonly BindingObject[]): BindingObject[] =>
    bindings
      .flatMap((b) => [
        { ...b, metadata: { ...b.metadata, name: `z-${b.metadata.name}` } },
        { ...b, subjects: [...(b.subjects ?? [])].reverse() },
      ])
      .reverse()
  return {
    ...w,
    clusterRoles: w.clusterRoles.map(cut).reverse(),
    roles: w.roles.map(cut).reverse(),
    clusterRoleBindings: doubled(w.clusterRoleBindings),
    roleBindings: doubled(w.roleBindings),
  }
}

function engineOf(w: RbacWorld): RbacEngine {
  const engine = createRbacEngine()
  for (const r of w.clusterRoles) engine.upsertClusterRole(r)
  for (const r of w.roles) engine.upsertRole(r)
  for (const b of w.clusterRoleBindings) engine.upsertClusterRoleBinding(b)
  for (const b of w.roleBindings) engine.upsertRoleBinding(b)
  return engine
}

/** Somebody who is the holder and nothing else than that makes them. */
function userOf(holder: Holder): UserInfo {
  const groups = groupsOf(holder).map((g) => g.name)
  if (holder.kind === 'Group') return { name: 'somebody', groups: [holder.name, ...groups] }
  return {
    name: holder.kind === 'ServiceAccount' ? `system:serviceaccount:${holder.namespace}:${holder.name}` : holder.name,
    groups,
  }
}

const heldBy = (engine: RbacEngine, holder: Holder, ns: string): PolicyRule[] =>
  engine.heldRules(userOf(holder), ns).rules.map((r) => (ns === '' ? r : { ...r, nonResourceURLs: [] }))

const HOLDERS: Holder[] = [
  { kind: 'User', name: 'alice' },
  { kind: 'User', name: 'bob' },
  { kind: 'User', name: 'system:anonymous' },
  { kind: 'Group', name: 'dev' },
  { kind: 'Group', name: 'system:authenticated' },
  { kind: 'Group', name: 'system:serviceaccounts' },
  { kind: 'Group', name: 'system:serviceaccounts:shop' },
  { kind: 'ServiceAccount', namespace: 'shop', name: 'web' },
  { kind: 'ServiceAccount', namespace: 'db', name: 'pg' },
  { kind: 'ServiceAccount', namespace: 'db', name: 'web' },
]

test('property: a world does not differ from itself said otherwise', () => {
  fc.assert(
    fc.property(anyWorld, (w) => {
      const diff = compareWorlds(w, rewritten(w))
      assert.deepEqual({ subjects: diff.subjects, aggregation: diff.aggregation }, { subjects: [], aggregation: [] })
      assert.deepEqual(diff.unresolved, [])
    }),
    { numRuns: 500 },
  )
})

test('property: losses are the gains of the way back', () => {
  const flat = (w: { subjects: { subject: Holder; changes: Change[] }[] }, change: Change['change']): unknown =>
    w.subjects.flatMap((s) =>
      s.changes.filter((c) => c.change === change).map(({ change: _, ...rest }) => [holderText(s.subject), rest]),
    )
  fc.assert(
    fc.property(anyWorld, anyWorld, (a, b) => {
      assert.deepEqual(flat(compareWorlds(a, b), 'loss'), flat(compareWorlds(b, a), 'gain'))
    }),
    { numRuns: 300 },
  )
})

test('property: old and the gains cover new; every gain is held now and was not before', () => {
  fc.assert(
    fc.property(anyWorld, anyWorld, (a, b) => {
      const [before, now] = [engineOf(a), engineOf(b)]
      const gains = compareWorlds(a, b).subjects.flatMap(({ subject, changes }) =>
        changes.filter((c) => c.change === 'gain').map((c) => ({ subject, ...c })),
      )
      for (const { subject, namespace: ns = '', rules } of gains) {
        assert.ok(covers(heldBy(now, subject, ns), rules).covered)
        for (const permission of permissionsOf(rules, 'cluster'))
          assert.ok(!covers(heldBy(before, subject, ns), [ruleOf(permission)]).covered)
      }
      for (const holder of HOLDERS)
        for (const ns of ['', ...NAMESPACES]) {
          const those = new Set([holder, ...groupsOf(holder)].map(holderText))
          const gained = gains
            .filter((g) => those.has(holderText(g.subject)) && (g.namespace === undefined || g.namespace === ns))
            .flatMap((g) => g.rules)
          const wanted = heldBy(now, holder, ns)
          assert.ok(covers([...heldBy(before, holder, ns), ...gained], wanted).covered, holderText(holder))
        }
    }),
    { numRuns: 500 },
  )
})
