import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryClient } from '../../../kernel/admission/memory-client.fixture.ts'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { covers } from '../engine/covers.ts'
import { createRbacEngine } from '../engine/engine.ts'
import type { BindingObject, PolicyRule, RoleObject } from '../engine/types.ts'
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLES } from '../resource-ids.ts'
import { rbacKinds } from '../resources.ts'
import { AUTOUPDATE, bootstrapPolicy } from './policy.ts'
import { reconcileBootstrapPolicy } from './reconcile.ts'
import { parseRuleLine } from './rule-line.ts'

const quiet = (): void => undefined
const byName = (objects: KubeObject[], name: string): KubeObject => objects.find((o) => o.metadata.name === name)!

test('rule lines', () => {
  assert.deepEqual(parseRuleLine('get,list core,apps pods,pods/log a,b'), {
    verbs: ['get', 'list'],
    apiGroups: ['', 'apps'],
    resources: ['pods', 'pods/log'],
    resourceNames: ['a', 'b'],
  })
  assert.deepEqual(parseRuleLine('get /api,/api/*'), { verbs: ['get'], nonResourceURLs: ['/api', '/api/*'] })
  for (const bad of ['', 'get', 'a b c d e']) assert.throws(() => parseRuleLine(bad))
})

test('the default policy is valid, unique and complete', () => {
  const policy = bootstrapPolicy()
  for (const objects of Object.values(policy)) {
    const names = objects.map((o) => `${o.metadata.namespace ?? ''}/${o.metadata.name}`)
    assert.equal(new Set(names).size, names.length)
    for (const object of objects) {
      const kind = rbacKinds.find((k) => k.kind === object.kind)!
      assert.deepEqual(kind.strategy!.validate!(object), [], object.metadata.name)
    }
  }
  const roles = new Set(policy.clusterRoles.map((r) => r.metadata.name))
  for (const b of policy.clusterRoleBindings) assert.ok(roles.has(b['roleRef'].name), b.metadata.name!)
  for (const name of [
    'cluster-admin',
    'system:service-account-issuer-discovery',
    'system:controller:legacy-service-account-token-cleaner',
    'system:controller:validatingadmissionpolicy-status-controller',
    'system:controller:ttl-after-finished-controller',
  ])
    assert.ok(roles.has(name), name)
  const rules = (name: string): PolicyRule[] => byName(policy.clusterRoles, name)['rules']
  assert.ok(covers(rules('admin'), rules('edit')).covered && covers(rules('edit'), rules('view')).covered)
  assert.ok(!covers(rules('view'), [parseRuleLine('get core secrets')]).covered)
  assert.ok(covers(rules('edit'), [parseRuleLine('create core serviceaccounts/token')]).covered)
  assert.ok(!covers(rules('edit'), [parseRuleLine('update core endpoints')]).covered)
  assert.ok(
    covers(rules('system:basic-user'), [parseRuleLine('create authentication.k8s.io selfsubjectreviews')]).covered,
  )
})

test('who may do what with nothing but the defaults', () => {
  const engine = createRbacEngine()
  const policy = bootstrapPolicy()
  for (const o of policy.clusterRoles) engine.upsertClusterRole(o as RoleObject & KubeObject)
  for (const o of policy.roles) engine.upsertRole(o as RoleObject & KubeObject)
  for (const o of policy.clusterRoleBindings) engine.upsertClusterRoleBinding(o as KubeObject & BindingObject)
  for (const o of policy.roleBindings) engine.upsertRoleBinding(o as KubeObject & BindingObject)
  const path = (user: string, group: string, p: string): string =>
    engine.decide({ resourceRequest: false, user: { name: user, groups: [group] }, verb: 'get', path: p }).verdict
  assert.equal(path('system:anonymous', 'system:unauthenticated', '/version'), 'allow')
  assert.equal(path('system:anonymous', 'system:unauthenticated', '/apis'), 'next')
  assert.equal(path('u', 'system:authenticated', '/apis/apps/v1'), 'allow')
  assert.equal(path('u', 'system:authenticated', '/metrics'), 'next')
  assert.equal(path('u', 'system:monitoring', '/metrics'), 'allow')
  assert.equal(path('u', 'system:monitoring', '/livez/etcd'), 'allow')
  assert.equal(path('u', 'system:serviceaccounts', '/openid/v1/jwks'), 'allow')
  assert.equal(path('u', 'system:masters', '/anything'), 'allow')
})

test('a first start creates everything, a second one writes nothing', async () => {
  const client = new MemoryClient()
  const policy = bootstrapPolicy()
  const total = Object.values(policy).flat().length
  assert.equal(await reconcileBootstrapPolicy(client, quiet), total + 2)
  const writes = client.writes.length
  assert.equal(await reconcileBootstrapPolicy(client, quiet), 0)
  assert.equal(client.writes.length, writes)
})

