/** Machines against a whole control plane: what their certificates open, where pods go, and what happens to the silent. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import { startTestServer, type TestServer } from '../../kernel/apiserver/testing.ts'
import type { Client } from '../../kernel/client/client.ts'
import { createRemoteClient, type RemoteClient } from '../../kernel/client/remote.ts'
import { runControllers } from '../../kernel/controller/runner.ts'
import { nodeLifecycle } from './lifecycle/node-lifecycle.ts'
import { orphanedPods } from './lifecycle/orphaned-pods.ts'
import { LEASES, NODES, PODS } from './resource-ids.ts'

let server: TestServer
let admin: Client
const clients: RemoteClient[] = []
before(async () => {
  server = await startTestServer()
  admin = server.remoteClient
})
after(async () => {
  for (const client of clients) client.close()
  await server.close()
})

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`)
    await sleep(25)
  }
}

const refused = async (work: Promise<unknown>, reason = 'Forbidden'): Promise<string> => {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error))
    assert.equal(error.reason, reason)
    return error.message
  }
  throw new Error('it was allowed')
}

const object = (kind: string, name: string, fields: object = {}, namespace?: string): KubeObject =>
  ({
    apiVersion: 'v1',
    kind,
    metadata: { name, ...(namespace ? { namespace } : {}) },
    ...fields,
  }) as unknown as KubeObject
const container = { name: 'c', image: 'x', terminationMessagePolicy: 'File' }
const pod = (name: string, spec: object = {}): KubeObject =>
  object('Pod', name, { spec: { containers: [container], ...spec } }, 'default')
const READY = {
  allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
  capacity: { cpu: '4', memory: '8Gi', pods: '110' },
  conditions: [
    { type: 'Ready', status: 'True', reason: 'KubeletReady', message: '', lastHeartbeatTime: '2026-01-01T00:00:00Z' },
  ],
}

/** A client with the machine's certificate, signed by the cluster's own authority for machines. */
function machine(name: string): RemoteClient {
  const { certificate, key } = server.plane.pki.issue('kubelet-client', {
    commonName: `system:node:${name}`,
    organizations: ['system:nodes'],
  })
  const client = createRemoteClient({
    server: new URL(server.url),
    ca: server.ca,
    cert: certificate,
    key,
    userAgent: 'test',
  })
  clients.push(client)
  return client
}

async function join(name: string): Promise<RemoteClient> {
  const client = machine(name)
  await client.create(NODES, object('Node', name))
  await client.patch(NODES, '', name, 'merge', { status: READY }, { subresource: 'status' })
  await until(`${name} is open for pods and has addresses`, async () => {
    const { spec } = await admin.get(NODES, '', name)
    return (spec?.taints ?? []).length === 0 && spec?.podCIDR ? true : undefined
  })
  return client
}

const placed = (name: string): Promise<string> =>
  until(
    `${name} is placed`,
    async () => (await admin.get(PODS, 'default', name))['spec']?.nodeName as string | undefined,
  )

