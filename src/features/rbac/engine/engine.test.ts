import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { brotliDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import type { Attributes } from '../../../kernel/authz/types.ts'
import { createRbacEngine, type RbacEngine } from './engine.ts'
import { createReference, type World } from './reference.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from './types.ts'

const role = (namespace: string, name: string, ...rules: PolicyRule[]): RoleObject => ({
  metadata: { namespace, name },
  rules,
})
const binding = (
  namespace: string,
  name: string,
  kind: string,
  roleName: string,
  ...subjects: Subject[]
): BindingObject => ({
  metadata: { namespace, name },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: roleName },
  subjects,
})
const user = (name: string): Subject => ({ kind: 'User', name })
const group = (name: string): Subject => ({ kind: 'Group', name })
const may = (apiGroups: string, resources: string, verbs: string, resourceNames?: string): PolicyRule => ({
  apiGroups: apiGroups.split(','),
  resources: resources.split(','),
  verbs: verbs.split(','),
  ...(resourceNames === undefined ? {} : { resourceNames: resourceNames.split(',') }),
})
const mayPath = (nonResourceURLs: string, verbs: string): PolicyRule => ({
  nonResourceURLs: nonResourceURLs.split(','),
  verbs: verbs.split(','),
})

/** `verb resource[/sub] [group] [namespace] [name]`, `-` for empty; a path starts with '/'. */
function ask(who: string, question: string): Attributes {
  const [name = '', ...groups] = who.split('+')
  const u = { name, groups }
  const [verb = '', what = '', apiGroup = '-', namespace = '-', object = '-'] = question.split(' ')
  if (what.startsWith('/')) return { resourceRequest: false, user: u, verb, path: what }
  const [resource = '', subresource = ''] = what.split('/')
  const plain = (s: string): string => (s === '-' ? '' : s)
  return {
    resourceRequest: true,
    user: u,
    verb,
    apiGroup: plain(apiGroup),
    apiVersion: 'v1',
    resource,
    subresource,
    namespace: plain(namespace),
    name: plain(object),
  }
}

function load(world: World, smallScope = 32): RbacEngine {
  const engine = createRbacEngine({ smallScope })
  world.clusterRoleBindings.forEach(engine.upsertClusterRoleBinding)
  world.roles.forEach(engine.upsertRole)
  world.clusterRoles.forEach(engine.upsertClusterRole)
  world.roleBindings.forEach(engine.upsertRoleBinding)
  return engine
}

const WORLD: World = {
  roles: [role('shop', 'reader', may('', 'pods', 'get,list'), may('', 'pods/log', 'get'))],
  clusterRoles: [
    role('', 'admin', may('*', '*', '*'), mayPath('*', '*')),
    role('', 'secrets', may('', 'secrets', 'get', 'tls,token')),
    role('', 'logs', may('*', '*/log', 'get')),
    role('', 'not-a-wildcard', may('', 'pods/*', '*')),
    role('', 'paths', mayPath('/healthz,/metrics/*', 'get')),
    role('', 'aliens', may('apps', 'Deployments', 'get')),
  ],
  roleBindings: [
    binding('shop', 'readers', 'Role', 'reader', user('ann'), { kind: 'ServiceAccount', name: 'web' }),
    binding('shop', 'tokens', 'ClusterRole', 'secrets', user('bob')),
    binding('shop', 'ghost', 'Role', 'nobody', user('ghost')),
    binding('shop', 'all', 'ClusterRole', 'admin', user('lord')),
  ],
  clusterRoleBindings: [
    binding('', 'admins', 'ClusterRole', 'admin', group('wheel')),
    binding('', 'loggers', 'ClusterRole', 'logs', user('log')),
    binding('', 'stars', 'ClusterRole', 'not-a-wildcard', user('star')),
    binding('', 'paths', 'ClusterRole', 'paths', group('system:authenticated')),
    binding('', 'case', 'ClusterRole', 'aliens', user('alien')),
    binding('', 'wrong-kind', 'Role', 'reader', user('ann')),
    binding('', 'homeless', 'ClusterRole', 'admin', { kind: 'ServiceAccount', name: 'lost' }),
    binding('', 'sa', 'ClusterRole', 'secrets', { kind: 'ServiceAccount', name: 'ci', namespace: 'build' }),
  ],
}

