import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdmissionOperation, AdmissionRequest } from '../../kernel/admission/types.ts'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { ApiError } from '../../kernel/api/status.ts'
import { createRbacEngine } from './engine/engine.ts'
import type { PolicyRule } from './engine/types.ts'
import { escalationCheck } from './escalation.ts'
import { rbacKinds } from './resources.ts'

const GROUP = 'rbac.authorization.k8s.io'
const rule = (verbs: string, group: string, resources: string, ...names: string[]): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: [group],
  resources: resources.split(','),
  ...(names.length === 0 ? {} : { resourceNames: names }),
})
const everything: PolicyRule[] = [rule('*', '*', '*'), { verbs: ['*'], nonResourceURLs: ['*'] }]

const engine = createRbacEngine()
const grant = (user: string, namespace: string, ...rules: PolicyRule[]): void => {
  const name = `${user}-${namespace || 'all'}`
  engine.upsertClusterRole({ metadata: { name }, rules })
  const binding = {
    metadata: { name, namespace },
    roleRef: { kind: 'ClusterRole', name },
    subjects: [{ kind: 'User', name: user }],
  }
  if (namespace === '') engine.upsertClusterRoleBinding(binding)
  else engine.upsertRoleBinding(binding)
}
grant('reader', '', rule('get,list', '', 'secrets'))
grant('local', 'shop', rule('get', '', 'pods'))
grant('binder', 'shop', rule('bind', GROUP, 'clusterroles', 'view'))
grant('escalator', '', rule('escalate', GROUP, 'clusterroles'))
grant('named', '', rule('escalate', GROUP, 'clusterroles', 'mine'))
grant('root', '', ...everything)
engine.upsertClusterRole({ metadata: { name: 'view' }, rules: [rule('get', '', 'pods')] })
engine.upsertClusterRole({ metadata: { name: 'secret-reader' }, rules: [rule('get', '', 'secrets')] })
const step = escalationCheck({ rules: engine, authorize: engine.decide })

type Fields = {
  rules?: PolicyRule[]
  aggregationRule?: object
  roleRef?: object
  metadata?: object
  subjects?: object[]
}
const object = (kind: string, fields: Fields): KubeObject => ({
  apiVersion: `${GROUP}/v1`,
  kind,
  ...fields,
  metadata: { name: 'mine', ...(kind.startsWith('Cluster') ? {} : { namespace: 'shop' }), ...fields.metadata },
})
const ref = (kind: string, name: string): object => ({ apiGroup: GROUP, kind, name })

async function write(
  who: string,
  kind: string,
  fields: Fields,
  operation: AdmissionOperation = 'CREATE',
  old: Fields = {},
): Promise<ApiError | undefined> {
  const definition = rbacKinds.find((k) => k.kind === kind)!
  const [name = '', ...groups] = who.split('+')
  const request: AdmissionRequest = {
    operation,
    definition,
    subresource: '',
    namespace: definition.namespaced ? 'shop' : '',
    name: 'mine',
    object: object(kind, fields),
    oldObject: operation === 'UPDATE' ? object(kind, old) : undefined,
    user: { name, groups: [...groups, 'system:authenticated'] },
    dryRun: false,
    options: undefined,
    warn: () => undefined,
    annotateAudit: () => undefined,
    signal: new AbortController().signal,
  }
  assert.ok(step.handles(request))
  try {
    await step.validate!(request)
    return undefined
  } catch (error) {
    return error as ApiError
  }
}

