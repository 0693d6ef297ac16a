import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { KubeObject } from '../../../../kernel/api/object.ts'
import { refText } from '../describe.ts'
import { builtinResources, type KnownResources } from '../known-resources.ts'
import { account, bind, clusterRole, makeWorld, role, withMetadata } from '../worlds.fixture.ts'
import type { Finding } from './finding.ts'
import { LINT_IGNORE, type LintOptions, lintWorld } from './lint.ts'
import { LINT_RULES } from './rule-ids.ts'
import { sarif } from './sarif.ts'

const known = builtinResources()

function lint(objects: KubeObject[], options: Partial<LintOptions> = {}): Finding[] {
  return lintWorld(makeWorld(...objects), { known, ...options }).findings
}

const everywhere = (...rules: string[]): KubeObject[] => [
  clusterRole('r', ...rules),
  bind('', 'b', 'ClusterRole/r', 'user:ann'),
]
const inShop = (...rules: string[]): KubeObject[] => [
  role('shop', 'r', ...rules),
  bind('shop', 'b', 'Role/r', 'user:ann'),
]
const inSystem = (...rules: string[]): KubeObject[] => [
  role('kube-system', 'r', ...rules),
  bind('kube-system', 'b', 'Role/r', 'user:ann'),
]

const RBAC = 'rbac.authorization.k8s.io'
const CERTIFICATES = 'certificates.k8s.io'
const HOOKS = 'admissionregistration.k8s.io'

