import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attributes } from '../../../kernel/authz/types.ts'
import { createRbacEngine, type RbacEngine } from './engine.ts'
import { createReference, type World } from './reference.ts'
import type { BindingObject, PolicyRule, Subject } from './types.ts'

/** One user, "u", who holds these rules cluster-wide. */
function holding(smallScope: number, ...rules: PolicyRule[]): (fields: object) => boolean {
  const engine = createRbacEngine({ smallScope })
  engine.upsertClusterRole({ metadata: { name: 'r' }, rules })
  engine.upsertClusterRoleBinding({
    metadata: { name: 'b' },
    roleRef: { kind: 'ClusterRole', name: 'r' },
    subjects: [{ kind: 'User', name: 'u' }],
  })
  return (fields) => engine.decide(question(fields)).verdict === 'allow'
}

const question = (fields: object): Attributes =>
  ({
    resourceRequest: true,
    user: { name: 'u', groups: [] },
    verb: 'get',
    apiGroup: '',
    apiVersion: 'v1',
    resource: 'pods',
    subresource: '',
    namespace: 'shop',
    name: '',
    ...fields,
  }) as Attributes

const pods = (verbs: string, more: PolicyRule = {}): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: [''],
  resources: ['pods'],
  ...more,
})

const CASES: [title: string, rule: PolicyRule, fields: object, allowed: boolean][] = [
  // The name of a list, watch or deletecollection is that of a fieldSelector metadata.name=x, or empty.
  ['list limited to a name, of that name', pods('list', { resourceNames: ['x'] }), { verb: 'list', name: 'x' }, true],
  ['list limited to a name, of all', pods('list', { resourceNames: ['x'] }), { verb: 'list' }, false],
  ['watch limited to a name', pods('watch', { resourceNames: ['x'] }), { verb: 'watch', name: 'x' }, true],
  ['deletecollection of all', pods('deletecollection', { resourceNames: ['x'] }), { verb: 'deletecollection' }, false],
  ['create limited to a name has none', pods('create', { resourceNames: ['x'] }), { verb: 'create' }, false],
  ['the empty name as a name', pods('create', { resourceNames: [''] }), { verb: 'create' }, true],
  ['empty list of names: all', pods('get', { resourceNames: [] }), { name: 'x' }, true],
  ['*/scale', pods('get', { resources: ['*/scale'] }), { subresource: 'scale' }, true],
  ['*/scale is not pods', pods('get', { resources: ['*/scale'] }), {}, false],
  ['*/scale is not scale', pods('get', { resources: ['*/scale'] }), { resource: 'scale' }, false],
  ['pods/* is no wildcard', pods('get', { resources: ['pods/*'] }), { subresource: 'log' }, false],
  ['*/* is no wildcard', pods('get', { resources: ['*/*'] }), { subresource: 'log' }, false],
  ['*/* as one writes it', pods('get', { resources: ['*/*'] }), { resource: 'x', subresource: '*' }, true],
  ['a resource that has a slash in it', pods('get', { resources: ['pods/log'] }), { resource: 'pods/log' }, true],
  ['but no subresource', pods('get', { resources: ['*/log'] }), { resource: 'pods/log' }, false],
  ['two slashes', pods('get', { resources: ['a/b/c'] }), { resource: 'a', subresource: 'b/c' }, true],
  ['two slashes, the other way', pods('get', { resources: ['a/b/c'] }), { resource: 'a/b', subresource: 'c' }, true],
  ['star asked for, not held', pods('get'), { verb: '*' }, false],
  ['star asked for, held', pods('*'), { verb: '*' }, true],
  ['group star asked for', pods('get', { apiGroups: [''] }), { apiGroup: '*' }, false],
  ['group star asked for, held', pods('get', { apiGroups: ['*'] }), { apiGroup: '*' }, true],
  ['resource star asked for', pods('get'), { resource: '*' }, false],
  ['resource star asked for, held', pods('get', { resources: ['*'] }), { resource: '*', subresource: 'x' }, true],
  ['group prefix is nothing', pods('get', { apiGroups: ['*.io'] }), { apiGroup: 'x.io' }, false],
  ['empty verb', pods('get'), { verb: '' }, false],
  ['no verbs', { apiGroups: [''], resources: ['pods'] }, {}, false],
  ['no groups', { verbs: ['get'], resources: ['pods'] }, {}, false],
  ['no resources', { verbs: ['get'], apiGroups: [''] }, {}, false],
  ['an unknown verb, as written', pods('frobnicate'), { verb: 'frobnicate' }, true],
  ['case of verbs', pods('Get'), {}, false],
  ['case of names', pods('get', { resourceNames: ['X'] }), { name: 'x' }, false],
  ['names beyond Latin-1', pods('get', { resourceNames: ['日本語'] }), { name: '日本語' }, true],
  ['names beyond Latin-1, another', pods('get', { resourceNames: ['日本語'] }), { name: '日本' }, false],
]
for (const [title, rule, fields, allowed] of CASES)
  test(`semantics: ${title}`, () => {
    for (const smallScope of [0, 32]) assert.equal(holding(smallScope, rule)(fields), allowed)
    const world: World = {
      roles: [],
      roleBindings: [],
      clusterRoles: [{ metadata: { name: 'r' }, rules: [rule] }],
      clusterRoleBindings: [
        {
          metadata: { name: 'b' },
          roleRef: { kind: 'ClusterRole', name: 'r' },
          subjects: [{ kind: 'User', name: 'u' }],
        },
      ],
    }
    assert.equal(createReference(world).decide(question(fields)).allowed, allowed)
  })

