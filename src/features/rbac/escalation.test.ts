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
    'must have cluster-admin privileges to use an aggregationRule',
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