const CASES: [who: string, question: string, allowed: boolean][] = [
  ['ann', 'get pods - shop a', true],
  ['ann', 'get pods - other a', false],
  ['ann', 'get pods - -', false],
  ['ann', 'delete pods - shop a', false],
  ['ann', 'get pods/log - shop a', true],
  ['ann', 'get pods/exec - shop a', false],
  ['Ann', 'get pods - shop a', false],
  ['ann', 'GET pods - shop a', false],
  ['system:serviceaccount:shop:web', 'list pods - shop', true],
  ['system:serviceaccount:other:web', 'list pods - shop', false],
  ['system:serviceaccount:build:ci', 'get secrets - anywhere tls', true],
  ['system:serviceaccount::lost', 'get pods - shop a', false],
  ['bob', 'get secrets - shop tls', true],
  ['bob', 'get secrets - shop other', false],
  ['bob', 'get secrets - shop', false],
  ['bob', 'list secrets - shop', false],
  ['lord', 'delete anything x.y shop z', true],
  ['lord', 'delete anything x.y - z', false],
  ['lord', 'get /metrics', false],
  ['eve+wheel', 'impersonate users - - bob', true],
  ['eve+wheel', 'post /any/path', true],
  ['log', 'get pods/log - shop a', true],
  ['log', 'get builds/log build.x - a', true],
  ['log', 'get pods/logs - shop a', false],
  ['log', 'get pods - shop a', false],
  ['star', 'get pods/log - shop a', false],
  ['star', 'get pods/* - shop a', true],
  ['eve+system:authenticated', 'get /healthz', true],
  ['eve+system:authenticated', 'get /healthz/ping', false],
  ['eve+system:authenticated', 'get /metrics/slis', true],
  ['eve+system:authenticated', 'get /metrics', false],
  ['eve+system:authenticated', 'post /healthz', false],
  ['alien', 'get deployments apps shop', false],
  ['alien', 'get Deployments apps shop', true],
]

for (const [who, question, allowed] of CASES)
  test(`rbac: ${who} ${question} → ${allowed}`, () => {
    const attributes = ask(who, question)
    assert.equal(load(WORLD).decide(attributes).verdict === 'allow', allowed)
    assert.equal(createReference(WORLD).decide(attributes).allowed, allowed)
  })

test('a decision names binding, role, subject and rule as Kubernetes does', () => {
  const engine = load(WORLD)
  const by = (who: string, question: string): Record<string, unknown> => {
    const decision = engine.decide(ask(who, question))
    assert.equal(decision.verdict, 'allow')
    return decision.by
  }
  assert.equal(
    by('eve+wheel', 'get pods - shop a').reason,
    'RBAC: allowed by ClusterRoleBinding "admins" of ClusterRole "admin" to Group "wheel"',
  )
  const log = by('ann', 'get pods/log - shop a')
  assert.equal(log.reason, 'RBAC: allowed by RoleBinding "readers/shop" of Role "reader" to User "ann"')
  assert.equal(log.ruleIndex, 1)
  assert.deepEqual(log.rule, may('', 'pods/log', 'get'))
  assert.deepEqual(log.role, { kind: 'Role', namespace: 'shop', name: 'reader' })
  assert.equal(
    by('system:serviceaccount:shop:web', 'get pods - shop a').reason,
    'RBAC: allowed by RoleBinding "readers/shop" of Role "reader" to ServiceAccount "web/shop"',
  )
})