const PATHS: [url: string, path: string, allowed: boolean][] = [
  ['/healthz', '/healthz', true],
  ['/healthz', '/healthz/', false],
  ['/healthz*', '/healthz', true],
  ['/healthz*', '/healthzzz/x', true],
  ['/healthz/*', '/healthz', false],
  ['/healthz/*', '/healthz/', true],
  ['/a**', '/a', true],
  ['/a*/b', '/ax/b', false],
  ['/a*/b', '/a*/b', true],
  ['*', '/', true],
  ['*', '', true],
  ['', '', true],
  ['/API', '/api', false],
]
for (const [url, path, allowed] of PATHS)
  test(`semantics: path ${JSON.stringify(url)} for ${JSON.stringify(path)}`, () => {
    for (const smallScope of [0, 32]) {
      const may = holding(smallScope, { verbs: ['get'], nonResourceURLs: [url] })
      assert.equal(may({ resourceRequest: false, path }), allowed)
      assert.equal(may({ resourceRequest: false, path, verb: 'post' }), false)
    }
  })

const bound = (name: string, namespace: string, role: string, ...subjects: Subject[]): BindingObject => ({
  metadata: { name, namespace },
  roleRef: { kind: 'ClusterRole', name: role },
  subjects,
})

const SUBJECTS: [
  title: string,
  subject: Subject,
  namespace: string,
  user: { name: string; groups: string[] },
  boolean,
][] = [
  ['a user without apiGroup', { kind: 'User', name: 'u' }, '', { name: 'u', groups: [] }, true],
  ['a user with a strange apiGroup', { kind: 'User', apiGroup: 'x', name: 'u' }, '', { name: 'u', groups: [] }, true],
  ['a user is not a group', { kind: 'User', name: 'g' }, '', { name: 'u', groups: ['g'] }, false],
  ['a group is not a user', { kind: 'Group', name: 'u' }, '', { name: 'u', groups: [] }, false],
  ['the kind has a case', { kind: 'user', name: 'u' }, '', { name: 'u', groups: [] }, false],
  ['the star is a name', { kind: 'User', name: '*' }, '', { name: 'u', groups: [] }, false],
  ['the empty user', { kind: 'User', name: '' }, '', { name: '', groups: [] }, true],
  ['the empty group', { kind: 'Group', name: '' }, '', { name: 'u', groups: [''] }, true],
  [
    'an account by its user name',
    { kind: 'User', name: 'system:serviceaccount:a:b' },
    '',
    { name: 'system:serviceaccount:a:b', groups: [] },
    true,
  ],
  [
    'an account of the binding’s namespace',
    { kind: 'ServiceAccount', name: 'b' },
    'shop',
    { name: 'system:serviceaccount:shop:b', groups: [] },
    true,
  ],
  [
    'an account without a namespace, cluster-wide',
    { kind: 'ServiceAccount', name: 'b' },
    '',
    { name: 'system:serviceaccount::b', groups: [] },
    false,
  ],
  [
    'an account of another namespace, in a RoleBinding',
    { kind: 'ServiceAccount', name: 'b', namespace: 'ci' },
    'shop',
    { name: 'system:serviceaccount:ci:b', groups: [] },
    true,
  ],
]
for (const [title, subject, namespace, user, allowed] of SUBJECTS)
  test(`subjects: ${title}`, () => {
    const engine = createRbacEngine()
    engine.upsertClusterRole({ metadata: { name: 'r' }, rules: [pods('get')] })
    if (namespace === '') engine.upsertClusterRoleBinding(bound('b', '', 'r', subject))
    else engine.upsertRoleBinding(bound('b', namespace, 'r', subject))
    assert.equal(engine.decide(question({ user })).verdict === 'allow', allowed)
  })

