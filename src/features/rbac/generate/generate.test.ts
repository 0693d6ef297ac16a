import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadAll } from 'js-yaml'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { PermissionSet } from '../diff/permission-set.ts'
import { createRbacEngine, type RbacEngine } from '../engine/engine.ts'
import type { BindingObject, RoleObject } from '../engine/types.ts'
import { generatedList, generatedYaml } from './document.ts'
import { isGeneratedName } from './names.ts'
import { roleNamePart, wrongRoleName } from './role-name.ts'
import { roleWriterRemarks } from './role-writers.ts'
import { type Generated, type GenerateOptions, generateRoles, manifestsOf } from './roles.ts'
import { Usage, type UsageOptions } from './usage.ts'

type Seen = {
  user?: string
  groups?: string[]
  verb?: string
  ns?: string
  resource?: string
  group?: string
  name?: string
  path?: string
  at?: string
  more?: object
}

const event = ({
  user = 'alice',
  groups = [],
  verb = 'get',
  ns,
  resource = 'pods',
  group,
  name,
  path,
  at = '2026-11-01T10:00:00Z',
  more,
}: Seen): object => {
  const [main, subresource] = resource.split('/')
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    stage: 'ResponseComplete',
    requestURI: path ?? '/x',
    verb,
    user: { username: user, groups },
    ...(path === undefined ? { objectRef: { resource: main, subresource, namespace: ns, apiGroup: group, name } } : {}),
    responseStatus: { code: 200 },
    requestReceivedTimestamp: at,
    ...more,
  }
}
const usageOf = (seen: readonly Seen[], options: Partial<UsageOptions> = {}): Usage => {
  const usage = new Usage({
    includeDenied: false,
    since: undefined,
    wanted: { users: [], serviceAccounts: [], groups: [] },
    ...options,
  })
  for (const one of seen) assert.equal(usage.add(event(one)), undefined)
  return usage
}
const DEFAULTS: GenerateOptions = { name: undefined, names: 'auto', maxNames: 3, minCount: 1, minNamespaces: 0 }
const generate = (
  seen: readonly Seen[],
  options: Partial<GenerateOptions> = {},
  wanted: Partial<UsageOptions> = {},
): Generated => generateRoles(usageOf(seen, wanted), { ...DEFAULTS, ...options })

const lines = (generated: Generated): string[] =>
  generated.roles.flatMap((role) =>
    role.rules.map(({ rule, use }) =>
      [
        role.namespace || '*',
        role.name,
        rule.verbs?.join(','),
        rule.apiGroups?.join(','),
        (rule.resources ?? rule.nonResourceURLs)?.join(','),
        rule.resourceNames?.join(',') ?? '-',
        use.count,
      ].join(' '),
    ),
  )

