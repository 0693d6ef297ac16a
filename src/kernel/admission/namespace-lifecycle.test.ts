import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import { MemoryClient } from './memory-client.fixture.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { definitionFor, makeLookup, makeRequest, NAMESPACES, namespaceObject, object, run } from './request.fixture.ts'
import type { AdmissionRequest } from './types.ts'

const lookup = makeLookup(
  ['', 'namespaces', namespaceObject('shop')],
  ['', 'namespaces', namespaceObject('leaving', 'Terminating')],
)
const client = new MemoryClient()
await client.create({ group: '', version: 'v1', resource: 'namespaces' }, namespaceObject('elsewhere') as KubeObject)
const step = namespaceLifecycle({ lookup, client })
const pod = object('Pod', 'web')
const review = definitionFor('localsubjectaccessreviews', 'LocalSubjectAccessReview', 'authorization.k8s.io')

const cases: [what: string, request: Partial<AdmissionRequest>, error?: [code: number, message: string]][] = [
  ['create where there is room', { object: pod }],
  ['create where another server has just made room', { object: pod, namespace: 'elsewhere' }],
  ['create nowhere', { object: pod, namespace: 'gone' }, [404, 'namespaces "gone" not found']],
  ['update nowhere', { operation: 'UPDATE', object: pod, namespace: 'gone' }, [404, 'namespaces "gone" not found']],
  [
    'create in what is leaving',
    { object: pod, namespace: 'leaving', name: 'web' },
    [403, 'pods "web" is forbidden: unable to create new content in namespace leaving because it is being terminated'],
  ],
  ['update in what is leaving', { operation: 'UPDATE', object: pod, namespace: 'leaving' }],
  ['delete in what is leaving', { operation: 'DELETE', oldObject: pod, namespace: 'leaving' }],
  ['delete nowhere', { operation: 'DELETE', oldObject: pod, namespace: 'gone' }],
  ['a review tells nothing', { definition: review, namespace: 'gone' }],
  ['create a namespace', { definition: NAMESPACES, name: 'new', namespace: 'new' }],
  ['delete a namespace', { operation: 'DELETE', definition: NAMESPACES, name: 'shop', namespace: 'shop' }],
  ...['default', 'kube-system', 'kube-public'].map((name): [string, Partial<AdmissionRequest>, [number, string]] => [
    `delete ${name}`,
    { operation: 'DELETE', definition: NAMESPACES, name, namespace: name },
    [403, `namespaces "${name}" is forbidden: this namespace may not be deleted`],
  ]),
]

for (const [what, request, error] of cases)
  test(`NamespaceLifecycle: ${what}`, async () => {
    const outcome = run(step, makeRequest(request))
    if (error === undefined) return await outcome
    await assert.rejects(outcome, (thrown: ApiError) => {
      assert.ok(thrown instanceof ApiError)
      assert.deepEqual([thrown.code, thrown.message], error)
      return true
    })
  })

test('NamespaceLifecycle: the cause tells controllers to stop trying', async () => {
  const outcome = run(step, makeRequest({ object: pod, namespace: 'leaving' }))
  await assert.rejects(outcome, (thrown: ApiError) => {
    assert.deepEqual(thrown.details?.causes, [
      { reason: 'NamespaceTerminating', message: 'namespace leaving is being terminated', field: 'metadata.namespace' },
    ])
    return true
  })
})

test('NamespaceLifecycle: synchronous when the namespace is known', () => {
  assert.equal(step.mutate?.(makeRequest({ object: pod })), undefined)
})
