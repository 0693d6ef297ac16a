import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bootstrapPolicy } from '../bootstrap/policy.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { buildGraph } from './build.ts'
import { toDot } from './dot.ts'
import { filterGraph } from './filter.ts'
import type { RbacGraph } from './graph.ts'
import { serviceAccountOf } from './pod-spec.ts'

const world = (parts: Partial<RbacWorld>): RbacWorld => ({
  clusterRoles: [],
  clusterRoleBindings: [],
  roles: [],
  roleBindings: [],
  serviceAccounts: [],
  workloads: [],
  origin: () => undefined,
  ...parts,
})
const may = (verbs: string, resources: string): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: [''],
  resources: resources.split(','),
})
const role = (namespace: string, name: string, ...rules: PolicyRule[]): RoleObject => ({
  metadata: { namespace, name },
  rules,
})
const binding = (namespace: string, name: string, to: string, ...subjects: Subject[]): BindingObject => ({
  metadata: { namespace, name },
  roleRef: { kind: 'Role', name: to },
  subjects,
})
const sa = (namespace: string, name: string): Subject => ({ kind: 'ServiceAccount', namespace, name })

const shop = world({
  clusterRoles: [
    {
      metadata: { name: 'all' },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'all' } }] },
      rules: [may('get', 'nodes')],
    },
    { metadata: { name: 'nodes', labels: { to: 'all' } }, rules: [may('get', 'nodes')] },
  ],
  clusterRoleBindings: [
    {
      metadata: { name: 'ops' },
      roleRef: { kind: 'ClusterRole', name: 'all' },
      subjects: [{ kind: 'Group', name: 'system:serviceaccounts:shop' }],
    },
    {
      metadata: { name: 'lost' },
      roleRef: { kind: 'ClusterRole', name: 'gone' },
      subjects: [{ kind: 'User', name: 'alice' }],
    },
  ],
  roles: [role('shop', 'secrets', may('get', 'secrets'), may('list', 'pods')), role('db', 'pods', may('get', 'pods'))],
  roleBindings: [
    binding('shop', 'web', 'secrets', sa('shop', 'web'), { kind: 'User', name: 'bob' }),
    binding('db', 'pods', 'pods', { kind: 'User', name: 'bob' }),
  ],
  serviceAccounts: [{ metadata: { namespace: 'db', name: 'default' } }],
  workloads: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace: 'shop', name: 'web' },
      spec: { template: { spec: { serviceAccountName: 'web' } } },
    },
    { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'db', name: 'pg' }, spec: {} },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        namespace: 'shop',
        name: 'web-x',
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: 'u', controller: true }],
      },
      spec: {},
    },
  ],
})
const edges = (graph: RbacGraph): string[] =>
  graph.edges.map((e) => `${e.from} ${e.kind} ${e.to}`.replace(/[0-9a-f]{12}/g, '#'))
const ids = (graph: RbacGraph): string[] => graph.nodes.map((n) => n.id.replace(/[0-9a-f]{12}/g, '#'))

test('nodes and edges of a world', () => {
  const graph = buildGraph(shop)
  assert.deepEqual(ids(graph), [
    'Workload/Deployment/shop/web',
    'Workload/Pod/db/pg',
    'ServiceAccount/db/default',
    'ServiceAccount/shop/web',
    'User/alice',
    'User/bob',
    'Group/system:serviceaccounts:shop',
    'ClusterRoleBinding/lost',
    'ClusterRoleBinding/ops',
    'RoleBinding/db/pods',
    'RoleBinding/shop/web',
    'ClusterRole/all',
    'ClusterRole/gone',
    'ClusterRole/nodes',
    'Role/db/pods',
    'Role/shop/secrets',
    'ClusterRole/all/rules/#',
    'ClusterRole/nodes/rules/#',
    'Role/db/pods/rules/#',
    'Role/shop/secrets/rules/#',
    'Role/shop/secrets/rules/#',
  ])
  assert.deepEqual(edges(graph), [
    'ClusterRole/all grants ClusterRole/all/rules/#',
    'ClusterRole/all gathers ClusterRole/nodes',
    'ClusterRole/nodes grants ClusterRole/nodes/rules/#',
    'ClusterRoleBinding/lost refers to ClusterRole/gone',
    'ClusterRoleBinding/ops refers to ClusterRole/all',
    'Group/system:serviceaccounts:shop bound by ClusterRoleBinding/ops',
    'Role/db/pods grants Role/db/pods/rules/#',
    'Role/shop/secrets grants Role/shop/secrets/rules/#',
    'Role/shop/secrets grants Role/shop/secrets/rules/#',
    'RoleBinding/db/pods refers to Role/db/pods',
    'RoleBinding/shop/web refers to Role/shop/secrets',
    'ServiceAccount/shop/web member of Group/system:serviceaccounts:shop',
    'ServiceAccount/shop/web bound by RoleBinding/shop/web',
    'User/alice bound by ClusterRoleBinding/lost',
    'User/bob bound by RoleBinding/db/pods',
    'User/bob bound by RoleBinding/shop/web',
    'Workload/Deployment/shop/web runs as ServiceAccount/shop/web',
    'Workload/Pod/db/pg runs as ServiceAccount/db/default',
  ])
  const dangerous = graph.nodes.filter((n) => n.dangers !== undefined).map((n) => n.id.replace(/[0-9a-f]{12}/, '#'))
  assert.deepEqual(dangerous, [
    'ServiceAccount/shop/web',
    'User/bob',
    'RoleBinding/shop/web',
    'Role/shop/secrets',
    'Role/shop/secrets/rules/#',
  ])
  assert.deepEqual(
    graph.nodes.filter((n) => n.missing).map((n) => n.id),
    ['ClusterRole/gone'],
  )
})