test('scopes, names and merging', () => {
  const cases: [what: string, seen: Seen[], expected: string[], options?: Partial<GenerateOptions>][] = [
    [
      'one namespace',
      [
        { ns: 'shop', name: 'web' },
        { ns: 'shop', name: 'web' },
      ],
      ['shop audit.user.alice get  pods web 2'],
    ],
    [
      'verbs and resources join',
      [
        { ns: 'a', verb: 'list' },
        { ns: 'a', verb: 'watch' },
        { ns: 'a', verb: 'list', resource: 'services' },
        { ns: 'a', verb: 'watch', resource: 'services' },
      ],
      ['a audit.user.alice list,watch  pods,services - 4'],
    ],
    [
      'cluster-wide covers namespaces',
      [{ verb: 'list' }, { ns: 'a', verb: 'list' }, { ns: 'a', verb: 'create' }],
      ['* audit.user.alice list  pods - 1', 'a audit.user.alice create  pods - 1'],
    ],
    ['a path', [{ path: '/metrics' }, { path: '/healthz' }], ['* audit.user.alice get  /healthz,/metrics - 2']],
    [
      'list has no names',
      [
        { ns: 'a', verb: 'list', name: 'web' },
        { ns: 'a', verb: 'deletecollection', name: 'web' },
        { ns: 'a', verb: 'create', name: 'web' },
      ],
      ['a audit.user.alice list,create,deletecollection  pods - 3'],
    ],
    [
      'a subresource has',
      [{ ns: 'a', verb: 'create', resource: 'pods/exec', name: 'web' }],
      ['a audit.user.alice create  pods/exec web 1'],
    ],
    ['too many names', ['a', 'b', 'c', 'd'].map((name) => ({ ns: 'x', name })), ['x audit.user.alice get  pods - 4']],
    [
      'always',
      ['a', 'b', 'c', 'd-7d4b8c6f5-x2x9z'].map((name) => ({ ns: 'x', name })),
      ['x audit.user.alice get  pods a,b,c,d-7d4b8c6f5-x2x9z 4'],
      { names: 'always' },
    ],
    ['never', [{ ns: 'a', name: 'web' }], ['a audit.user.alice get  pods - 1'], { names: 'never' }],
    ['generated names', [{ ns: 'a', name: 'web-7d4b8c6f5-x2x9z' }], ['a audit.user.alice get  pods - 1']],
    ['a name and a path of the same text', [{ ns: 'a', name: '*' }], ['a audit.user.alice get  pods * 1']],
    [
      'service account',
      [{ user: 'system:serviceaccount:shop:web', ns: 'a', verb: 'list' }],
      ['a audit.sa.shop.web list  pods - 1'],
    ],
    [
      'seldom used',
      [
        { ns: 'a', verb: 'list' },
        { ns: 'a', verb: 'list' },
        { ns: 'a', verb: 'watch' },
      ],
      ['a audit.user.alice list  pods - 2'],
      { minCount: 2 },
    ],
    [
      'all namespaces',
      ['a', 'b', 'c'].map((ns) => ({ ns, verb: 'list' })),
      ['* audit.user.alice list  pods - 3'],
      { minNamespaces: 3 },
    ],
    [
      'not all namespaces',
      [...['a', 'b', 'c'].map((ns) => ({ ns, verb: 'list' })), { user: 'bob', ns: 'd', verb: 'list' }],
      [
        'a audit.user.alice list  pods - 1',
        'b audit.user.alice list  pods - 1',
        'c audit.user.alice list  pods - 1',
        'd audit.user.bob list  pods - 1',
      ],
      { minNamespaces: 3 },
    ],
    [
      'too few namespaces',
      [
        { ns: 'a', verb: 'list' },
        { ns: 'b', verb: 'list' },
      ],
      ['a audit.user.alice list  pods - 1', 'b audit.user.alice list  pods - 1'],
      { minNamespaces: 3 },
    ],
    [
      'held by everybody',
      [{ path: '/version' }, { ns: 'a', verb: 'list' }],
      ['a audit.user.alice list  pods - 1'],
      { heldAnyway: new PermissionSet([{ verb: 'get', url: '/version' }]) },
    ],
    [
      'impersonation is by name, however many',
      ['a', 'b', 'c', 'd'].map((name) => ({ more: { impersonatedUser: { username: name } }, path: '/p' })),
      [
        '* audit.user.a get  /p - 1',
        '* audit.user.alice impersonate  users a,b,c,d 4',
        '* audit.user.b get  /p - 1',
        '* audit.user.c get  /p - 1',
        '* audit.user.d get  /p - 1',
      ],
    ],
  ]
  for (const [what, seen, expected, options] of cases) assert.deepEqual(lines(generate(seen, options)), expected, what)
})

test('whose requests count', () => {
  const seen: Seen[] = [
    { user: 'alice', groups: ['dev'], ns: 'a', verb: 'list' },
    { user: 'bob', groups: ['dev'], ns: 'b', verb: 'list' },
    { user: 'system:kube-scheduler', verb: 'list', ns: 'c' },
    { user: 'system:serviceaccount:shop:web', verb: 'list', ns: 'd' },
  ]
  const names = (wanted: Partial<UsageOptions['wanted']>): string[] =>
    lines(generate(seen, {}, { wanted: { users: [], serviceAccounts: [], groups: [], ...wanted } })).map((l) =>
      l.split(' ').slice(0, 2).join(' '),
    )
  assert.deepEqual(names({}), ['d audit.sa.shop.web', 'a audit.user.alice', 'b audit.user.bob'])
  assert.deepEqual(names({ users: ['bob'] }), ['b audit.user.bob'])
  assert.deepEqual(names({ users: ['system:kube-scheduler'] }), ['c audit.user.system-kube-scheduler-290edde3'])
  assert.deepEqual(names({ serviceAccounts: ['shop/web'] }), ['d audit.sa.shop.web'])
  assert.deepEqual(names({ groups: ['dev'], users: ['bob'] }), ['a audit.group.dev', 'b audit.user.bob'])
  const usage = usageOf(seen)
  assert.deepEqual(usage.summary().systemUsers, ['system:kube-scheduler'])
})

