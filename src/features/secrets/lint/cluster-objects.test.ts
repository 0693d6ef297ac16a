import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { forbidden } from '../../../kernel/api/status.ts'
import type { Client, ListOptions, ResourceId } from '../../../kernel/client/client.ts'
import { clusterObjects } from './cluster-objects.ts'

const resource = (name: string, kind: string, namespaced = true, verbs: string[] = ['get', 'list']): object => ({
  name,
  kind,
  namespaced,
  verbs,
})
const DISCOVERY: Record<string, unknown> = {
  '/apis': {
    groups: [
      { preferredVersion: { groupVersion: 'apps/v1' } },
      { preferredVersion: { groupVersion: 'example.com/v1' } },
      { preferredVersion: { groupVersion: 'rbac.authorization.k8s.io/v1' } },
      { preferredVersion: { groupVersion: 'broken.example.com/v1' } },
    ],
  },
  '/api/v1': {
    resources: [
      resource('pods', 'Pod'),
      resource('pods/status', 'Pod'),
      resource('secrets', 'Secret'),
      resource('events', 'Event'),
      resource('bindings', 'Binding', true, ['create']),
    ],
  },
  '/apis/apps/v1': { resources: [resource('deployments', 'Deployment')] },
  '/apis/example.com/v1': { resources: [resource('widgets', 'Widget', false)] },
}
const object = (name: string, owner?: string): KubeObject =>
  ({
    metadata: {
      name,
      ...(owner === undefined ? {} : { ownerReferences: [{ kind: owner, controller: true }] }),
    },
  }) as KubeObject

const client: Pick<Client, 'list' | 'raw'> = {
  raw: async (_method, path) => {
    if (!(path in DISCOVERY)) throw forbidden('', 'x', path, 'the server is down')
    return DISCOVERY[path]
  },
  list: async (id: ResourceId, options: ListOptions = {}) => {
    if (id.resource === 'secrets') throw forbidden('', 'secrets', '', 'no')
    if (id.resource !== 'pods') return { items: [object(id.resource)], metadata: { resourceVersion: '1' } }
    return options.continue === undefined
      ? { items: [object('a'), object('b', 'ReplicaSet')], metadata: { resourceVersion: '1', continue: 'x' } }
      : { items: [object('c', 'Widget')], metadata: { resourceVersion: '1' } }
  },
}

async function all(namespace?: string): Promise<{ seen: string[]; unreadable: string[] }> {
  const [seen, unreadable]: [string[], string[]] = [[], []]
  for await (const o of clusterObjects(client, namespace, (what) => unreadable.push(what)))
    seen.push(`${o.apiVersion} ${o.kind} ${o.metadata.name}`)
  return { seen, unreadable }
}

test('every kind that can be listed, page by page; what workloads own is told once; what cannot be read is told', async () => {
  assert.deepEqual(await all(), {
    seen: ['v1 Pod a', 'v1 Pod c', 'apps/v1 Deployment deployments', 'example.com/v1 Widget widgets'],
    unreadable: ['broken.example.com/v1', 'secrets'],
  })
  assert.deepEqual((await all('shop')).seen, ['v1 Pod a', 'v1 Pod c', 'apps/v1 Deployment deployments'])
})
