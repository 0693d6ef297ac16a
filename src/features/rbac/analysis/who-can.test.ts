import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { can } from './can.ts'
import { attributesOf, type Question } from './question.ts'
import { smallestChange } from './smallest-change.ts'
import { type SubjectId, subjectKey, subjectName, userName } from './subject.ts'
import { whoCan } from './who-can.ts'
import { indexWorld } from './world-index.ts'
import { bind, clusterRole, makeWorld, role } from './worlds.fixture.ts'

const world = makeWorld(
  role('shop', 'reader', 'get,list core pods', 'get core secrets tls'),
  clusterRole('logs', 'get * */log', 'get /logs/*'),
  bind('shop', 'readers', 'Role/reader', 'user:ann', 'sa:shop/web'),
  bind('dev', 'readers', 'ClusterRole/logs', 'user:bob'),
  bind('', 'loggers', 'ClusterRole/logs', 'group:ops'),
  bind('shop', 'ghosts', 'Role/none', 'user:ghost'),
)
const ask = (verb: string, resource: string, namespace: string, name = ''): Question => {
  const [plain = '', subresource = ''] = resource.split('/')
  return { verb, apiGroup: '', resource: plain, subresource, name, namespace }
}
const isSystem = ({ name, namespace }: SubjectId): boolean => name.startsWith('system:') || namespace === 'kube-system'
const own = (question: Question, anywhere = false): string[] =>
  whoCan(world, question, anywhere)
    .holders.filter(({ grant }) => !isSystem(grant.subject))
    .map(({ grant }) => `${subjectName(grant.subject)}@${grant.namespace}`)

const ROWS: [title: string, question: Question, anywhere: boolean, expected: string[]][] = [
  ['a role in its namespace', ask('get', 'pods', 'shop'), false, ['user/ann@shop', 'serviceaccount/shop/web@shop']],
  ['not in another', ask('get', 'pods', 'dev'), false, []],
  ['not cluster-wide', ask('get', 'pods', ''), false, []],
  ['in any namespace', ask('get', 'pods', ''), true, ['user/ann@shop', 'serviceaccount/shop/web@shop']],
  ['a subresource of all', ask('get', 'pods/log', 'dev'), false, ['group/ops@', 'user/bob@dev']],
  ['not the resource', ask('get', 'pods', 'dev'), false, []],
  ['a name', ask('get', 'secrets', 'shop', 'tls'), false, ['user/ann@shop', 'serviceaccount/shop/web@shop']],
  ['another name', ask('get', 'secrets', 'shop', 'x'), false, []],
  ['a path, not by a RoleBinding', { verb: 'get', path: '/logs/x' }, true, ['group/ops@']],
]
for (const [title, question, anywhere, expected] of ROWS)
  test(`who-can: ${title}`, () => assert.deepEqual(own(question, anywhere), expected))

test('who-can: rules for some names are told apart', () => {
  const { named } = whoCan(world, ask('get', 'secrets', 'shop'))
  assert.deepEqual(
    named.map(({ grant, rule }) => [subjectName(grant.subject), rule.resourceNames]),
    [
      ['user/ann', ['tls']],
      ['serviceaccount/shop/web', ['tls']],
    ],
  )
})

const some = <T>(...values: T[]): fc.Arbitrary<T[]> =>
  fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 2 })
const arbRule: fc.Arbitrary<PolicyRule> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record(
      {
        verbs: some('get', 'list', 'create', '*'),
        apiGroups: some('', 'apps', '*'),
        resources: some('pods', 'pods/log', 'secrets', '*', '*/log'),
        resourceNames: some('a', 'b'),
      },
      { requiredKeys: ['verbs', 'apiGroups', 'resources'] },
    ),
  },
  { weight: 1, arbitrary: fc.record({ verbs: some('get', '*'), nonResourceURLs: some('/healthz', '/logs/*', '*') }) },
)
const NAMESPACES = ['shop', 'dev']
const arbSubject: fc.Arbitrary<Subject> = fc.oneof(
  fc.record({ kind: fc.constant('User'), name: fc.constantFrom('ann', 'bob', 'system:serviceaccount:shop:web') }),
  fc.record({
    kind: fc.constant('Group'),
    name: fc.constantFrom('ops', 'system:authenticated', 'system:serviceaccounts:shop'),
  }),
  fc.record(
    {
      kind: fc.constant('ServiceAccount'),
      name: fc.constantFrom('web', 'db'),
      namespace: fc.constantFrom(...NAMESPACES),
    },
    { requiredKeys: ['kind', 'name'] },
  ),
  fc.constant({ kind: 'Robot', name: 'ann' }),
)
const arbRoles = (namespace: fc.Arbitrary<string>): fc.Arbitrary<RoleObject[]> =>
  fc.uniqueArray(
    fc.record({
      metadata: fc.record({ namespace, name: fc.constantFrom('r1', 'r2', 'r3') }),
      rules: fc.array(arbRule, { maxLength: 3 }),
    }),
    { maxLength: 5, selector: ({ metadata }) => `${metadata.namespace}/${metadata.name}` },
  )
