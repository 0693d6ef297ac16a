/** Two API servers of one cluster on one etcd: what one acknowledges the other shows, and they never fight. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type EtcdProcess, startEtcd } from '../../src/control-plane/etcd-process.ts'
import type { ControlPlaneSettings } from '../../src/control-plane/settings.ts'
import { ControlPlanePki } from '../../src/features/tls/index.ts'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import type { ApiError } from '../../src/kernel/api/status.ts'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import type { ClientWatchEvent } from '../../src/kernel/client/client.ts'
import { eventually, gone } from '../../src/kernel/controllers/eventually.ts'
import {
  CONFIG_MAPS,
  LEASES,
  NAMESPACES,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../src/kernel/controllers/resource-ids.ts'

const there = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'etcd')))

describe('two API servers on one etcd', { skip: there ? false : 'etcd is not installed' }, () => {
  let directory: string
  let etcd: EtcdProcess
  let servers: [TestServer, TestServer]
  const open = new Set<TestServer>()
  const start = async (name: string): Promise<TestServer> => {
    const pki = join(directory, 'first', 'pki')
    const settings: Partial<ControlPlaneSettings> = {
      store: 'etcd',
      etcdEndpoints: [etcd.endpoint],
      etcdCa: join(directory, 'etcd-ca.crt'),
      etcdCert: join(directory, 'etcd.crt'),
      etcdKey: join(directory, 'etcd.key'),
    }
    if (!existsSync(join(directory, name))) cpSync(pki, join(directory, name, 'pki'), { recursive: true })
    const server = await startTestServer({ directory: join(directory, name), settings })
    open.add(server)
    return server
  }
  const stop = async (server: TestServer): Promise<void> => {
    open.delete(server)
    await server.close({ keep: true })
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'two-servers-'))
    const pki = new ControlPlanePki({
      directory: join(directory, 'first', 'pki'),
      clock: { now: Date.now },
      clusterName: 'test',
      apiServerNames: ['127.0.0.1'],
      serviceAddress: '10.96.0.1',
    })
    const { writePrivate } = await import('../../src/platform/files.ts')
    writePrivate(join(directory, 'etcd-ca.crt'), pki.rootPem)
    const leaf = pki.leaf('etcd-client')
    writePrivate(join(directory, 'etcd.crt'), leaf.cert)
    writePrivate(join(directory, 'etcd.key'), leaf.key)
    etcd = await startEtcd(join(directory, 'etcd'), pki, () => undefined)
    servers = [await start('first'), await start('second')]
    for (const { localClient } of servers)
      await eventually(async () => await localClient.get(NAMESPACES, '', 'default'))
  })
  after(async () => {
    for (const server of open) await server.close()
    await etcd.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const configMap = (name: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
  })

  test('what one has acknowledged the other reads at once', async () => {
    for (let i = 0; i < 20; i++) {
      const [writer, reader] = i % 2 ? servers : [servers[1], servers[0]]
      const made = await writer.remoteClient.create(CONFIG_MAPS, configMap(`read-${i}`))
      assert.deepEqual(await reader.remoteClient.get(CONFIG_MAPS, 'default', `read-${i}`), made)
    }
  })

  test('a watch on one sees the writes of both, in order, each once', async () => {
    const { metadata } = await servers[0].remoteClient.list(CONFIG_MAPS, { namespace: 'default' })
    const controller = new AbortController()
    const seen: ClientWatchEvent[] = []
    const watching = (async () => {
      const options = { namespace: 'default', resourceVersion: metadata.resourceVersion, signal: controller.signal }
      for await (const event of servers[1].remoteClient.watch(CONFIG_MAPS, options)) seen.push(event)
    })()
    const writes = Array.from({ length: 40 }, (_, i) =>
      servers[i % 2]!.remoteClient.create(CONFIG_MAPS, configMap(`watch-${i}`)),
    )
    await Promise.all(writes)
    await eventually(() => assert.equal(seen.length, 40))
    controller.abort()
    await watching
    const versions = seen.map((event) => Number((event.object as KubeObject).metadata.resourceVersion))
    assert.deepEqual(
      versions,
      versions.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(seen.map((event) => (event.object as KubeObject).metadata.name)).size, 40)
  })

  test('of writers on both at one object exactly one wins each round', async () => {
    const first = await servers[0].remoteClient.create(CONFIG_MAPS, configMap('contended'))
    const attempts = Array.from({ length: 10 }, (_, i) =>
      servers[i % 2]!.remoteClient.update(CONFIG_MAPS, { ...first, data: { by: String(i) } }).then(
        () => 'won',
        (error: ApiError) => error.reason,
      ),
    )
    const outcomes = await Promise.all(attempts)
    assert.deepEqual(
      outcomes.filter((outcome) => outcome !== 'Conflict'),
      ['won'],
    )
  })

  test('Services created on both never share an address or a node port', async () => {
    const make = (i: number): Promise<KubeObject> =>
      servers[i % 2]!.remoteClient.create(SERVICES, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: `s-${i}`, namespace: 'default' },
        spec: { type: 'NodePort', ports: [{ port: 80 }] },
      })
    const made = await Promise.all(Array.from({ length: 40 }, (_, i) => make(i)))
    assert.equal(new Set(made.map((service) => service['spec'].clusterIP)).size, 40)
    assert.equal(new Set(made.map((service) => service['spec'].ports[0].nodePort)).size, 40)
    const same = (i: number): Promise<string> =>
      servers[i]!.remoteClient.create(SERVICES, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: `same-${i}`, namespace: 'default' },
        spec: { clusterIP: '10.96.50.50', ports: [{ port: 80 }] },
      }).then(
        () => 'won',
        (error: ApiError) => error.reason,
      )
    assert.deepEqual((await Promise.all([same(0), same(1)])).sort(), ['Invalid', 'won'])
  })

  test('one leads the controllers; when it stops the other takes over', async () => {
    const holder = async (): Promise<string> =>
      (await servers[0].localClient.get(LEASES, 'kube-system', 'rampart-controllers'))['spec'].holderIdentity
    const leaderPort = Number((await eventually(holder)).split(':')[1])
    const leader = servers.find((server) => server.port === leaderPort)!
    const other = servers.find((server) => server !== leader)!
    const account = async (namespace: string): Promise<void> => {
      await other.remoteClient.create(NAMESPACES, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      })
      await eventually(async () => await other.remoteClient.get(SERVICE_ACCOUNTS, namespace, 'default'))
    }
    await account('before')
    await stop(leader)
    await account('after')
    await other.remoteClient.delete(NAMESPACES, '', 'before')
    await gone(() => other.remoteClient.get(NAMESPACES, '', 'before'))
  })
})
