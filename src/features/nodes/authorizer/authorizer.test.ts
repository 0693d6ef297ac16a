import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes } from '../../../kernel/authz/types.ts'
import { nodeAuthorizer } from './authorizer.ts'
import { NodeGraph } from './graph.ts'

const pod = (name: string, nodeName: string, spec: object = {}, annotations: Record<string, string> = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', annotations },
    spec: { nodeName, serviceAccountName: 'web', containers: [], ...spec },
  }) as unknown as KubeObject

const everything = {
  imagePullSecrets: [{ name: 'pull' }],
  initContainers: [{ name: 'i', env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'init-env', key: 'k' } } }] }],
  containers: [
    {
      name: 'c',
      env: [
        { name: 'A', valueFrom: { secretKeyRef: { name: 'env', key: 'k' } } },
        { name: 'B', valueFrom: { configMapKeyRef: { name: 'env', key: 'k' } } },
      ],
      envFrom: [{ secretRef: { name: 'from' } }, { configMapRef: { name: 'from' } }],
    },
  ],
  ephemeralContainers: [{ name: 'e', envFrom: [{ secretRef: { name: 'debug' } }] }],
  volumes: [
    { name: 'a', secret: { secretName: 'volume' } },
    { name: 'b', configMap: { name: 'volume' } },
    { name: 'c', persistentVolumeClaim: { claimName: 'data' } },
    { name: 'd', projected: { sources: [{ secret: { name: 'part' } }, { configMap: { name: 'part' } }] } },
    { name: 'scratch', ephemeral: {} },
    { name: 'f', csi: { driver: 'x', nodePublishSecretRef: { name: 'csi' } } },
  ],
}

const graph = new NodeGraph()
graph.upsertPod(pod('web', 'n1', everything))
graph.upsertPod(pod('other', 'n2', { volumes: [{ name: 'a', secret: { secretName: 'theirs' } }] }))
graph.upsertPod(
  pod('mirror', 'n1', { volumes: [{ secret: { secretName: 'stolen' } }] }, { 'kubernetes.io/config.mirror': 'x' }),
)
const authorizer = nodeAuthorizer(graph)

const user = (name: string, groups = ['system:nodes', 'system:authenticated']): UserInfo => ({ name, groups })
type Asked = { fieldSelector?: { field: string; equal: boolean; value: string }[]; user?: UserInfo }

/** `verb [group/]resource[/subresource] [namespace/]name` */
function ask(question: string, extra: Asked = {}): string {
  const [verb = '', path = '', target = ''] = question.split(' ')
  const parts = path.split('/')
  const apiGroup = parts[0]!.includes('.') ? parts.shift()! : ''
  const [namespace, name] = target.includes('/') ? target.split('/') : ['', target]
  const attributes: Attributes = {
    resourceRequest: true,
    user: user('system:node:n1'),
    verb,
    apiGroup,
    apiVersion: 'v1',
    resource: parts[0] ?? '',
    subresource: parts[1] ?? '',
    namespace: namespace!,
    name: name!,
    ...extra,
  }
  const decision = authorizer.authorize(attributes)
  assert.ok(!(decision instanceof Promise))
  return decision.verdict
}

describe('a machine is allowed', () => {
  for (const question of [
    ...['pull', 'init-env', 'env', 'from', 'debug', 'volume', 'part', 'csi'].map((name) => `get secrets shop/${name}`),
    ...['env', 'from', 'volume', 'part'].map((name) => `watch configmaps shop/${name}`),
    'get persistentvolumeclaims shop/data',
    'get persistentvolumeclaims shop/web-scratch',
    'patch persistentvolumeclaims/status shop/data',
    'create serviceaccounts/token shop/web',
    'get pods shop/web',
    'get pods shop/mirror',
    'watch pods shop/web',
    'update pods/status shop/web',
    'create pods/eviction shop/web',
    'delete pods shop/web',
    'get nodes n1',
    'list nodes n1',
    'create nodes',
    'patch nodes/status n1',
    'create coordination.k8s.io/leases kube-node-lease/',
    'update coordination.k8s.io/leases kube-node-lease/n1',
    'list services',
    'create events shop/',
    'create certificates.k8s.io/certificatesigningrequests',
    'create authentication.k8s.io/tokenreviews',
    'create authorization.k8s.io/subjectaccessreviews',
  ])
    test(question, () => assert.equal(ask(question), 'allow'))

  test('to list and watch the pods that are bound to it', () => {
    const fieldSelector = [{ field: 'spec.nodeName', equal: true, value: 'n1' }]
    assert.equal(ask('list pods', { fieldSelector }), 'allow')
    assert.equal(ask('watch pods', { fieldSelector }), 'allow')
  })
})