test('what was deleted comes back; what is missing is added; what somebody added stays', async () => {
  const client = new MemoryClient()
  await reconcileBootstrapPolicy(client, quiet)
  await client.delete(CLUSTER_ROLES, '', 'system:kube-dns')
  const monitoring = structuredClone(await client.get(CLUSTER_ROLES, '', 'system:monitoring'))
  monitoring['rules'] = [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/own'] }]
  monitoring.metadata.labels = { own: 'label' }
  await client.update(CLUSTER_ROLES, monitoring)
  const discovery = structuredClone(await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:discovery'))
  discovery['subjects'] = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'extra' }]
  await client.update(CLUSTER_ROLE_BINDINGS, discovery)

  assert.equal(await reconcileBootstrapPolicy(client, quiet), 3)
  await client.get(CLUSTER_ROLES, '', 'system:kube-dns')
  const mended = await client.get(CLUSTER_ROLES, '', 'system:monitoring')
  const wanted = byName(bootstrapPolicy().clusterRoles, 'system:monitoring')['rules']
  assert.ok(covers(mended['rules'], [...wanted, { verbs: ['get'], nonResourceURLs: ['/own'] }]).covered)
  assert.deepEqual(mended.metadata.labels, { own: 'label', 'kubernetes.io/bootstrapping': 'rbac-defaults' })
  const subjects = (await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:discovery'))['subjects']
  assert.deepEqual(
    subjects.map((s: { name: string }) => s.name),
    ['extra', 'system:authenticated'],
  )
})

test('autoupdate "false" protects; a wrong roleRef is replaced; an emptied aggregated role is left to its controller', async () => {
  const client = new MemoryClient()
  await reconcileBootstrapPolicy(client, quiet)
  const dns = structuredClone(await client.get(CLUSTER_ROLES, '', 'system:kube-dns'))
  dns['rules'] = []
  dns.metadata.annotations = { [AUTOUPDATE]: 'false' }
  await client.update(CLUSTER_ROLES, dns)
  const admin = structuredClone(await client.get(CLUSTER_ROLES, '', 'admin'))
  admin['rules'] = []
  await client.update(CLUSTER_ROLES, admin)
  const binding = structuredClone(await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:discovery'))
  binding['roleRef'].name = 'view'
  binding['subjects'].push({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'viewer' })
  await client.update(CLUSTER_ROLE_BINDINGS, binding)
  const protectedBinding = structuredClone(await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:monitoring'))
  protectedBinding['roleRef'].name = 'view'
  protectedBinding['subjects'] = []
  protectedBinding.metadata.annotations = { [AUTOUPDATE]: 'false' }
  await client.update(CLUSTER_ROLE_BINDINGS, protectedBinding)
  assert.equal(await reconcileBootstrapPolicy(client, quiet), 1)
  assert.deepEqual((await client.get(CLUSTER_ROLES, '', 'system:kube-dns'))['rules'], [])
  const mended = await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:discovery')
  assert.equal(mended['roleRef'].name, 'system:discovery')
  // Whoever was bound to the other role was not meant to have this one.
  assert.deepEqual(
    mended['subjects'].map((s: { name: string }) => s.name),
    ['system:authenticated'],
  )
  const left = await client.get(CLUSTER_ROLE_BINDINGS, '', 'system:monitoring')
  assert.deepEqual([left['roleRef'].name, left['subjects']], ['view', []])
  assert.equal(await reconcileBootstrapPolicy(client, quiet), 0)
})

test('two servers that start at once do not hinder each other', async () => {
  const client = new MemoryClient()
  await Promise.all([reconcileBootstrapPolicy(client, quiet), reconcileBootstrapPolicy(client, quiet)])
  assert.equal((await client.list(CLUSTER_ROLES)).items.length, bootstrapPolicy().clusterRoles.length)
  assert.equal((await client.list(ROLES)).items.length, bootstrapPolicy().roles.length)
})

const words = (text: string): string[] => text.trim().split(/\s+/)
/** Names of Kubernetes 1.20: none of them has gone since. */
const OLD_ROLES = words(`
  admin cluster-admin edit system:aggregate-to-admin system:aggregate-to-edit system:aggregate-to-view
  system:auth-delegator system:basic-user system:certificates.k8s.io:certificatesigningrequests:nodeclient
  system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  system:certificates.k8s.io:kube-apiserver-client-approver
  system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  system:certificates.k8s.io:kubelet-serving-approver system:certificates.k8s.io:legacy-unknown-approver
  system:discovery system:heapster system:kube-aggregator system:kube-controller-manager system:kube-dns
  system:kube-scheduler system:kubelet-api-admin system:monitoring system:node system:node-bootstrapper
  system:node-problem-detector system:node-proxier system:persistent-volume-provisioner
  system:public-info-viewer system:service-account-issuer-discovery system:volume-scheduler view
`)
const OLD_BINDINGS = words(`
  cluster-admin system:basic-user system:discovery system:kube-controller-manager system:kube-dns
  system:kube-scheduler system:monitoring system:node system:node-proxier system:public-info-viewer
  system:service-account-issuer-discovery system:volume-scheduler
`)
/** Each a role and a binding, system:controller:NAME. */
const OLD_CONTROLLERS = words(`
  attachdetach-controller certificate-controller clusterrole-aggregation-controller cronjob-controller
  daemon-set-controller deployment-controller disruption-controller endpoint-controller endpointslice-controller
  endpointslicemirroring-controller expand-controller generic-garbage-collector horizontal-pod-autoscaler
  job-controller namespace-controller node-controller persistent-volume-binder pod-garbage-collector
  pv-protection-controller pvc-protection-controller replicaset-controller replication-controller
  resourcequota-controller root-ca-cert-publisher route-controller service-account-controller service-controller
  statefulset-controller ttl-controller
`)

test('every role and binding of 1.20 is still there', () => {
  const policy = bootstrapPolicy()
  const roles = new Set(policy.clusterRoles.map((o) => o.metadata.name!))
  const bindings = new Set(policy.clusterRoleBindings.map((o) => o.metadata.name!))
  const controllers = OLD_CONTROLLERS.map((name) => `system:controller:${name}`)
  for (const name of [...OLD_ROLES, ...controllers]) assert.ok(roles.has(name), name)
  for (const name of [...OLD_BINDINGS, ...controllers]) assert.ok(bindings.has(name), name)
})