/** Rule id, severity and a world that has the finding; then worlds that nearly have it. */
const RULES: [id: string, severity: string, world: KubeObject[], ...near: KubeObject[][]][] = [
  [
    'full-access',
    'critical',
    everywhere('* * *'),
    everywhere('* * pods'),
    everywhere('get * *'),
    everywhere('* * * a'),
  ],
  ['full-access', 'high', inShop('* * *')],
  ['wildcard-resources', 'high', everywhere('get core *'), everywhere('get core pods'), everywhere('get core */log')],
  ['wildcard-resources', 'medium', inShop('get core *')],
  [
    'wildcard-verbs',
    'medium',
    everywhere('* core configmaps'),
    everywhere('get,list core configmaps'),
    everywhere('* /x'),
  ],
  ['wildcard-api-groups', 'low', everywhere('get * configmaps'), everywhere('get core configmaps')],
  ['wildcard-urls', 'low', everywhere('get *'), everywhere('get /metrics'), everywhere('get /metrics/*')],
  ['escalate', 'critical', everywhere(`escalate ${RBAC} clusterroles`), everywhere(`get ${RBAC} clusterroles`)],
  ['escalate', 'high', inShop(`escalate ${RBAC} roles`), inShop(`escalate ${RBAC} clusterroles`)],
  ['bind', 'critical', everywhere(`bind ${RBAC} clusterroles`), everywhere(`bind apps clusterroles`)],
  ['bind', 'high', inShop(`bind ${RBAC} clusterroles`)],
  [
    'impersonate',
    'critical',
    everywhere('impersonate core users'),
    everywhere('get core users'),
    inShop('impersonate core users'),
  ],
  ['impersonate', 'medium', inShop('* core serviceaccounts'), inShop('get core serviceaccounts')],
  [
    'secrets-read',
    'high',
    everywhere('list core secrets'),
    inShop('list core secrets'),
    everywhere('get core secrets tls'),
  ],
  ['secrets-read', 'high', inSystem('watch core secrets'), everywhere('create core secrets')],
  [
    'nodes-proxy',
    'high',
    everywhere('get core nodes/proxy'),
    everywhere('get core nodes'),
    inShop('get core nodes/proxy'),
  ],
  ['pods-exec', 'high', everywhere('create core pods/exec'), everywhere('create core pods/log')],
  ['pods-exec', 'medium', inShop('get core pods/exec'), inShop('delete core pods/exec')],
  ['pods-attach', 'medium', inShop('create core pods/attach'), inShop('create core pods/exec')],
  ['pods-portforward', 'low', inShop('create core pods/portforward'), inShop('create core services/proxy')],
  [
    'ephemeral-containers',
    'medium',
    inShop('patch core pods/ephemeralcontainers'),
    inShop('get core pods/ephemeralcontainers'),
  ],
  ['create-pods', 'low', inShop('create core pods'), inShop('get,delete core pods'), inShop('create core pods a')],
  ['create-pods', 'high', inSystem('patch apps daemonsets'), inSystem('patch apps daemonsets/status')],
  ['create-pods', 'high', everywhere('create batch cronjobs'), everywhere('get batch cronjobs')],
  [
    'serviceaccount-token',
    'medium',
    inShop('create core serviceaccounts/token'),
    inShop('create core serviceaccounts'),
  ],
  [
    'token-secret',
    'medium',
    inShop('create core secrets', 'get core secrets'),
    inShop('create core secrets'),
    inShop('create core secrets', 'get core secrets tls'),
  ],
  [
    'csr-approve',
    'high',
    everywhere(`approve ${CERTIFICATES} signers`),
    everywhere(`update ${CERTIFICATES} certificatesigningrequests/approval`),
  ],
  ['csr-sign', 'high', everywhere(`sign ${CERTIFICATES} signers a/b`), everywhere(`get ${CERTIFICATES} signers`)],
  [
    'webhook-write',
    'high',
    everywhere(`patch ${HOOKS} mutatingwebhookconfigurations`),
    everywhere(`get ${HOOKS} mutatingwebhookconfigurations`),
  ],
  [
    'crd-write',
    'medium',
    everywhere('delete apiextensions.k8s.io customresourcedefinitions'),
    everywhere('list apiextensions.k8s.io customresourcedefinitions'),
  ],
  [
    'persistentvolume-create',
    'high',
    everywhere('create core persistentvolumes'),
    everywhere('create core persistentvolumeclaims'),
    everywhere('update core persistentvolumes'),
  ],
  ['nodes-write', 'medium', everywhere('patch core nodes'), everywhere('delete core nodes')],
  ['rbac-write', 'medium', inShop(`update ${RBAC} rolebindings`), inShop(`delete ${RBAC} rolebindings`)],
  [
    'rbac-write',
    'high',
    everywhere(`create ${RBAC} clusterrolebindings`),
    everywhere(`list ${RBAC} clusterrolebindings`),
  ],
  [
    'anonymous-binding',
    'critical',
    [bind('', 'b', 'ClusterRole/view', 'group:system:unauthenticated')],
    [bind('', 'b', 'ClusterRole/view', 'group:unauthenticated')],
  ],
  [
    'anonymous-binding',
    'critical',
    [bind('shop', 'b', 'ClusterRole/view', 'user:system:anonymous')],
    [bind('shop', 'b', 'ClusterRole/view', 'group:system:anonymous')],
  ],
  ['anonymous-binding', 'low', [bind('', 'b', 'ClusterRole/system:public-info-viewer', 'user:system:anonymous')]],
  [
    'broad-group-binding',
    'high',
    [bind('', 'b', 'ClusterRole/view', 'group:system:authenticated')],
    [bind('', 'b', 'ClusterRole/view', 'user:system:authenticated')],
  ],
  [
    'broad-group-binding',
    'high',
    [bind('shop', 'b', 'ClusterRole/view', 'group:system:serviceaccounts')],
    [bind('shop', 'b', 'ClusterRole/view', 'group:ops')],
  ],
  ['broad-group-binding', 'low', [bind('shop', 'b', 'ClusterRole/view', 'group:system:serviceaccounts:shop')]],
  [
    'missing-role',
    'medium',
    [bind('shop', 'b', 'Role/r', 'user:ann')],
    [role('shop', 'r'), bind('shop', 'b', 'Role/r', 'user:ann')],
  ],
  [
    'missing-role',
    'medium',
    [role('dev', 'r'), bind('shop', 'b', 'Role/r', 'user:ann')],
    [bind('shop', 'b', 'Role/r')],
  ],
  [
    'missing-service-account',
    'low',
    [account('shop', 'default'), bind('shop', 'b', 'ClusterRole/view', 'sa:shop/web')],
    [account('shop', 'default'), account('shop', 'web'), bind('shop', 'b', 'ClusterRole/view', 'sa:shop/web')],
    [bind('shop', 'b', 'ClusterRole/view', 'sa:shop/web')],
  ],
  [
    'unused-role',
    'low',
    [role('shop', 'r', 'get core pods')],
    inShop('get core pods'),
    [withMetadata(clusterRole('r', 'get core pods'), { labels: { [`${RBAC}/aggregate-to-view`]: 'true' } })],
  ],
  [
    'default-service-account',
    'medium',
    [bind('shop', 'b', 'ClusterRole/view', 'sa:shop/default')],
    [bind('shop', 'b', 'ClusterRole/view', 'sa:shop/web')],
  ],
  [
    'cluster-admin-grant',
    'critical',
    [bind('', 'b', 'ClusterRole/cluster-admin', 'user:ann')],
    [bind('', 'b', 'ClusterRole/view', 'user:ann')],
    [bind('', 'cluster-admin', 'ClusterRole/cluster-admin', 'group:system:masters')],
  ],
  [
    'cluster-admin-grant',
    'critical',
    [bind('', 'cluster-admin', 'ClusterRole/cluster-admin', 'group:system:masters', 'user:eve')],
  ],
  ['cluster-admin-grant', 'medium', [bind('shop', 'b', 'ClusterRole/cluster-admin', 'user:ann')]],
  [
    'broad-default-role',
    'high',
    [bind('', 'b', 'ClusterRole/edit', 'user:ann')],
    [bind('shop', 'b', 'ClusterRole/edit', 'user:ann')],
    [bind('', 'b', 'ClusterRole/view', 'user:ann')],
  ],
  ['broad-default-role', 'high', [bind('kube-system', 'b', 'ClusterRole/admin', 'user:ann')]],
  ['unknown-resource', 'low', inShop('get core pod'), inShop('get core pods')],
  ['unknown-resource', 'low', inShop('get core deployments'), inShop('get apps deployments')],
  ['unknown-resource', 'low', inShop('get app deployments'), inShop('get example.com deployments')],
  ['unknown-resource', 'low', inShop('get core pods/*'), inShop('get core */log')],
  [
    'unknown-resource',
    'low',
    inShop('get core pods/logs'),
    inShop('get core pods/log'),
    inShop('update apps deployments/finalizers'),
  ],
  [
    'unknown-verb',
    'low',
    inShop('read,get core pods'),
    inShop('get core pods'),
    inShop(`approve ${CERTIFICATES} signers`),
    inShop('frob example.com widgets'),
  ],
  ['unknown-verb', 'low', everywhere('list /metrics'), everywhere('get /metrics')],
  [
    'ineffective-names',
    'medium',
    inShop('create core configmaps a'),
    inShop('get core configmaps a'),
    inShop('create core pods/exec a'),
    inShop('create core configmaps'),
  ],
  ['ineffective-names', 'low', inShop('list core configmaps a'), inShop('list core configmaps')],
  [
    'no-effect',
    'low',
    inShop('get core nodes'),
    everywhere('get core nodes'),
    inShop('get core pods'),
    inShop('get core namespaces'),
    inShop(`bind ${RBAC} clusterroles view`),
  ],
  [
    'no-effect',
    'low',
    [clusterRole('r', 'get /metrics'), bind('shop', 'b', 'ClusterRole/r', 'user:ann')],
    everywhere('get /metrics'),
  ],
]

