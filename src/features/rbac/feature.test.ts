import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryClient } from '../../kernel/admission/memory-client.fixture.ts'
import type { Decision } from '../../kernel/authz/types.ts'
import { features } from '../index.ts'
import { rbac } from './index.ts'
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES } from './resource-ids.ts'

test('the authorizer is ready when it resolves, and follows what is written', async () => {
  assert.ok(features.includes(rbac))
  const client = new MemoryClient()
  const stop = new AbortController()
  const context = { client, clock: { now: Date.now }, log: () => undefined, signal: stop.signal }
  const [authorizer] = await rbac.authorizers!(context)
  const [check] = await rbac.admission!(context)
  assert.equal(check!.name, 'RBACEscalation')
  const may = (): Decision =>
    authorizer!.authorize({
      resourceRequest: true,
      user: { name: 'ann', groups: [] },
      verb: 'get',
      apiGroup: '',
      apiVersion: 'v1',
      resource: 'pods',
      subresource: '',
      namespace: 'shop',
      name: 'x',
    }) as Decision
  const rules = authorizer!.rulesFor!({ name: 'x', groups: ['system:masters'] }, 'shop').resourceRules
  assert.deepEqual(rules, [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }])
  assert.equal(may().verdict, 'next')
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  await client.create(CLUSTER_ROLE_BINDINGS, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'ann' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
    subjects: [{ kind: 'User', name: 'ann' }],
  })
  await settle()
  assert.equal(may().verdict, 'allow')
  await client.delete(CLUSTER_ROLES, '', 'view')
  await settle()
  assert.deepEqual(may(), {
    verdict: 'next',
    reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "view" not found',
  })
  stop.abort()
})