test('since; lasting requests count once; broken events are counted', () => {
  const usage = usageOf(
    [
      { ns: 'a', at: '2026-10-01T00:00:00Z' },
      { ns: 'a', verb: 'watch', more: { auditID: 'w', stage: 'ResponseStarted' } },
      { ns: 'a', verb: 'watch', more: { auditID: 'w' } },
      { ns: 'a', verb: 'watch', more: { auditID: 'v', stage: 'ResponseStarted' } },
    ],
    { since: Date.UTC(2026, 9, 15) },
  )
  assert.match(usage.add({ kind: 'Pod' })!, /not an audit/)
  assert.deepEqual(lines(generateRoles(usage, DEFAULTS)), ['a audit.user.alice watch  pods - 2'])
  const { events, used, tooOld, broken } = usage.summary()
  assert.deepEqual({ events, used, tooOld, broken }, { events: 5, used: 2, tooOld: 1, broken: 1 })
})

test('a log with too many different requests ends with an error', () => {
  const usage = usageOf([{ ns: 'a' }, { ns: 'b' }], { maxAccesses: 2 })
  assert.throws(() => usage.add(event({ ns: 'c' })), /too many different requests/)
})

test('who wrote roles or bindings is told: the log does not show what that takes', () => {
  const group = 'rbac.authorization.k8s.io'
  const seen: Seen[] = [
    { verb: 'create', ns: 'shop', group, resource: 'roles' },
    { verb: 'patch', ns: 'shop', group, resource: 'rolebindings', name: 'b' },
    { verb: 'update', group, resource: 'clusterrolebindings', name: 'b' },
    { user: 'bob', verb: 'list', ns: 'shop', group, resource: 'roles' },
    { user: 'bob', verb: 'create', ns: 'shop', group: 'example.com', resource: 'roles' },
  ]
  const remarks = [
    'User alice wrote clusterrolebindings cluster-wide: that takes the rules that they grant, too, or the verb bind, which no log shows',
    'User alice wrote roles, rolebindings in namespace shop: that takes the rules that they grant, too, or the verb escalate or bind, which no log shows',
  ]
  assert.deepEqual(roleWriterRemarks(generate(seen)), remarks)
  const usage = usageOf(seen)
  const text = generatedYaml(generateRoles(usage, DEFAULTS), usage.summary())
  for (const remark of remarks) assert.ok(text.includes(`\n# ${remark}.\n`))
})

test('names that machines make', () => {
  for (const name of [
    'web-7d4b8c6f5-x2x9z',
    'job-28374650',
    'web-x2x9z',
    'ns-1f0e2d3c4b5a',
    '0b9d4f5e-1c2d-4e3f-8a9b-0c1d2e3f4a5b',
    'deadbeef1.web',
  ])
    assert.ok(isGeneratedName(name), name)
  for (const name of ['web', 'web-0', 'my-proxy', 'kube-controller-manager', 'node-1', 'v2', 'app-nginx', 'backface'])
    assert.ok(!isGeneratedName(name), name)
})

test('role names: readable, valid, different', () => {
  assert.equal(roleNamePart({ kind: 'User', name: 'alice' }), 'user.alice')
  const parts = ['alice@example.com', 'alice/example.com', 'ALICE', '..', 'é', 'x'.repeat(300)].map((name) =>
    roleNamePart({ kind: 'User', name }),
  )
  assert.equal(new Set(parts).size, parts.length)
  for (const part of parts) assert.match(part, /^[a-z0-9][a-z0-9.-]*[a-z0-9]$/)
  for (const bad of ['', '.', '..', 'a/b', 'a%b', 'a b', 'a\n']) assert.ok(wrongRoleName(bad) !== undefined, bad)
  assert.equal(wrongRoleName('my:role'), undefined)
})

const summary = (usage: Usage): ReturnType<Usage['summary']> => usage.summary()