for (const [id, severity, objects, ...near] of RULES) {
  const title = `${id} (${severity}): ${JSON.stringify(objects[0]!['rules'] ?? objects.at(-1)!['roleRef'].name)}`
  test(title, () => {
    const found = lint(objects).filter(({ rule }) => rule === id)
    assert.equal(found.length, 1, JSON.stringify(lint(objects)))
    const [finding] = found
    assert.equal(finding!.severity, severity)
    assert.match(finding!.at ?? '', /^world\.yaml:\d+$/)
    for (const text of [finding!.what, finding!.attack, finding!.fix]) assert.ok(text.length > 5)
    for (const world of near)
      assert.deepEqual(
        lint(world).filter(({ rule, severity: s }) => rule === id && s === severity),
        [],
        'near miss',
      )
  })
}

const SUBJECTS: [
  title: string,
  subject: KubeObject['metadata'] & Record<string, unknown>,
  namespace: string,
  fix: RegExp | undefined,
][] = [
  ['kind in lower case', { kind: 'user', name: 'ann' }, 'shop', /kind: User/],
  ['kind of something else', { kind: 'Pod', name: 'ann' }, 'shop', /User, Group or ServiceAccount/],
  [
    'account with an API group',
    { kind: 'ServiceAccount', name: 'web', namespace: 'shop', apiGroup: RBAC },
    'shop',
    /leave apiGroup out/,
  ],
  ['account without a namespace, everywhere', { kind: 'ServiceAccount', name: 'web' }, '', /namespace/],
  ['account without a namespace, in one', { kind: 'ServiceAccount', name: 'web' }, 'shop', undefined],
  [
    'account by its user name',
    { kind: 'ServiceAccount', name: 'system:serviceaccount:shop:web', namespace: 'shop' },
    'shop',
    /plain name/,
  ],
  ['user of another API group', { kind: 'User', name: 'ann', apiGroup: 'v1' }, 'shop', /apiGroup: rbac/],
  ['user of none', { kind: 'User', name: 'ann' }, 'shop', undefined],
  [
    'user named like an account',
    { kind: 'User', name: 'web' },
    'shop',
    /kind: ServiceAccount, name: web, namespace: shop/,
  ],
  ['user named like no account', { kind: 'User', name: 'web' }, 'dev', undefined],
  ['user as namespace:account', { kind: 'User', name: 'shop:web' }, '', /name: web, namespace: shop/],
  ['user without system:', { kind: 'User', name: 'serviceaccount:shop:web' }, '', /name: web, namespace: shop/],
  ['user in full', { kind: 'User', name: 'system:serviceaccount:shop:web' }, '', undefined],
  ['user with one part too few', { kind: 'User', name: 'system:serviceaccount:ghost' }, '', /kind: ServiceAccount/],
  ['group in the singular', { kind: 'Group', name: 'system:serviceaccount:shop' }, '', /system:serviceaccounts:shop$/],
  ['group in the plural', { kind: 'Group', name: 'system:serviceaccounts:shop' }, '', undefined],
  ['group of none', { kind: 'Group', name: 'ops' }, '', undefined],
]
for (const [title, subject, namespace, fix] of SUBJECTS)
  test(`subject: ${title}`, () => {
    const binding = bind(namespace, 'b', 'ClusterRole/view', subject as never)
    const found = lint([binding, account('shop', 'web')]).filter(({ rule }) => rule === 'subject-mismatch')
    assert.equal(found.length, fix === undefined ? 0 : 1)
    if (fix !== undefined) assert.match(found[0]!.fix, fix)
  })