describe('a machine is not allowed', () => {
  for (const question of [
    'get secrets shop/theirs',
    'get secrets shop/stolen',
    'get secrets other/env',
    'list secrets shop/',
    'list secrets',
    'update secrets shop/env',
    'delete secrets shop/env',
    'list persistentvolumeclaims shop/data',
    'create serviceaccounts/token shop/default',
    'create serviceaccounts shop/web',
    'get serviceaccounts shop/web',
    'get pods shop/other',
    'list pods',
    'list pods shop/other',
    'get pods/log shop/web',
    'create pods/exec shop/web',
    'update pods shop/web',
    'deletecollection pods shop/',
    'get nodes n2',
    'list nodes',
    'delete nodes n1',
    'get nodes/proxy n1',
    'update coordination.k8s.io/leases kube-node-lease/n2',
    'get coordination.k8s.io/leases kube-system/n1',
    'list coordination.k8s.io/leases kube-node-lease/',
    'create certificates.k8s.io/certificatesigningrequests/approval x',
    'update certificates.k8s.io/signers x',
    'get rbac.authorization.k8s.io/roles shop/x',
    'list namespaces',
  ])
    test(question, () => assert.equal(ask(question), 'next'))

  for (const selector of [
    { field: 'spec.nodeName', equal: true, value: 'n2' },
    { field: 'spec.nodeName', equal: false, value: 'n1' },
    { field: 'metadata.namespace', equal: true, value: 'n1' },
  ])
    test(`to list pods by ${JSON.stringify(selector)}`, () =>
      assert.equal(ask('list pods', { fieldSelector: [selector] }), 'next'))
})

test('only a machine is one: the name without the group says nothing, the group without a name neither', () => {
  assert.equal(ask('get nodes n1', { user: user('system:node:n1', ['system:authenticated']) }), 'next')
  assert.equal(ask('get nodes n1', { user: user('jane') }), 'next')
  assert.equal(ask('list services', { user: user('system:node:') }), 'next')
})

test('what a pod referred to is closed again when it moves, changes or goes', () => {
  const own = new NodeGraph()
  const secrets = (name: string, node = 'n1'): boolean => own.isRelated(node, 'secrets', 'shop', name)
  const refers = (name: string): object => ({ volumes: [{ name: 'a', secret: { secretName: name } }] })
  own.upsertPod(pod('a', '', refers('s')))
  assert.equal(secrets('s'), false)
  own.upsertPod(pod('a', 'n1', refers('s')))
  own.upsertPod(pod('b', 'n1', refers('s')))
  assert.equal(secrets('s'), true)
  own.deletePod(pod('a', 'n1', refers('s')))
  assert.equal(secrets('s'), true)
  own.upsertPod(pod('b', 'n1', refers('t')))
  assert.deepEqual([secrets('s'), secrets('t')], [false, true])
  own.deletePod(pod('b', 'n1'))
  own.deletePod(pod('b', 'n1'))
  assert.equal(secrets('t'), false)
})

test('an allowed request says why, and machines have no list of rules', () => {
  const decision = authorizer.authorize({
    resourceRequest: true,
    user: user('system:node:n1'),
    verb: 'get',
    apiGroup: '',
    apiVersion: 'v1',
    resource: 'secrets',
    subresource: '',
    namespace: 'shop',
    name: 'env',
  })
  assert.deepEqual(decision, {
    verdict: 'allow',
    by: { authorizer: 'node', reason: 'Node authorizer: get secrets "env" belongs to node "n1"', node: 'n1' },
  })
  assert.equal(
    authorizer.rulesFor!(user('system:node:n1'), 'shop').incomplete,
    'node authorizer does not support user rule resolution',
  )
  assert.equal(authorizer.rulesFor!(user('jane', []), 'shop').incomplete, undefined)
})