test('ids and order do not depend on the order of objects or of lists within rules', () => {
  const turned = world({
    ...shop,
    clusterRoles: [...shop.clusterRoles].reverse(),
    clusterRoleBindings: [...shop.clusterRoleBindings].reverse(),
    roles: shop.roles.map((r) => ({ ...r, rules: [...r.rules!].reverse() })).reverse(),
    roleBindings: shop.roleBindings.map((b) => ({ ...b, subjects: [...b.subjects!].reverse() })).reverse(),
    workloads: [...shop.workloads].reverse(),
  })
  assert.deepEqual(buildGraph(turned), buildGraph(shop))
  const rule = (verbs: string): RbacGraph => buildGraph(world({ roles: [role('a', 'r', may(verbs, 'pods'))] }))
  assert.deepEqual(rule('get,list'), rule('list,get'))
})

test('filters keep what reaches and what is reached', () => {
  const graph = buildGraph(shop)
  const cases: [filter: Parameters<typeof filterGraph>[1], expected: string[]][] = [
    [
      { subjects: ['bob'] },
      [
        'User/bob',
        'RoleBinding/db/pods',
        'RoleBinding/shop/web',
        'Role/db/pods',
        'Role/shop/secrets',
        'Role/db/pods/rules/#',
        'Role/shop/secrets/rules/#',
        'Role/shop/secrets/rules/#',
      ],
    ],
    [
      { subjects: ['user:bob'], namespace: 'db' },
      ['User/bob', 'RoleBinding/db/pods', 'Role/db/pods', 'Role/db/pods/rules/#'],
    ],
    [
      { roles: ['nodes'] },
      [
        'Workload/Deployment/shop/web',
        'ServiceAccount/shop/web',
        'Group/system:serviceaccounts:shop',
        'ClusterRoleBinding/ops',
        'ClusterRole/all',
        'ClusterRole/nodes',
        'ClusterRole/nodes/rules/#',
      ],
    ],
    [
      { roles: ['shop/secrets'], subjects: ['sa:shop/web'] },
      [
        'Workload/Deployment/shop/web',
        'ServiceAccount/shop/web',
        'RoleBinding/shop/web',
        'Role/shop/secrets',
        'Role/shop/secrets/rules/#',
        'Role/shop/secrets/rules/#',
      ],
    ],
    [{ subjects: ['group:bob'] }, []],
    [{ subjects: ['group:system:serviceaccounts:shop'], roles: ['db/pods'] }, []],
    [{ namespace: 'nowhere' }, []],
  ]
  for (const [filter, expected] of cases)
    assert.deepEqual(ids(filterGraph(graph, filter)), expected, JSON.stringify(filter))
  const bySa = ids(filterGraph(graph, { subjects: ['sa:shop/web'] }))
  assert.deepEqual(ids(filterGraph(graph, { subjects: ['system:serviceaccount:shop:web'] })), bySa)
  assert.deepEqual(ids(filterGraph(graph, { subjects: ['user:system:serviceaccount:shop:web'] })), bySa)
})