const HINTS: [line: string, fix: string][] = [
  ['get core pod', 'write pods'],
  ['get core po', 'write pods'],
  ['get apps deplyoments', 'write deployments'],
  ['get core deployments', 'deployments are in the API group "apps"'],
  ['get core pods/exce', 'write pods/exec'],
  ['get rbac.authorization.k8.io roles', 'write "rbac.authorization.k8s.io"'],
  ['get v1 pods', 'write "" for the core group'],
  ['wach core pods', 'write watch'],
  ['List core pods', 'write list'],
]
for (const [line, fix] of HINTS)
  test(`hint: ${line}`, () => {
    const group = line === 'get v1 pods' ? inShop('get core pods') : inShop(line)
    if (line === 'get v1 pods') group[0]!['rules'] = [{ verbs: ['get'], apiGroups: ['v1'], resources: ['pods'] }]
    const fixes = lint(group).filter(({ rule }) => rule.startsWith('unknown-'))
    assert.deepEqual(
      fixes.map((finding) => finding.fix),
      [fix],
    )
  })

test('what discovery does not have is told only when discovery is all there is', () => {
  const complete: KnownResources = { ...known, complete: true }
  const world = inShop('get example.com widgets')
  assert.equal(lint(world).length, 0)
  assert.deepEqual(
    lint(world, { known: complete }).map(({ rule }) => rule),
    ['unknown-resource', 'unknown-resource'],
  )
})

test('the default policy has no findings, unless it is asked for', () => {
  assert.deepEqual(lint([]), [])
  assert.ok(lint([], { includeSystem: true }).length > 50)
})

test('a default role with a rule more is reported for that rule', () => {
  const own = clusterRole('system:node-problem-detector', 'get core nodes', '* * *')
  const found = lint([own])
  assert.deepEqual(
    found.map(({ rule, rules }) => [rule, rules]),
    [['full-access', [1]]],
  )
})