test('of several that allow, ClusterRoleBindings come first, then names, then subjects; not the order of writing', () => {
  const both = { name: 'u', groups: ['g'] }
  const writes: ((engine: RbacEngine) => void)[] = [
    (e) => e.upsertRoleBinding(bound('a', 'shop', 'r', { kind: 'User', name: 'u' })),
    (e) => e.upsertClusterRoleBinding(bound('z', '', 'r', { kind: 'User', name: 'u' })),
    (e) => e.upsertClusterRoleBinding(bound('m', '', 'r', { kind: 'Group', name: 'g' }, { kind: 'User', name: 'u' })),
    (e) => e.upsertClusterRole({ metadata: { name: 'r' }, rules: [pods('list'), pods('*'), pods('get')] }),
  ]
  for (const order of [writes, writes.toReversed(), [writes[2]!, writes[0]!, writes[3]!, writes[1]!]]) {
    const engine = createRbacEngine()
    for (const write of order) write(engine)
    const reason = (): string => {
      const decision = engine.decide(question({ user: both }))
      assert.equal(decision.verdict, 'allow')
      assert.equal(decision.by['ruleIndex'], 1)
      return decision.by.reason
    }
    assert.equal(reason(), 'RBAC: allowed by ClusterRoleBinding "m" of ClusterRole "r" to Group "g"')
    engine.deleteClusterRoleBinding('m')
    assert.equal(reason(), 'RBAC: allowed by ClusterRoleBinding "z" of ClusterRole "r" to User "u"')
    engine.deleteClusterRoleBinding('z')
    assert.equal(reason(), 'RBAC: allowed by RoleBinding "a/shop" of ClusterRole "r" to User "u"')
  }
})

test('a decision speaks of the rules that made it, also when they have changed since', () => {
  const engine = createRbacEngine()
  engine.upsertClusterRole({ metadata: { name: 'r' }, rules: [pods('get')] })
  engine.upsertClusterRoleBinding(bound('b', '', 'r', { kind: 'User', name: 'u' }))
  const decision = engine.decide(question({}))
  engine.upsertClusterRole({ metadata: { name: 'r' }, rules: [pods('list')] })
  assert.equal(decision.verdict, 'allow')
  assert.deepEqual(JSON.parse(JSON.stringify(decision.by)), {
    authorizer: 'RBAC',
    reason: 'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "u"',
    binding: { kind: 'ClusterRoleBinding', namespace: '', name: 'b' },
    role: { kind: 'ClusterRole', namespace: '', name: 'r' },
    subject: { kind: 'User', name: 'u' },
    ruleIndex: 0,
    rule: pods('get'),
  })
})