const arbBindings = (namespace: fc.Arbitrary<string>): fc.Arbitrary<BindingObject[]> =>
  fc.uniqueArray(
    fc.record({
      metadata: fc.record({ namespace, name: fc.constantFrom('b1', 'b2', 'b3', 'b4') }),
      roleRef: fc.record({ kind: fc.constantFrom('Role', 'ClusterRole'), name: fc.constantFrom('r1', 'r2', 'r3') }),
      subjects: fc.array(arbSubject, { maxLength: 3 }),
    }),
    { maxLength: 6, selector: ({ metadata }) => `${metadata.namespace}/${metadata.name}` },
  )
const arbWorld: fc.Arbitrary<RbacWorld> = fc.record({
  clusterRoles: arbRoles(fc.constant('')),
  clusterRoleBindings: arbBindings(fc.constant('')),
  roles: arbRoles(fc.constantFrom(...NAMESPACES)),
  roleBindings: arbBindings(fc.constantFrom(...NAMESPACES)),
  serviceAccounts: fc.constant([]),
  workloads: fc.constant([]),
  origin: fc.constant(() => undefined),
})
const arbQuestion: fc.Arbitrary<Question> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      verb: fc.constantFrom('get', 'list', 'create'),
      apiGroup: fc.constantFrom('', 'apps'),
      resource: fc.constantFrom('pods', 'secrets'),
      subresource: fc.constantFrom('', 'log'),
      name: fc.constantFrom('', 'a', 'c'),
      namespace: fc.constantFrom('', ...NAMESPACES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ verb: fc.constantFrom('get', 'post'), path: fc.constantFrom('/healthz', '/logs/x') }),
  },
)
const EVERYBODY: SubjectId[] = [
  ...['ann', 'bob', 'nobody'].map((name): SubjectId => ({ kind: 'User', namespace: '', name })),
  ...['ops', 'system:authenticated', 'system:serviceaccounts:shop', 'none'].map(
    (name): SubjectId => ({ kind: 'Group', namespace: '', name }),
  ),
  ...NAMESPACES.flatMap((namespace) =>
    ['web', 'db', 'x'].map((name): SubjectId => ({ kind: 'ServiceAccount', namespace, name })),
  ),
]

test('property: the subjects of who-can are exactly those whom the engine allows', () => {
  fc.assert(
    fc.property(arbWorld, arbQuestion, (random, question) => {
      const engine = indexWorld(random).engine()
      const allowed = EVERYBODY.filter((subject) => {
        const user =
          subject.kind === 'Group' ? { name: '', groups: [subject.name] } : { name: userName(subject), groups: [] }
        return engine.decide(attributesOf(question, user)).verdict === 'allow'
      })
      const listed = new Set(whoCan(random, question).holders.map(({ grant }) => subjectKey(grant.subject)))
      assert.deepEqual([...listed].sort(), allowed.map(subjectKey).sort())
    }),
    { numRuns: 1000 },
  )
})

test('property: can names a rule that allows; its smallest change allows exactly what was asked', () => {
  fc.assert(
    fc.property(
      arbWorld,
      arbQuestion,
      fc.constantFrom(...EVERYBODY.filter(({ kind }) => kind !== 'Group')),
      (random, question, subject) => {
        const answer = can(random, subject, [], question)
        const { holders } = whoCan(random, question)
        if (answer.allowed) {
          if (answer.by === 'system:masters') assert.fail('nobody here is')
          const { grant, ruleIndex } = answer.by
          const rule = holders.find((h) => h.grant.binding === grant.binding && h.grant.written === grant.written)
          assert.ok(rule !== undefined, 'who-can lists the deciding grant too')
          assert.ok(ruleIndex >= rule.ruleIndex)
          return
        }
        const [newRole, newBinding] = smallestChange(subject, question).objects
        const everywhere = newRole.kind === 'ClusterRole'
        const changed: RbacWorld = {
          ...random,
          ...(everywhere
            ? {
                clusterRoles: [...random.clusterRoles, newRole],
                clusterRoleBindings: [...random.clusterRoleBindings, newBinding as unknown as BindingObject],
              }
            : {
                roles: [...random.roles, newRole],
                roleBindings: [...random.roleBindings, newBinding as unknown as BindingObject],
              }),
        }
        assert.equal(can(changed, subject, [], question).allowed, true)
      },
    ),
    { numRuns: 500 },
  )
})