test('a missing role grants nothing and is named; it becomes effective when it appears', () => {
  const engine = load(WORLD)
  const question = ask('ghost', 'get pods - shop a')
  assert.deepEqual(engine.decide(question), {
    verdict: 'next',
    reason: 'RBAC: role.rbac.authorization.k8s.io "nobody" not found',
  })
  engine.upsertRole(role('shop', 'nobody', may('', 'pods', 'get')))
  assert.equal(engine.decide(question).verdict, 'allow')
  engine.deleteRole('shop', 'nobody')
  assert.equal(engine.decide(question).verdict, 'next')
})

test('changes are effective at once, also in a scope that is large enough to be indexed', () => {
  const engine = createRbacEngine()
  for (let i = 0; i < 200; i++) {
    engine.upsertClusterRole(role('', `r${i}`, may('', `thing${i}`, 'get')))
    engine.upsertClusterRoleBinding(binding('', `b${i}`, 'ClusterRole', `r${i}`, user('u')))
  }
  const can = (i: number): boolean => engine.decide(ask('u', `get thing${i} - ns x`)).verdict === 'allow'
  assert.ok(can(0) && can(199))
  engine.deleteClusterRoleBinding('b7')
  assert.ok(!can(7) && can(8))
  engine.upsertClusterRole(role('', 'r8', may('', 'thing7', 'get')))
  assert.ok(can(7) && !can(8))
  for (let i = 0; i < 190; i++) engine.deleteClusterRoleBinding(`b${i}`)
  assert.ok(!can(7) && can(195))
  for (let i = 190; i < 200; i++) engine.deleteClusterRoleBinding(`b${i}`)
  for (let i = 0; i < 200; i++) engine.deleteClusterRole(`r${i}`)
  assert.deepEqual(engine.size(), { roles: 0, bindings: 0, subjects: 0 })
})

test('rulesFor lists resource and path rules, and says what is missing', () => {
  const engine = load(WORLD)
  assert.deepEqual(engine.rulesFor({ name: 'ann', groups: ['system:authenticated'] }, 'shop'), {
    resourceRules: [
      { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] },
      { verbs: ['get'], apiGroups: [''], resources: ['pods/log'] },
    ],
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/metrics/*'] }],
    error: 'role.rbac.authorization.k8s.io "reader" not found',
  })
})

const pick = (...values: string[]): fc.Arbitrary<string> => fc.constantFrom(...values)
const some = (arb: fc.Arbitrary<string>, max = 3): fc.Arbitrary<string[]> => fc.array(arb, { maxLength: max })
const NAMESPACES = ['a', 'b']
const arbRule = fc.record(
  {
    verbs: some(pick('get', 'list', '*', 'bind')),
    apiGroups: some(pick('', 'apps', '*')),
    resources: some(pick('pods', 'pods/log', '*', '*/log', 'pods/*', '*/*', 'secrets')),
    resourceNames: some(pick('x', 'y'), 2),
    nonResourceURLs: some(pick('*', '/api', '/api*', '/api/*', '/healthz', '/a**')),
  },
  { requiredKeys: ['verbs'] },
)
const arbSubject: fc.Arbitrary<Subject> = fc.oneof(
  pick('u1', 'u2', 'system:serviceaccount:a:sa').map(user),
  pick('g1', 'g2').map(group),
  fc
    .record({ name: pick('sa'), namespace: fc.option(pick('', 'a', 'b'), { nil: undefined }) })
    .map((s) => ({ kind: 'ServiceAccount', name: s.name, ...(s.namespace === undefined ? {} : s) })),
)
const arbRules = fc.array(arbRule, { maxLength: 12, size: 'max' })
type Change =
  | { type: 'role'; kind: string; namespace: string; name: string; rules: PolicyRule[] | undefined }
  | { type: 'binding'; kind: string; namespace: string; name: string; binding: BindingObject | undefined }
const arbChange: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    type: fc.constant('role' as const),
    kind: pick('Role', 'ClusterRole'),
    namespace: pick(...NAMESPACES),
    name: pick('r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9', 'r10'),
    rules: fc.option(arbRules, { nil: undefined, freq: 4 }),
  }),
  fc
    .record({
      kind: pick('RoleBinding', 'ClusterRoleBinding'),
      namespace: pick(...NAMESPACES),
      name: pick('b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8', 'b9', 'b10', 'b11', 'b12'),
      roleKind: pick('Role', 'ClusterRole', 'ClusterRole', 'Other'),
      roleName: pick('r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8', 'r9', 'r10'),
      subjects: fc.array(arbSubject, { maxLength: 3 }),
      deleted: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    })
    .map((b) => {
      const namespace = b.kind === 'RoleBinding' ? b.namespace : ''
      return {
        type: 'binding' as const,
        kind: b.kind,
        namespace,
        name: b.name,
        binding: b.deleted ? undefined : binding(namespace, b.name, b.roleKind, b.roleName, ...b.subjects),
      }
    }),
)
const arbQuestion: fc.Arbitrary<Attributes> = fc
  .record({
    name: pick('u1', 'u2', 'system:serviceaccount:a:sa', 'system:serviceaccount:b:sa'),
    groups: some(pick('g1', 'g2', 'g3'), 2),
    question: fc.oneof(
      fc
        .tuple(
          pick('get', 'list', 'bind', 'watch'),
          pick('pods', 'pods/log', 'secrets', 'x/log', 'x/*', 'pods/*'),
          pick('-', 'apps', 'z'),
          pick('-', 'a', 'b'),
          pick('-', 'x', 'z'),
        )
        .map((parts) => parts.join(' ')),
      fc.tuple(pick('get', 'post'), pick('/api', '/api/v1', '/apis', '/healthz', '/')).map((p) => p.join(' ')),
    ),
  })
  .map((q) => ask([q.name, ...q.groups].join('+'), q.question))

