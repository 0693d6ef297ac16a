import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { startTestServer, type TestServer } from '../apiserver/testing.ts'
import type { Client, ResourceId } from '../client/client.ts'
import { eventually, gone } from './eventually.ts'
import {
  CONFIG_MAPS,
  CUSTOM_RESOURCE_DEFINITIONS,
  NAMESPACES,
  PODS,
  SECRETS,
  SERVICE_ACCOUNTS,
} from './resource-ids.ts'
import { SYSTEM_NAMESPACES } from './system-namespaces.ts'

const HOLD = 'test.rampart.dev/hold'

describe('namespaces', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
  })
  after(async () => await server.close())

  const make = async (name: string): Promise<KubeObject> =>
    await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  const conditions = async (name: string): Promise<Map<string, { status: string; message: string }>> => {
    const { status } = await client.get(NAMESPACES, '', name)
    return new Map(
      ((status?.conditions ?? []) as { type: string; status: string; message: string }[]).map((c) => [c.type, c]),
    )
  }
  const secret = (namespace: string, name: string, finalizers: string[] = []): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, finalizers },
  })

  test('those of the system are there', async () => {
    for (const name of SYSTEM_NAMESPACES) await eventually(async () => await client.get(NAMESPACES, '', name))
  })

  test('each has a default ServiceAccount, which comes back', async () => {
    await make('with-account')
    const first = await eventually(async () => await client.get(SERVICE_ACCOUNTS, 'with-account', 'default'))
    await client.delete(SERVICE_ACCOUNTS, 'with-account', 'default')
    const second = await eventually(async () => await client.get(SERVICE_ACCOUNTS, 'with-account', 'default'))
    assert.notEqual(second.metadata.uid, first.metadata.uid)
  })

  test('each has the root certificates, which are restored when changed, deleted, or made immutable', async () => {
    await make('with-ca')
    const read = async (): Promise<KubeObject> => await client.get(CONFIG_MAPS, 'with-ca', 'kube-root-ca.crt')
    const right = async (): Promise<void> => assert.deepEqual((await read())['data'], { 'ca.crt': server.ca })
    await eventually(right)
    assert.ok((await read()).metadata.annotations?.['kubernetes.io/description'])
    await client.delete(CONFIG_MAPS, 'with-ca', 'kube-root-ca.crt')
    await eventually(right)
    await client.patch(CONFIG_MAPS, 'with-ca', 'kube-root-ca.crt', 'merge', { data: { 'ca.crt': 'other', more: 'x' } })
    await eventually(right)
    const forged = { data: { 'ca.crt': 'forged' }, immutable: true }
    await client.patch(CONFIG_MAPS, 'with-ca', 'kube-root-ca.crt', 'merge', forged)
    await eventually(async () => {
      await right()
      assert.notEqual((await read())['immutable'], true)
    })
  })

  test('deleting one deletes all that is in it, of every kind', async () => {
    await make('full')
    await eventually(async () => await client.get(SERVICE_ACCOUNTS, 'full', 'default'))
    for (let i = 0; i < 20; i++) await client.create(SECRETS, secret('full', `s${i}`))
    const id: ResourceId = { group: 'ns.example.com', version: 'v1', resource: 'things' }
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.ns.example.com' },
      spec: {
        group: 'ns.example.com',
        scope: 'Namespaced',
        names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    })
    const thing = { apiVersion: 'ns.example.com/v1', kind: 'Thing', metadata: { name: 't', namespace: 'full' } }
    await eventually(async () => await client.create(id, thing))
    await client.delete(NAMESPACES, '', 'full')
    await gone(() => client.get(NAMESPACES, '', 'full'))
    assert.deepEqual((await client.list(SECRETS, { namespace: 'full' })).items, [])
    assert.deepEqual((await client.list(id, { namespace: 'full' })).items, [])
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, '', 'things.ns.example.com')
    const again = await make('full')
    assert.equal(again['status'].phase, 'Active')
  })

  test('what holds it up is told in its conditions; then it goes', async () => {
    await make('held')
    await client.create(SECRETS, secret('held', 'a', [HOLD]))
    await client.delete(NAMESPACES, '', 'held')
    await eventually(async () => {
      const told = await conditions('held')
      assert.equal(
        told.get('NamespaceContentRemaining')?.message,
        'Some resources are remaining: secrets. has 1 resource instances',
      )
      assert.equal(
        told.get('NamespaceFinalizersRemaining')?.message,
        `Some content in the namespace has finalizers remaining: ${HOLD} in 1 resource instances`,
      )
      assert.equal(told.get('NamespaceDeletionDiscoveryFailure')?.status, 'False')
    })
    assert.equal((await client.get(NAMESPACES, '', 'held'))['status'].phase, 'Terminating')
    await client.patch(SECRETS, 'held', 'a', 'merge', { metadata: { finalizers: null } })
    await gone(() => client.get(NAMESPACES, '', 'held'))
  })

  test('nothing is deleted before the last pod is gone', async () => {
    await make('pods-first')
    await eventually(async () => await client.get(SERVICE_ACCOUNTS, 'pods-first', 'default'))
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'pods-first', finalizers: [HOLD] },
      spec: { automountServiceAccountToken: false, containers: [{ name: 'c', image: 'i' }] },
    }
    await client.create(PODS, pod)
    await client.create(SECRETS, secret('pods-first', 'kept'))
    await client.delete(NAMESPACES, '', 'pods-first')
    await eventually(async () => {
      const told = await conditions('pods-first')
      assert.match(told.get('NamespaceContentRemaining')?.message ?? '', /^Some resources are remaining: pods\. has 1/)
    })
    await client.get(SECRETS, 'pods-first', 'kept')
    await client.patch(PODS, 'pods-first', 'p', 'merge', { metadata: { finalizers: null } })
    await gone(() => client.get(NAMESPACES, '', 'pods-first'))
  })

  test('finalizers of others in its spec keep the namespace', async () => {
    await make('kept')
    const held = await client.get(NAMESPACES, '', 'kept')
    const spec = { finalizers: [...held['spec'].finalizers, HOLD] }
    await client.update(NAMESPACES, { ...held, spec }, { subresource: 'finalize' })
    await client.delete(NAMESPACES, '', 'kept')
    await eventually(async () =>
      assert.deepEqual((await client.get(NAMESPACES, '', 'kept'))['spec'].finalizers, [HOLD]),
    )
    const last = await client.get(NAMESPACES, '', 'kept')
    await client.update(NAMESPACES, { ...last, spec: { finalizers: [] } }, { subresource: 'finalize' })
    await gone(() => client.get(NAMESPACES, '', 'kept'))
  })

  test('many at once', async () => {
    const all = Array.from({ length: 10 }, (_, i) => `many-${i}`)
    for (const name of all) {
      await make(name)
      await client.create(SECRETS, secret(name, 's'))
    }
    await Promise.all(all.map((name) => client.delete(NAMESPACES, '', name)))
    for (const name of all) await gone(() => client.get(NAMESPACES, '', name))
  })
})