test('the YAML says what the objects say, with the use above each rule', () => {
  const usage = usageOf([
    { user: 'yes', ns: 'no', name: 'true', at: '2026-11-02T00:00:00Z' },
    { user: 'a: b # "c"', path: '/x y' },
    { user: 'system:serviceaccount:shop:web', ns: 'a', verb: 'list' },
    { user: 'system:serviceaccount:shop:web', ns: 'a', verb: 'watch' },
  ])
  const generated = generateRoles(usage, { ...DEFAULTS, minCount: 1 })
  const text = generatedYaml(generated, summary(usage))
  const expected = generatedList(generated)['items'] as KubeObject[]
  assert.deepEqual(JSON.parse(JSON.stringify(loadAll(text))), JSON.parse(JSON.stringify(expected)))
  assert.match(text, /^# used 2 times, last 2026-11-01T10:00:00Z \(list 1, watch 1\)\n- apiGroups: \[""\]/m)
  assert.match(text, /^# Made from 4 of 4 audit events, from 2026-11-01T10:00:00Z to 2026-11-02T00:00:00Z\.$/m)
  assert.match(text, /resourceNames: \["true"\]/)
  const seldom = generateRoles(usage, { ...DEFAULTS, minCount: 2 })
  assert.match(generatedYaml(seldom, summary(usage)), /^# {3}ServiceAccount shop\/web: list pods in a, used once/m)
})

// ---- properties: what was seen is allowed, and nothing of what was not

const NAMES = ['web', 'db']
const access = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      verb: fc.constantFrom('get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'),
      resource: fc.constantFrom('pods', 'pods/log', 'pods/exec', 'secrets', 'nodes'),
      group: fc.constantFrom('', 'apps'),
      ns: fc.constantFrom('', 'shop', 'db'),
      name: fc.constantFrom('', ...NAMES),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constantFrom('get', 'post'),
      path: fc.constantFrom('/', '/metrics', '/metrics/x', '/healthz'),
    }),
  },
)
const request = fc
  .tuple(access, fc.constantFrom('alice', 'bob', 'system:serviceaccount:shop:web'))
  .map(([a, user]): Seen => ({ ...a, user }))

function engineOf(generated: Generated): RbacEngine {
  const engine = createRbacEngine()
  for (const role of generated.roles) {
    const [object, binding] = manifestsOf(role)
    if (role.kind === 'Role') engine.upsertRole(object as RoleObject)
    else engine.upsertClusterRole(object as RoleObject)
    if (role.kind === 'Role') engine.upsertRoleBinding(binding as BindingObject)
    else engine.upsertClusterRoleBinding(binding as BindingObject)
  }
  return engine
}

function allows(
  engine: RbacEngine,
  { user = '', verb = '', resource = '', group = '', ns = '', name = '', path }: Seen,
): boolean {
  const by = { name: user, groups: ['system:authenticated'] }
  const [main = '', subresource = ''] = resource.split('/')
  return (
    engine.decide(
      path !== undefined
        ? { resourceRequest: false, user: by, verb, path }
        : {
            resourceRequest: true,
            user: by,
            verb,
            apiGroup: group,
            apiVersion: 'v1',
            resource: main,
            subresource,
            namespace: ns,
            name,
          },
    ).verdict === 'allow'
  )
}

/** Whether the log holds a request that makes this one right; `byName`: the name counts where it can. */
function justified(log: readonly Seen[], asked: Seen, byName: boolean): boolean {
  return log.some(
    (seen) =>
      seen.user === asked.user &&
      seen.verb === asked.verb &&
      seen.path === asked.path &&
      (asked.path !== undefined ||
        (seen.resource === asked.resource &&
          seen.group === asked.group &&
          // What was done cluster-wide needs a right that holds in every namespace.
          (seen.ns === asked.ns || seen.ns === '') &&
          (!byName || seen.name === asked.name || seen.name === '' || isNameless(seen)))),
  )
}

const isNameless = ({ verb = '', resource = '' }: Seen): boolean =>
  ['list', 'watch', 'deletecollection'].includes(verb) || (verb === 'create' && !resource.includes('/'))

for (const names of ['auto', 'always', 'never'] as const)
  test(`property: the roles allow every request of the log and no other (names: ${names})`, () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 25 }), fc.array(request, { maxLength: 60 }), (log, others) => {
        const engine = engineOf(generate(log, { names }))
        for (const seen of log) assert.ok(allows(engine, seen), JSON.stringify(seen))
        for (const other of others)
          assert.equal(allows(engine, other), justified(log, other, names !== 'never'), JSON.stringify(other))
      }),
      { numRuns: 400 },
    )
  })

test('property: widened roles still allow every request of the log', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 40 }), (log) => {
      const engine = engineOf(generate(log, { minNamespaces: 2 }))
      for (const seen of log) assert.ok(allows(engine, seen), JSON.stringify(seen))
    }),
  )
})

test('property: the order of the log has no influence', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 30 }), (log) => {
      const [usage, turned] = [usageOf(log), usageOf([...log].reverse())]
      const [a, b] = [generateRoles(usage, DEFAULTS), generateRoles(turned, DEFAULTS)]
      assert.equal(generatedYaml(a, summary(usage)), generatedYaml(b, summary(turned)))
    }),
  )
})