/** Applies the change to the engine and to the plain lists. */
function apply(engine: RbacEngine, world: World, change: Change): void {
  const { kind, namespace, name } = change
  const same = (o: RoleObject | BindingObject): boolean =>
    o.metadata.name === name && (kind.startsWith('Cluster') || o.metadata.namespace === namespace)
  if (change.type === 'role') {
    const list = kind === 'Role' ? 'roles' : 'clusterRoles'
    world[list] = world[list].filter((o) => !same(o))
    const object = change.rules === undefined ? undefined : role(namespace, name, ...change.rules)
    if (object !== undefined) world[list].push(object)
    if (kind === 'Role') object ? engine.upsertRole(object) : engine.deleteRole(namespace, name)
    else object ? engine.upsertClusterRole(object) : engine.deleteClusterRole(name)
    return
  }
  const list = kind === 'RoleBinding' ? 'roleBindings' : 'clusterRoleBindings'
  world[list] = world[list].filter((o) => !same(o))
  if (change.binding !== undefined) world[list].push(change.binding)
  if (kind === 'RoleBinding')
    change.binding ? engine.upsertRoleBinding(change.binding) : engine.deleteRoleBinding(namespace, name)
  else change.binding ? engine.upsertClusterRoleBinding(change.binding) : engine.deleteClusterRoleBinding(name)
}