describe('machines', () => {
  let one: RemoteClient
  let two: RemoteClient
  test('join with their own certificate; each gets a block of addresses, and is closed until it is ready', async () => {
    const early = machine('n1')
    const created = await early.create(NODES, object('Node', 'n1'))
    assert.deepEqual(created['spec']?.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }])
    await admin.delete(NODES, '', 'n1')
    one = await join('n1')
    two = await join('n2')
    const cidrs = await Promise.all(['n1', 'n2'].map(async (n) => (await admin.get(NODES, '', n))['spec']?.podCIDR))
    assert.deepEqual([...cidrs].sort(), ['10.244.0.0/24', '10.244.1.0/24'])
  })

  test('are held to their own objects', async () => {
    await refused(one.delete(NODES, '', 'n2'))
    assert.match(
      await refused(one.patch(NODES, '', 'n2', 'merge', { status: READY }, { subresource: 'status' })),
      /node "n1" is not allowed to modify node "n2"/,
    )
    await refused(one.patch(NODES, '', 'n1', 'merge', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }))
    await refused(one.list(PODS))
    assert.deepEqual((await one.list(PODS, { fieldSelector: 'spec.nodeName=n1' })).items, [])
    const lease = (name: string): KubeObject => ({
      ...object('Lease', name, { spec: { holderIdentity: name } }, 'kube-node-lease'),
      apiVersion: 'coordination.k8s.io/v1',
    })
    await one.create(LEASES, lease('n1'))
    await refused(one.create(LEASES, lease('n2')))
    assert.equal((await one.list(NODES)).items.length, 2, 'by the ClusterRole rampart:node')
  })

  test('read the secrets of their pods as long as they run them', async () => {
    const secrets = { group: '', version: 'v1', resource: 'secrets' }
    for (const name of ['mine', 'theirs'])
      await admin.create(secrets, object('Secret', name, { stringData: { a: 'b' } }, 'default'))
    const mounts = (secretName: string): object => ({ volumes: [{ name: 'v', secret: { secretName } }] })
    await admin.create(PODS, pod('reader', { nodeName: 'n1', ...mounts('mine') }))
    await admin.create(PODS, pod('other', { nodeName: 'n2', ...mounts('theirs') }))
    await until('the secret is open', () => one.get(secrets, 'default', 'mine').catch(() => undefined))
    assert.match(
      await refused(one.get(secrets, 'default', 'theirs')),
      /no relationship found between node 'n1' and this object/,
    )
    await refused(one.list(secrets, { namespace: 'default' }))
    const { metadata } = await admin.get(PODS, 'default', 'reader')
    const request = (uid: string): KubeObject =>
      ({
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'reader', uid } },
      }) as unknown as KubeObject
    const accounts = { group: '', version: 'v1', resource: 'serviceaccounts' }
    const ask = (client: Client, uid: string): Promise<KubeObject> =>
      client.create(
        accounts,
        { ...request(uid), metadata: { namespace: 'default' } },
        { subresource: 'token', name: 'default' },
      )
    assert.ok((await ask(one, metadata.uid!))['status']?.token)
    await refused(ask(one, 'another'))
    assert.match(await refused(ask(two, metadata.uid!)), /scheduled on a different node/)
    await refused(
      two.patch(PODS, 'default', 'reader', 'merge', { status: { phase: 'Failed' } }, { subresource: 'status' }),
    )
    await refused(two.delete(PODS, 'default', 'reader'))
    await one.patch(PODS, 'default', 'reader', 'merge', { status: { phase: 'Running' } }, { subresource: 'status' })
    await one.delete(PODS, 'default', 'reader', { gracePeriodSeconds: 0 })
    await until('the secret is closed', () =>
      one.get(secrets, 'default', 'mine').then(
        () => undefined,
        () => true,
      ),
    )
  })

  test('get pods that fit; the others say why, and go where there is room as soon as there is', async () => {
    const wants = (cpu: string, more: object = {}): object => ({
      containers: [{ ...container, resources: { requests: { cpu } } }],
      ...more,
    })
    await admin.create(PODS, pod('a', wants('3')))
    await admin.create(PODS, pod('b', wants('3')))
    assert.deepEqual([await placed('a'), await placed('b')].sort(), ['n1', 'n2'])
    await admin.create(PODS, pod('c', wants('3')))
    const waiting = await until('c says why', async () => {
      const conditions = (await admin.get(PODS, 'default', 'c'))['status']?.conditions as { message?: string }[]
      return conditions?.find(({ message }) => message !== undefined)
    })
    assert.deepEqual(
      { ...waiting, lastTransitionTime: undefined },
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'Unschedulable',
        message: '0/2 nodes are available: 2 Insufficient cpu.',
        lastTransitionTime: undefined,
      },
    )
    const events = await admin.list({ group: '', version: 'v1', resource: 'events' }, { namespace: 'default' })
    assert.ok(events.items.some((e) => e['reason'] === 'FailedScheduling' && e['involvedObject']?.name === 'c'))
    assert.ok(events.items.some((e) => e['reason'] === 'Scheduled' && e['involvedObject']?.name === 'a'))
    await admin.delete(PODS, 'default', 'a', { gracePeriodSeconds: 0 })
    await placed('c')
  })

  test('that fall silent are not ready and closed, their pods unknown; and all of it ends when they speak', async () => {
    const stop = new AbortController()
    const log = (): void => undefined
    // The same controllers as in the cluster, with less patience.
    const impatient = runControllers(
      {
        factories: [nodeLifecycle({ graceMs: 300, periodMs: 50 }), orphanedPods({ quarantineMs: 200, periodMs: 50 })],
        context: { client: server.localClient, clock: { now: Date.now }, log },
      },
      stop.signal,
    )
    try {
      await admin.patch(PODS, 'default', 'c', 'merge', { status: { phase: 'Running' } }, { subresource: 'status' })
      const ready = (node: KubeObject): { status: string; reason: string } | undefined =>
        (node['status']!.conditions as { type: string; status: string; reason: string }[]).find(
          (c) => c.type === 'Ready',
        )
      const silent = await until('n1 is silent', async () => {
        const node = await admin.get(NODES, '', 'n1')
        return ready(node)?.status === 'Unknown' && (node['spec']?.taints ?? []).length === 2 ? node : undefined
      })
      assert.equal(ready(silent)?.reason, 'NodeStatusUnknown')
      assert.deepEqual(
        (silent['spec']!.taints as { key: string; effect: string }[])
          .map(({ key, effect }) => `${key}:${effect}`)
          .sort(),
        ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule'],
      )
      const name = (await placed('c')) === 'n1' ? 'c' : 'b'
      await admin.patch(PODS, 'default', name, 'merge', { status: { phase: 'Running' } }, { subresource: 'status' })
      await until('its pod is unknown', async () => {
        const { status } = await admin.get(PODS, 'default', name)
        return status?.phase === 'Unknown' && status?.reason === 'NodeLost' ? true : undefined
      })
      const beat = setInterval(() => {
        const condition = { ...READY.conditions[0], lastHeartbeatTime: new Date().toISOString() }
        one
          .patch(NODES, '', 'n1', 'strategic', { status: { conditions: [condition] } }, { subresource: 'status' })
          .catch(
            () => undefined, // the next beat is as good
          )
      }, 50)
      try {
        await until('n1 is open again', async () => {
          const node = await admin.get(NODES, '', 'n1')
          return ready(node)?.status === 'True' && (node['spec']?.taints ?? []).length === 0 ? true : undefined
        })
      } finally {
        clearInterval(beat)
      }

      await admin.delete(NODES, '', 'n2')
      const lost = name === 'c' ? 'b' : 'c'
      await until('pods of a machine that is gone are deleted', () =>
        admin.get(PODS, 'default', lost).then(
          () => undefined,
          () => true,
        ),
      )
    } finally {
      stop.abort()
      await impatient
    }
  })
})
