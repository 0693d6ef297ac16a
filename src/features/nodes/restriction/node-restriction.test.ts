import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definitionFor, makeLookup, makeRequest, object, PODS } from '../../../kernel/admission/request.fixture.ts'
import type { AdmissionRequest } from '../../../kernel/admission/types.ts'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError, notFound } from '../../../kernel/api/status.ts'
import { nodeRestriction } from './node-restriction.ts'

const NODES = definitionFor('nodes', 'Node', '', false)
const LEASES = definitionFor('leases', 'Lease', 'coordination.k8s.io')
const ACCOUNTS = definitionFor('serviceaccounts', 'ServiceAccount')

const podOn = (nodeName: string, fields: Partial<KubeObject> = {}): KubeObject =>
  object('Pod', 'web', { spec: { nodeName, containers: [] }, ...fields } as Partial<KubeObject>)
const node = (name: string, fields: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, uid: 'node-uid', ...fields.metadata },
  spec: fields['spec'] ?? {},
})
const lookup = makeLookup(
  ['', 'pods', podOn('n1', { metadata: { uid: 'pod-uid' } } as never)],
  ['', 'nodes', { ...node('n1'), metadata: { name: 'n1', namespace: '', uid: 'node-uid' } }],
)
const step = nodeRestriction({
  lookup,
  client: { get: () => Promise.reject(notFound('', 'pods', 'x')) },
})

async function refusalOf(parts: Partial<AdmissionRequest>): Promise<string | undefined> {
  const request = makeRequest({ user: { name: 'system:node:n1', groups: ['system:nodes'] }, ...parts })
  assert.ok(step.handles(request))
  try {
    await step.validate!(request)
    return undefined
  } catch (error) {
    assert.ok(error instanceof ApiError)
    return error.message
  }
}