test('what an aggregated role gathers is reported where it comes from, with the reach of the aggregated one', () => {
  const source = withMetadata(clusterRole('secrets', 'list core secrets'), {
    labels: { [`${RBAC}/aggregate-to-view`]: 'true' },
  })
  const found = lint([source, bind('', 'b', 'ClusterRole/view', 'user:ann')]).filter((f) => f.rule === 'secrets-read')
  assert.deepEqual(
    found.map(({ object, severity }) => [refText(object), severity]),
    [['ClusterRole secrets', 'high']],
  )
})

test('a role that nobody holds counts one step less', () => {
  const [finding] = lint([clusterRole('r', '* * *')])
  assert.deepEqual([finding!.rule, finding!.severity], ['full-access', 'high'])
})

test('an annotation silences the rules that it names, on the object that has it', () => {
  const [wide, binding] = everywhere('get core nodes/proxy', 'list core secrets') as [KubeObject, KubeObject]
  const ignore = (ids: string): KubeObject => withMetadata(wide, { annotations: { [LINT_IGNORE]: ids } })
  const run = (ids: string) =>
    lintWorld(makeWorld(ignore(ids), binding), { known, rules: ['nodes-proxy', 'secrets-read'] })
  assert.deepEqual(
    run('nodes-proxy').findings.map(({ rule }) => rule),
    ['secrets-read'],
  )
  assert.equal(run('nodes-proxy').suppressed, 1)
  assert.equal(run('nodes-proxy, secrets-read').findings.length, 0)
  assert.equal(run('*').findings.length, 0)
  assert.equal(run('other').findings.length, 2)
  const elsewhere = withMetadata(binding, { annotations: { [LINT_IGNORE]: '*' } })
  assert.equal(lint([wide, elsewhere], { rules: ['nodes-proxy'] }).length, 1)
})

test('what Rampart brings for machines is excused, exactly as it is', () => {
  const world = (user: string, verbs: string): KubeObject[] => [
    bind('', 'rampart:kubelet-api', 'ClusterRole/system:kubelet-api-admin', `user:${user}`),
    role('kube-public', 'rampart-trust-reader', `${verbs} core configmaps rampart-trust`),
    bind('kube-public', 'rampart-trust-reader', 'Role/rampart-trust-reader', 'group:system:nodes'),
  ]
  const rulesOf = (objects: KubeObject[]): string[] => lint(objects).map(({ rule }) => rule)
  assert.deepEqual(rulesOf(world('kube-apiserver-kubelet-client', 'get,list,watch')), [])
  assert.deepEqual(rulesOf(world('ann', 'get,list')), ['broad-default-role', 'ineffective-names'])
})

test('the worst first; less than asked for is left out', () => {
  const world = [
    ...everywhere('escalate rbac.authorization.k8s.io clusterroles', 'patch core nodes'),
    role('shop', 'unused'),
  ]
  const severities = lint(world).map(({ severity }) => severity)
  assert.deepEqual(severities, ['critical', 'medium', 'low'])
  assert.deepEqual(lint(world, { severity: 'medium' }).length, 2)
})

test('SARIF: rules once, results with level and place', () => {
  const log = sarif(lint([...everywhere('list core secrets'), role('shop', 'unused')])) as {
    version: string
    runs: { tool: { driver: { rules: { id: string }[] } }; results: Record<string, never>[] }[]
  }
  const [run] = log.runs
  assert.equal(log.version, '2.1.0')
  assert.deepEqual(
    run!.tool.driver.rules.map(({ id }) => id),
    ['secrets-read', 'unused-role'],
  )
  assert.deepEqual(
    run!.results.map((result) => [result['ruleId'], result['level']]),
    [
      ['secrets-read', 'error'],
      ['unused-role', 'note'],
    ],
  )
  assert.deepEqual(JSON.parse(JSON.stringify(run!.results[0]!['locations']))[0].physicalLocation, {
    artifactLocation: { uri: 'world.yaml' },
    region: { startLine: 1 },
  })
})

test('the page on RBAC lists every rule', () => {
  const page = readFileSync(new URL('../../../../../docs/rbac.md', import.meta.url), 'utf8')
  const listed = new Set(
    [...page.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, ids]) => ids!.replaceAll('`', '').split(', ')),
  )
  const ids = new Set([...RULES.map(([id]) => id), 'subject-mismatch', 'escalation-chain'])
  assert.deepEqual([...ids].sort(), [...listed].sort())
  assert.deepEqual([...ids].sort(), [...LINT_RULES])
})