test('the service account of pods and of what makes pods', () => {
  const of = (kind: string, spec: unknown): string | undefined =>
    serviceAccountOf({ apiVersion: 'v1', kind, metadata: {}, spec })
  assert.equal(of('Pod', { serviceAccountName: 'a' }), 'a')
  assert.equal(of('Pod', { serviceAccount: 'old' }), 'old')
  assert.equal(of('Pod', {}), 'default')
  assert.equal(of('StatefulSet', { template: { spec: { serviceAccountName: 'a' } } }), 'a')
  assert.equal(of('CronJob', { jobTemplate: { spec: { template: { spec: { serviceAccountName: 'a' } } } } }), 'a')
  assert.equal(of('CronJob', { jobTemplate: null }), undefined)
  assert.equal(of('Deployment', undefined), undefined)
})

// ---- DOT, held against its grammar (graphviz.org/doc/info/lang.html), of which a strict part is written

type Parsed = { nodes: Map<string, Record<string, string>>; edges: [string, string][] }

/** Accepts quoted ids only, one statement a line, no statement twice; throws on anything else. */
function parseDot(text: string): Parsed {
  const string = String.raw`"(?:[^"\\\n\r]|\\["\\n])*"`
  const list = String.raw`\[\w+=${string}(?:, \w+=${string})*\]`
  const parsed: Parsed = { nodes: new Map(), edges: [] }
  let depth = 0
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '' && depth === 0) continue
    if (i === 0) assert.equal(line, 'digraph rbac {')
    if (i === 0 || new RegExp(`^  subgraph ${string} \\{$`).test(line)) depth++
    else if (/^ *\}$/.test(line)) depth--
    else {
      const match = new RegExp(`^ +(?:(graph|node|edge)|(${string})(?: -> (${string}))?)(?: (${list}))?$`).exec(line)
      assert.ok(match !== null && depth > 0, `line ${i + 1} is not DOT: ${line}`)
      const [, keyword, from, to, attributes] = match
      if (keyword !== undefined) continue
      if (to !== undefined) parsed.edges.push([from!, to])
      else {
        assert.ok(!parsed.nodes.has(from!), `${from} twice`)
        const pairs = [...(attributes ?? '').matchAll(new RegExp(`(\\w+)=(${string})`, 'g'))]
        parsed.nodes.set(from!, Object.fromEntries(pairs.map(([, k, v]) => [k!, v!])))
      }
    }
  }
  assert.equal(depth, 0)
  for (const end of parsed.edges.flat()) assert.ok(parsed.nodes.has(end), `${end} is no node`)
  return parsed
}

test('DOT: looks, legend and danger', () => {
  const { nodes, edges } = parseDot(toDot(buildGraph(shop)))
  assert.equal(edges.length, 18)
  assert.equal(nodes.get('"Role/shop/secrets"')?.['label'], '"Role\\nshop/secrets"')
  assert.equal(nodes.get('"Role/shop/secrets"')?.['color'], '"#c62828"')
  assert.equal(nodes.get('"Role/db/pods"')?.['color'], undefined)
  assert.match(nodes.get('"ClusterRole/gone"')!['style']!, /dashed/)
  assert.ok([...nodes.values()].some((n) => n['fillcolor'] === '"#ffcdd2"' && /reads Secrets/.test(n['label']!)))
  assert.ok(nodes.has('"legend/danger"'))
})

test('DOT of the default roles', () => {
  const boot = bootstrapPolicy()
  const graph = buildGraph(world(boot as unknown as Partial<RbacWorld>))
  const { nodes, edges } = parseDot(toDot(graph))
  assert.equal(edges.length, graph.edges.length)
  assert.equal(nodes.size, graph.nodes.length + 12)
})

test('property: whatever names there are, the DOT is valid and tells nodes apart', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.string({ unit: fc.constantFrom('\\', '"', '\n', 'n', '\u001b', '\\u001b', '{', '<', '>'), maxLength: 8 }),
  )
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 8 }), name, (users, resource) => {
      const graph = buildGraph(
        world({
          clusterRoles: [
            {
              metadata: { name: resource },
              rules: [
                may('get', 'x'),
                { verbs: [resource], apiGroups: [resource], resources: [resource], resourceNames: [resource] },
              ],
            },
          ],
          clusterRoleBindings: [
            {
              metadata: { name: resource },
              roleRef: { kind: 'ClusterRole', name: resource },
              subjects: users.map((u) => ({ kind: 'User', name: u })),
            },
          ],
        }),
      )
      assert.equal(parseDot(toDot(graph)).nodes.size, graph.nodes.length + 12)
    }),
    { numRuns: 500 },
  )
})
