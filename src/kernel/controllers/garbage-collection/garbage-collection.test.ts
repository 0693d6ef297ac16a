import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeObject, OwnerReference } from '../../api/object.ts'
import { startTestServer, type TestServer } from '../../apiserver/testing.ts'
import type { Client, DeleteOptions, ResourceId } from '../../client/client.ts'
import { eventually, gone } from '../eventually.ts'
import { CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, EVENTS, NAMESPACES } from '../resource-ids.ts'

const HOLD = 'test.rampart.dev/hold'

describe('garbage collection', () => {
  let server: TestServer
  let client: Client
  let ns: string
  before(async () => {
    server = await startTestServer()
    client = server.localClient
  })
  after(async () => await server.close())
  beforeEach(async () => {
    const made = await client.create(NAMESPACES, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { generateName: 'gc-' },
    })
    ns = made.metadata.name!
  })

  const owner = (object: KubeObject, more: Partial<OwnerReference> = {}): OwnerReference => ({
    apiVersion: object.apiVersion,
    kind: object.kind,
    name: object.metadata.name!,
    uid: object.metadata.uid!,
    ...more,
  })
  const make = async (name: string, owners: OwnerReference[] = [], finalizers: string[] = []): Promise<KubeObject> =>
    await client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: ns, ownerReferences: owners, finalizers },
    })
  const get = (name: string) => (): Promise<KubeObject> => client.get(CONFIG_MAPS, ns, name)
  const remove = (name: string, options?: DeleteOptions): Promise<void> => client.delete(CONFIG_MAPS, ns, name, options)
  const release = async (name: string): Promise<unknown> =>
    await client.patch(CONFIG_MAPS, ns, name, 'json', [
      {
        op: 'replace',
        path: '/metadata/finalizers',
        value: (await get(name)()).metadata.finalizers!.filter((f) => f !== HOLD),
      },
    ])
  /** Long enough that a collector which meant to delete would have. */
  const stays = async (...names: string[]): Promise<void> => {
    await delay(300)
    for (const name of names) assert.equal((await get(name)()).metadata.deletionTimestamp, undefined, name)
  }

  test('background: children and grandchildren follow; the child of another stays', async () => {
    const root = await make('root')
    const child = await make('child', [owner(root)])
    await make('grandchild', [owner(child)])
    const other = await make('other')
    await make('shared', [owner(root), owner(other)])
    await remove('root')
    await gone(get('child'))
    await gone(get('grandchild'))
    await eventually(async () => {
      const references = (await get('shared')()).metadata.ownerReferences
      assert.deepEqual(
        references?.map((r) => r.name),
        ['other'],
      )
    })
    await remove('other')
    await gone(get('shared'))
  })

  test('an object whose owner never existed goes; also one with the name of an owner and the uid of none', async () => {
    const real = await make('real')
    await make('ghostly', [
      { apiVersion: 'v1', kind: 'ConfigMap', name: 'ghost', uid: '00000000-0000-4000-8000-000000000001' },
    ])
    await make('wrong-uid', [owner(real, { uid: '00000000-0000-4000-8000-000000000002' })])
    await make('right', [owner(real)])
    await gone(get('ghostly'))
    await gone(get('wrong-uid'))
    await stays('right', 'real')
  })

  test('foreground: the owner stays until its blocking dependents are gone', async () => {
    const root = await make('root')
    await make('blocks', [owner(root, { blockOwnerDeletion: true })], [HOLD])
    await make('does-not', [owner(root)], [HOLD])
    await remove('root', { propagationPolicy: 'Foreground' })
    await eventually(async () => {
      for (const name of ['blocks', 'does-not']) assert.ok((await get(name)()).metadata.deletionTimestamp, name)
    })
    await delay(200)
    assert.deepEqual((await get('root')()).metadata.finalizers, ['foregroundDeletion'])
    await release('blocks')
    await gone(get('root'))
    assert.ok((await get('does-not')()).metadata.deletionTimestamp)
    await release('does-not')
    await gone(get('does-not'))
  })

  test('foreground goes down the tree: leaves first', async () => {
    const root = await make('root')
    const child = await make('child', [owner(root, { blockOwnerDeletion: true })])
    await make('leaf', [owner(child, { blockOwnerDeletion: true })], [HOLD])
    await remove('root', { propagationPolicy: 'Foreground' })
    await eventually(async () => {
      assert.deepEqual((await get('child')()).metadata.finalizers, ['foregroundDeletion'])
      assert.ok((await get('leaf')()).metadata.deletionTimestamp)
    })
    await release('leaf')
    for (const name of ['leaf', 'child', 'root']) await gone(get(name))
  })

  test('foreground of a circle comes to an end', async () => {
    const a = await make('a')
    const b = await make('b', [owner(a, { blockOwnerDeletion: true })])
    await client.patch(CONFIG_MAPS, ns, 'a', 'merge', {
      metadata: { ownerReferences: [owner(b, { blockOwnerDeletion: true })] },
    })
    await remove('a', { propagationPolicy: 'Foreground' })
    await gone(get('a'))
    await gone(get('b'))
  })

  test('foreground of an object that owns itself comes to an end', async () => {
    const a = await make('a')
    const owns = owner(a, { blockOwnerDeletion: true })
    await client.patch(CONFIG_MAPS, ns, 'a', 'merge', { metadata: { ownerReferences: [owns] } })
    await make('child', [owns])
    await remove('a', { propagationPolicy: 'Foreground' })
    await gone(get('child'))
    await gone(get('a'))
  })

  test('orphan: dependents lose the reference and live', async () => {
    const root = await make('root')
    const other = await make('other')
    for (const name of ['x', 'y']) await make(name, [owner(root), owner(other)])
    await make('z', [owner(root)])
    // The collector has to know them before.
    await delay(100)
    await remove('root', { propagationPolicy: 'Orphan' })
    await gone(get('root'))
    await stays('x', 'y', 'z')
    assert.deepEqual(
      (await get('x')()).metadata.ownerReferences?.map((r) => r.name),
      ['other'],
    )
    assert.deepEqual((await get('z')()).metadata.ownerReferences ?? [], [])
  })

  test('an owner in another namespace is none: the dependent goes, with an Event', async () => {
    const elsewhere = await client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'elsewhere', namespace: 'default' },
    })
    await make('stray', [owner(elsewhere)])
    await gone(get('stray'))
    await client.get(CONFIG_MAPS, 'default', 'elsewhere')
    const events = await eventually(async () => {
      const { items } = await client.list(EVENTS, { namespace: ns })
      assert.equal(items.length, 1)
      return items
    })
    assert.equal(events[0]!['reason'], 'OwnerRefInvalidNamespace')
    await client.delete(CONFIG_MAPS, 'default', 'elsewhere')
  })

  test('a cluster-scoped owner of namespaced dependents', async () => {
    const id: ResourceId = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles' }
    const role = await client.create(id, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: `r-${ns}` },
    })
    await make('child', [owner(role)])
    await stays('child')
    await client.delete(id, '', `r-${ns}`)
    await gone(get('child'))
  })

  test('a cluster-scoped object that names a namespaced owner is left alone', async () => {
    const id: ResourceId = { group: 'rbac.authorization.k8s.io', version: 'v1', resource: 'clusterroles' }
    const root = await make('root')
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: `s-${ns}`, ownerReferences: [owner(root)] },
    }
    await client.create(id, role)
    await remove('root')
    await delay(300)
    await client.get(id, '', `s-${ns}`)
    await client.delete(id, '', `s-${ns}`)
  })

  test('an owner of an unknown kind is no reason to delete', async () => {
    await make('odd', [
      { apiVersion: 'no.such/v1', kind: 'Nothing', name: 'n', uid: '00000000-0000-4000-8000-000000000003' },
    ])
    await make('odd-version', [
      { apiVersion: 'v9', kind: 'ConfigMap', name: 'n', uid: '00000000-0000-4000-8000-000000000004' },
    ])
    await stays('odd', 'odd-version')
  })

  test('kinds of a new CustomResourceDefinition are owners and dependents', async () => {
    const plural = `widgets${ns.replace(/[^a-z]/g, '')}`
    const id: ResourceId = { group: 'gc.example.com', version: 'v1', resource: plural }
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.gc.example.com` },
      spec: {
        group: 'gc.example.com',
        scope: 'Namespaced',
        names: { plural, singular: plural.slice(0, -1), kind: 'Widget', listKind: 'WidgetList' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    })
    const widget = await eventually(
      async () =>
        await client.create(id, {
          apiVersion: 'gc.example.com/v1',
          kind: 'Widget',
          metadata: { name: 'w', namespace: ns },
        }),
    )
    await make('child', [owner(widget)])
    await make('root')
    await client.create(id, {
      apiVersion: 'gc.example.com/v1',
      kind: 'Widget',
      metadata: { name: 'v', namespace: ns, ownerReferences: [owner(await get('root')())] },
    })
    await delay(600)
    await client.delete(id, ns, 'w')
    await gone(get('child'))
    await remove('root')
    await gone(() => client.get(id, ns, 'v'))
    await client.delete(CUSTOM_RESOURCE_DEFINITIONS, '', `${plural}.gc.example.com`)
  })

  test('what a server that stops leaves behind is found at the next start', async () => {
    const first = await startTestServer()
    const configMap = (name: string, references: OwnerReference[] = []): KubeObject => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'left', ownerReferences: references },
    })
    await first.localClient.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'left' } })
    const root = await first.localClient.create(CONFIG_MAPS, configMap('root'))
    for (let i = 0; i < 50; i++) await first.localClient.create(CONFIG_MAPS, configMap(`child-${i}`, [owner(root)]))
    await first.localClient.delete(CONFIG_MAPS, 'left', 'root')
    await first.close({ keep: true })
    const second = await startTestServer({ directory: first.directory })
    try {
      await eventually(async () => {
        const { items } = await second.localClient.list(CONFIG_MAPS, { namespace: 'left' })
        assert.deepEqual(
          items.map((item) => item.metadata.name).filter((name) => name?.startsWith('child')),
          [],
        )
      })
    } finally {
      await second.close()
    }
  })
})