/** Holds what the engine says against the plain reading: verdict, reason, binding and rule. */
function check(engine: RbacEngine, world: World, q: Attributes): void {
  const decision = engine.decide(q)
  const expected = createReference(world).decide(q)
  if (!expected.allowed) {
    const { errors } = expected
    const reason = errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`
    assert.deepEqual(
      decision,
      errors.length === 0 ? { verdict: 'next' } : { verdict: 'next', reason: `RBAC: ${reason}` },
    )
    return
  }
  assert.equal(decision.verdict, 'allow')
  const { reason, kind, namespace, name, ruleIndex } = expected
  assert.equal(decision.by.reason, reason)
  assert.deepEqual(decision.by['binding'], { kind, namespace, name })
  assert.equal(decision.by['ruleIndex'], ruleIndex)
  assert.equal(decision.by['rule'], expected.rule)
}

const emptyWorld = (): World => ({ roles: [], clusterRoles: [], roleBindings: [], clusterRoleBindings: [] })

// fast-check's arrays have ten elements at most unless one asks for more. 1 and 3: scopes become large, and small again, all the time.
for (const smallScope of [1, 3, 32])
  test(`property: after any history the engine says what the plain reading says (small scopes: ${smallScope})`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 3, arbitrary: arbChange }, { weight: 1, arbitrary: arbQuestion }), {
          minLength: 1,
          maxLength: 80,
          size: 'max',
        }),
        fc.array(arbQuestion, { minLength: 5, maxLength: 10 }),
        (history, questions) => {
          const engine = createRbacEngine({ smallScope })
          const world = emptyWorld()
          for (const step of history) 'type' in step ? apply(engine, world, step) : check(engine, world, step)
          for (const q of questions) check(engine, world, q)
          const u = questions[0]!.user
          assert.deepEqual(engine.heldRules(u, 'a'), createReference(world).rules(u, 'a'))
        },
      ),
      { numRuns: 200 },
    )
  })

test('property: changes in any order lead to what a freshly built engine is, and taken back to nothing', () => {
  fc.assert(
    fc.property(
      fc.array(arbChange, { minLength: 1, maxLength: 80, size: 'max' }),
      fc.array(arbQuestion, { minLength: 5, maxLength: 20 }),
      fc.constantFrom(2, 32),
      (changes, questions, smallScope) => {
        const engine = createRbacEngine({ smallScope })
        const world = emptyWorld()
        for (const change of changes) apply(engine, world, change)
        const fresh = load(world)
        assert.deepEqual(engine.size(), fresh.size())
        for (const q of questions) {
          assert.equal(JSON.stringify(engine.decide(q)), JSON.stringify(fresh.decide(q)))
          assert.deepEqual(engine.rulesFor(q.user, 'a'), fresh.rulesFor(q.user, 'a'))
        }
        for (const b of world.clusterRoleBindings) engine.deleteClusterRoleBinding(b.metadata.name!)
        for (const r of world.roles) engine.deleteRole(r.metadata.namespace!, r.metadata.name!)
        for (const b of world.roleBindings) engine.deleteRoleBinding(b.metadata.namespace!, b.metadata.name!)
        for (const r of world.clusterRoles) engine.deleteClusterRole(r.metadata.name!)
        assert.deepEqual(engine.size(), { roles: 0, bindings: 0, subjects: 0 })
      },
    ),
    { numRuns: 200 },
  )
})

type Query = {
  user: string
  groups?: string[]
  verb: string
  namespace?: string
  apiGroup?: string
  resource?: string
  subresource?: string
  name?: string
  path?: string
  allowed: boolean
}

/** Each line a world and questions about it, with the answers of Kubernetes' own authorizer (1.20). */
const fixture = new URL('./kubernetes-decisions.fixture.jsonl.br', import.meta.url)

test('decisions of Kubernetes’ own authorizer', () => {
  const lines = brotliDecompressSync(readFileSync(fixture)).toString().trimEnd().split('\n')
  let decisions = 0
  for (const line of lines) {
    const world = JSON.parse(line) as World & { queries: Query[] }
    for (const engine of [load(world), load(world, 2)])
      for (const q of world.queries) {
        const attributes = attributesOf(q)
        assert.equal(engine.decide(attributes).verdict === 'allow', q.allowed, JSON.stringify(q))
        check(engine, world, attributes)
      }
    decisions += world.queries.length
  }
  assert.deepEqual([lines.length, decisions], [60, 9612])
})

function attributesOf(q: Query): Attributes {
  const u = { name: q.user, groups: q.groups ?? [] }
  if (q.path !== undefined) return { resourceRequest: false, user: u, verb: q.verb, path: q.path }
  return {
    resourceRequest: true,
    user: u,
    verb: q.verb,
    apiGroup: q.apiGroup ?? '',
    apiVersion: 'v1',
    resource: q.resource ?? '',
    subresource: q.subresource ?? '',
    namespace: q.namespace ?? '',
    name: q.name ?? '',
  }
}