const readSecrets = { rules: [rule('get', '', 'secrets')] }
const CASES: [title: string, who: string, kind: string, fields: Fields, message: string | undefined][] = [
  ['a role of what one holds', 'reader', 'ClusterRole', readSecrets, undefined],
  ['the same in a namespace', 'reader', 'Role', readSecrets, undefined],
  [
    'a role of more than one holds',
    'reader',
    'ClusterRole',
    { rules: [rule('get,delete,watch', '', 'secrets')] },
    `clusterroles.${GROUP} "mine" is forbidden: user "reader" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["delete" "watch"]}`,
  ],
  [
    'several missing rules are sorted',
    'nobody',
    'Role',
    { rules: [rule('get', '', 'pods'), rule('get', '', 'configmaps')] },
    `roles.${GROUP} "mine" is forbidden: user "nobody" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["configmaps"], Verbs:["get"]}\n{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`,
  ],
  ['held in the namespace: a role there', 'local', 'Role', { rules: [rule('get', '', 'pods')] }, undefined],
  [
    'held in the namespace: no cluster role',
    'local',
    'ClusterRole',
    { rules: [rule('get', '', 'pods')] },
    'not currently held',
  ],
  ['an empty role', 'nobody', 'Role', { rules: [] }, undefined],
  ['with the verb escalate', 'escalator', 'ClusterRole', { rules: everything }, undefined],
  ['escalate on clusterroles is not for roles', 'escalator', 'Role', readSecrets, 'not currently held'],
  ['escalate by name does not help to create', 'named', 'ClusterRole', readSecrets, 'not currently held'],
  ['system:masters', 'x+system:masters', 'ClusterRole', { rules: everything }, undefined],
  [
    'a binding to a role whose rules one holds',
    'reader',
    'ClusterRoleBinding',
    { roleRef: ref('ClusterRole', 'secret-reader') },
    undefined,
  ],
  [
    'a binding to more',
    'local',
    'RoleBinding',
    { roleRef: ref('ClusterRole', 'secret-reader') },
    'rolebindings.rbac.authorization.k8s.io "mine" is forbidden: user "local"',
  ],
  ['with the verb bind', 'binder', 'RoleBinding', { roleRef: ref('ClusterRole', 'view') }, undefined],
  [
    'bind in one namespace is not for the cluster',
    'binder',
    'ClusterRoleBinding',
    { roleRef: ref('ClusterRole', 'view') },
    'not currently held',
  ],
  [
    'bind by name is for that name',
    'binder',
    'RoleBinding',
    { roleRef: ref('ClusterRole', 'secret-reader') },
    'not currently held',
  ],
  [
    'a binding to a role that is not there',
    'reader',
    'RoleBinding',
    { roleRef: ref('Role', 'gone') },
    `roles.${GROUP} "gone" not found`,
  ],
  [
    'an aggregated role needs everything',
    'reader',
    'ClusterRole',
    { rules: [], aggregationRule: { clusterRoleSelectors: [{}] } },
    'must have cluster-admin privileges to use the aggregationRule',
  ],
  [
    'who has everything may aggregate',
    'root',
    'ClusterRole',
    { rules: [], aggregationRule: { clusterRoleSelectors: [{}] } },
    undefined,
  ],
]
for (const [title, who, kind, fields, message] of CASES)
  for (const operation of ['CREATE', 'UPDATE'] as const) {
    if (operation === 'UPDATE' && title.startsWith('escalate by name')) continue
    test(`${operation} ${kind}: ${title}`, async () => {
      const error = await write(who, kind, fields, operation, {
        metadata: { labels: { old: 'x' } },
        roleRef: fields.roleRef!,
      })
      if (message === undefined) assert.equal(error, undefined)
      else assert.ok(error?.message.includes(message), error?.message)
    })
  }

const aggregateToAdmin = { metadata: { labels: { 'rbac.authorization.k8s.io/aggregate-to-admin': 'true' } } }

test('the label that adds a role to an aggregated one needs the rules of the labelled role, no more', async () => {
  const labelled = { ...readSecrets, ...aggregateToAdmin }
  for (const operation of ['CREATE', 'UPDATE'] as const) {
    assert.equal(await write('reader', 'ClusterRole', labelled, operation, readSecrets), undefined)
    assert.match((await write('local', 'ClusterRole', labelled, operation, readSecrets))!.message, /not currently held/)
    assert.equal(await write('nobody', 'ClusterRole', { rules: [], ...aggregateToAdmin }, operation), undefined)
  }
})

test('a binding is checked at each update, whatever changes', async () => {
  const fields = { roleRef: ref('ClusterRole', 'secret-reader'), subjects: [{ kind: 'User', name: 'a' }] }
  const more = { ...fields, subjects: [...fields.subjects, { kind: 'User', name: 'b' }] }
  const label = { ...fields, metadata: { labels: { a: 'b' } } }
  for (const changed of [more, label]) {
    assert.equal(await write('reader', 'ClusterRoleBinding', changed, 'UPDATE', fields), undefined)
    assert.match((await write('local', 'RoleBinding', changed, 'UPDATE', fields))!.message, /not currently held/)
  }
})