test('a roleRef of a kind that is no role is named, and grants nothing', () => {
  const engine = createRbacEngine()
  engine.upsertClusterRoleBinding({
    metadata: { name: 'b' },
    roleRef: { kind: 'Roll', name: 'r' },
    subjects: [{ kind: 'User', name: 'u' }],
  })
  assert.deepEqual(engine.decide(question({})), {
    verdict: 'next',
    reason: 'RBAC: unsupported role reference kind: "Roll"',
  })
  assert.deepEqual(engine.decide(question({ user: { name: 'other', groups: [] } })), { verdict: 'next' })
})

test('more verbs than have a bit of their own', () => {
  const verbs = Array.from({ length: 80 }, (_, i) => `verb${i}`)
  for (const smallScope of [0, 32]) {
    const may = holding(smallScope, pods(verbs.filter((_, i) => i % 2 === 0).join()), pods('x', { resources: ['y'] }))
    for (const [i, verb] of verbs.entries()) assert.equal(may({ verb }), i % 2 === 0, verb)
  }
})

test('a role of very many combinations is read as it is written', () => {
  const many = (what: string): string[] => Array.from({ length: 40 }, (_, i) => `${what}${i}`)
  for (const smallScope of [0, 32]) {
    const engine = createRbacEngine({ smallScope })
    const ask = (verb: string, resource: string, name: string): string =>
      engine.decide(question({ verb, resource, name })).verdict
    engine.upsertClusterRole({
      metadata: { name: 'huge' },
      rules: [{ verbs: many('v'), apiGroups: [''], resources: many('r'), resourceNames: many('n') }],
    })
    engine.upsertClusterRole({ metadata: { name: 'star' }, rules: [pods('v7', { resources: ['*'] })] })
    engine.upsertClusterRoleBinding(bound('h', '', 'huge', { kind: 'User', name: 'u' }))
    engine.upsertClusterRoleBinding(bound('s', '', 'star', { kind: 'User', name: 'u' }))
    assert.equal(ask('v39', 'r0', 'n39'), 'allow')
    assert.equal(ask('v39', 'r0', 'n40'), 'next')
    assert.equal(ask('v40', 'r0', 'n1'), 'next')
    assert.equal(ask('v7', 'zebra', 'n1'), 'allow')
    engine.upsertClusterRole({ metadata: { name: 'huge' }, rules: [pods('v39', { resources: ['r0'] })] })
    assert.equal(ask('v39', 'r0', 'n40'), 'allow')
    assert.equal(ask('v38', 'r0', 'n39'), 'next')
    engine.deleteClusterRole('huge')
    assert.equal(ask('v39', 'r0', 'n40'), 'next')
  }
})

test('rules reviews list rule by rule, as often as a role is bound, bindings by name', () => {
  const engine = createRbacEngine()
  engine.upsertClusterRole({
    metadata: { name: 'r' },
    rules: [pods('get'), { verbs: ['get'], nonResourceURLs: ['/x'] }],
  })
  engine.upsertClusterRoleBinding(bound('b', '', 'r', { kind: 'User', name: 'u' }))
  engine.upsertRoleBinding(bound('a', 'shop', 'r', { kind: 'User', name: 'u' }))
  engine.upsertRoleBinding(bound('a', 'other', 'r', { kind: 'User', name: 'u' }))
  const resource = { verbs: ['get'], apiGroups: [''], resources: ['pods'] }
  const path = { verbs: ['get'], nonResourceURLs: ['/x'] }
  assert.deepEqual(engine.rulesFor({ name: 'u', groups: [] }, 'shop'), {
    resourceRules: [resource, resource],
    nonResourceRules: [path, path],
  })
})