const mirror = (spec: object = {}, owner: object = {}): KubeObject =>
  object('Pod', 'static', {
    metadata: {
      annotations: { 'kubernetes.io/config.mirror': 'hash' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node-uid', controller: true, ...owner }],
    },
    spec: { nodeName: 'n1', containers: [], ...spec },
  } as never)
const labelled = (labels: Record<string, string>, fields: object = {}): KubeObject => ({
  ...node('n1'),
  metadata: { name: 'n1', labels },
  ...fields,
})
const tokenFor = (boundObjectRef?: object): KubeObject =>
  object('TokenRequest', 'web', { spec: { audiences: [], boundObjectRef } } as never)
const token = (object: KubeObject): Partial<AdmissionRequest> => ({
  definition: ACCOUNTS,
  subresource: 'token',
  name: 'web',
  object,
})

const cases: [what: string, request: Partial<AdmissionRequest>, refusal: RegExp | undefined][] = [
  [
    'status of its pod',
    { subresource: 'status', operation: 'UPDATE', oldObject: podOn('n1'), object: podOn('n1') },
    undefined,
  ],
  [
    'status of another machine’s pod',
    { subresource: 'status', operation: 'UPDATE', oldObject: podOn('n2'), object: podOn('n2') },
    /can only update pod status for pods with spec.nodeName set to itself/,
  ],
  [
    'labels through status',
    {
      subresource: 'status',
      operation: 'UPDATE',
      oldObject: podOn('n1'),
      object: podOn('n1', { metadata: { labels: { app: 'db' } } } as never),
    },
    /cannot update labels through pod status/,
  ],
  ['deleting its pod', { operation: 'DELETE', oldObject: podOn('n1') }, undefined],
  ['deleting another’s pod', { operation: 'DELETE', oldObject: podOn('n2') }, /can only delete pods with/],
  ['evicting its pod', { subresource: 'eviction', name: 'web', object: object('Eviction', 'web') }, undefined],
  ['evicting an unknown pod', { subresource: 'eviction', name: 'no', object: object('Eviction', 'no') }, /not found/],
  ['a pod of its own', { object: podOn('n1') }, /does not have "kubernetes.io\/config.mirror" annotation/],
  [
    'updating a pod',
    { operation: 'UPDATE', oldObject: podOn('n1'), object: podOn('n1') },
    /can only create and delete/,
  ],
  ['binding', { subresource: 'binding', object: podOn('n1') }, /unexpected pod subresource "binding"/],
  ['a mirror pod', { object: mirror() }, undefined],
  ['a mirror pod elsewhere', { object: mirror({ nodeName: 'n2' }) }, /spec.nodeName set to itself/],
  [
    'a mirror pod with a secret',
    { object: mirror({ volumes: [{ secret: { secretName: 's' } }] }) },
    /reference secrets/,
  ],
  ['a mirror pod with an account', { object: mirror({ serviceAccountName: 'a' }) }, /reference a service account/],
  [
    'a mirror pod with a claim',
    { object: mirror({ volumes: [{ persistentVolumeClaim: { claimName: 'c' } }] }) },
    /persistentvolumeclaims/,
  ],
  ['a mirror pod of another Node', { object: mirror({}, { name: 'n2' }) }, /owner reference set to itself/],
  ['a mirror pod of a Node before', { object: mirror({}, { uid: 'old' }) }, /UID mismatch: expected old got node-uid/],
  ['a mirror pod not controlled', { object: mirror({}, { controller: false }) }, /controller owner reference/],
  ['a mirror pod that blocks', { object: mirror({}, { blockOwnerDeletion: true }) }, /must not set blockOwnerDeletion/],
  [
    'its Node',
    { definition: NODES, name: 'n1', object: labelled({ 'kubernetes.io/hostname': 'n1', rack: '7' }) },
    undefined,
  ],
  ['another Node', { definition: NODES, name: 'n2', object: node('n2') }, /is not allowed to modify node "n2"/],
  [
    'a label that steers workloads',
    { definition: NODES, name: 'n1', object: labelled({ 'node-restriction.kubernetes.io/pci': 'yes' }) },
    /not allowed to set the following labels: node-restriction.kubernetes.io\/pci/,
  ],
  [
    'an unknown Kubernetes label',
    { definition: NODES, name: 'n1', object: labelled({ 'node-role.kubernetes.io/control-plane': '' }) },
    /node-role.kubernetes.io\/control-plane/,
  ],
  [
    'taking such a label off',
    {
      definition: NODES,
      operation: 'UPDATE',
      name: 'n1',
      oldObject: labelled({ 'foo.node-restriction.kubernetes.io/a': 'b' }),
      object: labelled({}),
    },
    /is not allowed to modify labels: foo.node-restriction.kubernetes.io\/a/,
  ],
  [
    'its taints',
    {
      definition: NODES,
      operation: 'UPDATE',
      name: 'n1',
      oldObject: node('n1', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }),
      object: node('n1'),
    },
    /is not allowed to modify taints/,
  ],
  [
    'its status',
    {
      definition: NODES,
      subresource: 'status',
      operation: 'UPDATE',
      name: 'n1',
      oldObject: node('n1'),
      object: node('n1'),
    },
    undefined,
  ],
  ['a token for its pod', token(tokenFor({ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'pod-uid' })), undefined],
  ['a token bound to nothing', token(tokenFor()), /not bound to a pod/],
  [
    'a token bound to a secret',
    token(tokenFor({ apiVersion: 'v1', kind: 'Secret', name: 's', uid: 'u' })),
    /not bound to a pod/,
  ],
  ['a token without uid', token(tokenFor({ apiVersion: 'v1', kind: 'Pod', name: 'web' })), /without a uid/],
  [
    'a token for a pod before',
    token(tokenFor({ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'old' })),
    /does not match the UID in record/,
  ],
  ['its Lease', { definition: LEASES, namespace: 'kube-node-lease', object: object('Lease', 'n1') }, undefined],
  [
    'another’s Lease',
    { definition: LEASES, namespace: 'kube-node-lease', object: object('Lease', 'n2') },
    /same name as/,
  ],
  [
    'a Lease elsewhere',
    { definition: LEASES, namespace: 'kube-system', object: object('Lease', 'n1') },
    /"kube-node-lease"/,
  ],
]

describe('NodeRestriction', () => {
  for (const [what, request, expected] of cases)
    test(`${what}: ${expected === undefined ? 'admitted' : 'refused'}`, async () => {
      const refusal = await refusalOf(request)
      if (expected === undefined) assert.equal(refusal, undefined)
      else assert.match(refusal ?? 'admitted', expected)
    })

  test('a token for a pod on another machine is refused', async () => {
    const elsewhere = nodeRestriction({
      lookup: makeLookup(['', 'pods', podOn('n2', { metadata: { uid: 'pod-uid' } } as never)]),
      client: { get: () => Promise.reject(notFound('', 'pods', 'web')) },
    })
    const request = makeRequest({
      user: { name: 'system:node:n1', groups: ['system:nodes'] },
      ...token(tokenFor({ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'pod-uid' })),
    })
    await assert.rejects(async () => step && elsewhere.validate!(request), /scheduled on a different node/)
  })

  test('everybody else is left alone, a machine without a name is refused', async () => {
    assert.equal(await refusalOf({ user: { name: 'jane', groups: [] }, object: podOn('n2') }), undefined)
    const nameless = { name: 'system:node:', groups: ['system:nodes'] }
    assert.match((await refusalOf({ user: nameless, object: podOn('n1') }))!, /could not determine node from user/)
    assert.equal(
      step.handles({ operation: 'CREATE', definition: definitionFor('secrets', 'Secret'), subresource: '' }),
      false,
    )
    assert.equal(step.handles({ operation: 'CONNECT', definition: PODS, subresource: 'exec' }), false)
  })
})