const HELD: [title: string, who: string, rules: PolicyRule[], missing: string | undefined][] = [
  ['* /log covers pods/log', 'logger', [rule('get', '', 'pods/log')], undefined],
  ['* /log is not *', 'logger', [rule('get', '', '*')], '{APIGroups:[""], Resources:["*"], Verbs:["get"]}'],
  ['a name one holds', 'keeper', [rule('get', '', 'secrets', 'tls')], undefined],
  [
    'one name more',
    'keeper',
    [rule('get,update', '', 'secrets', 'tls', 'token')],
    '{APIGroups:[""], Resources:["secrets"], ResourceNames:["tls"], Verbs:["update"]}\n' +
      '{APIGroups:[""], Resources:["secrets"], ResourceNames:["token"], Verbs:["get" "update"]}',
  ],
  ['all names', 'keeper', [rule('get', '', 'secrets')], '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'],
  ['a path under one', 'prober', [{ verbs: ['get'], nonResourceURLs: ['/healthz/etcd'] }], undefined],
  [
    'paths beside',
    'prober',
    [{ verbs: ['get', 'post'], nonResourceURLs: ['/healthz', '/metrics'] }],
    // Rules of paths are not joined by verb; lines are sorted.
    '{NonResourceURLs:["/healthz"], Verbs:["get"]}\n{NonResourceURLs:["/healthz"], Verbs:["post"]}\n' +
      '{NonResourceURLs:["/metrics"], Verbs:["get"]}\n{NonResourceURLs:["/metrics"], Verbs:["post"]}',
  ],
  [
    'a verb nobody knows',
    'local',
    [rule('frobnicate', '', 'pods')],
    '{APIGroups:[""], Resources:["pods"], Verbs:["frobnicate"]}',
  ],
  ['case counts', 'reader', [rule('get', '', 'Secrets')], '{APIGroups:[""], Resources:["Secrets"], Verbs:["get"]}'],
]
grant('logger', '', rule('get', '*', '*/log'))
grant('keeper', '', rule('get', '', 'secrets', 'tls'))
grant('prober', '', { verbs: ['get'], nonResourceURLs: ['/healthz/*'] })
for (const [title, who, rules, missing] of HELD)
  test(`covered: ${title}`, async () => {
    const error = await write(who, 'ClusterRole', { rules })
    if (missing === undefined) assert.equal(error, undefined)
    else
      assert.equal(
        error!.message,
        `clusterroles.${GROUP} "mine" is forbidden: user "${who}" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n${missing}`,
      )
  })

test('roles that could not be read are named at the end', async () => {
  for (const [name, roleName] of [
    ['dangling-1', 'gone'],
    ['dangling-2', 'gone-too'],
  ] as const) {
    engine.upsertClusterRoleBinding({
      metadata: { name },
      roleRef: { kind: 'ClusterRole', name: roleName },
      subjects: [{ kind: 'User', name: 'dangler' }],
    })
    const error = await write('dangler', 'Role', { rules: [rule('get', '', 'pods')] })
    const first = `clusterrole.${GROUP} "gone" not found`
    assert.ok(
      error!.message.endsWith(
        name === 'dangling-1'
          ? `; resolution errors: [${first}]`
          : `; resolution errors: [[${first}, clusterrole.${GROUP} "gone-too" not found]]`,
      ),
      error!.message,
    )
  }
})

test('a role of more combinations than can be checked is refused, but not to whoever holds everything', async () => {
  const many = (what: string): string[] => Array.from({ length: 1000 }, (_, i) => `${what}${i}`)
  const rules: PolicyRule[] = [
    { verbs: many('v'), apiGroups: many('g'), resources: many('r'), resourceNames: many('n') },
  ]
  const error = await write('reader', 'ClusterRole', { rules })
  assert.equal(error!.code, 403)
  assert.match(error!.message, /the rules name 1000000000000 combinations .* not more than 50000 can be checked/)
  assert.equal(await write('root', 'ClusterRole', { rules }), undefined)
})

test('a message names a thousand missing rules, and counts the others', async () => {
  const names = Array.from({ length: 3000 }, (_, i) => `n${i}`)
  const error = await write('nobody', 'ClusterRole', { rules: [rule('get', '', 'pods', ...names)] })
  const lines = error!.message.split('\n')
  assert.equal(lines.length, 1002)
  assert.equal(lines.at(-1), '… and 2000 more')
})

test('escalate by name allows the update of that role', async () => {
  assert.equal(await write('named', 'ClusterRole', readSecrets, 'UPDATE', {}), undefined)
})

test('taking the aggregationRule off needs everything too', async () => {
  const old = { rules: [], aggregationRule: { clusterRoleSelectors: [{}] } }
  const error = await write('reader', 'ClusterRole', { rules: [] }, 'UPDATE', old)
  assert.match(error!.message, /must have cluster-admin privileges/)
})

test('whoever only lets garbage collection go on needs no rights', async () => {
  const old = { rules: everything, metadata: { finalizers: ['x/y'] } }
  assert.equal(
    await write('nobody', 'ClusterRole', { rules: everything, metadata: { finalizers: [] } }, 'UPDATE', old),
    undefined,
  )
  const error = await write(
    'nobody',
    'ClusterRole',
    { rules: everything, metadata: { labels: { a: 'b' } } },
    'UPDATE',
    old,
  )
  assert.equal(error?.code, 403)
})

test('other kinds cost nothing', () => {
  const secrets = { ...rbacKinds[0]!, group: '', kind: 'Secret' }
  assert.equal(step.handles({ operation: 'CREATE', definition: secrets, subresource: '' }), false)
  assert.equal(step.handles({ operation: 'DELETE', definition: rbacKinds[0]!, subresource: '' }), false)
})
