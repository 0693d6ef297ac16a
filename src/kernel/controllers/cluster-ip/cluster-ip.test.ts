import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import type { ApiError } from '../../api/status.ts'
import { startTestServer, type TestServer } from '../../apiserver/testing.ts'
import type { Client } from '../../client/client.ts'
import { openLmdbStore } from '../../store/lmdb.ts'
import type { Store } from '../../store/store.ts'
import { eventually, gone } from '../eventually.ts'
import { NAMESPACES, SERVICES } from '../resource-ids.ts'
import { serviceAllocations } from './allocations.ts'
import { Pool } from './pool.ts'
import { repair, usesOf } from './repair.ts'

const silent = (): void => undefined
const owner = (name: string) => ({ uid: `uid-${name}`, namespace: 'ns', name })

describe('reservations', () => {
  let directory: string
  let store: Store
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cluster-ip-'))
    store = await openLmdbStore({ directory, owner: 'test', log: silent })
  })
  after(async () => {
    await store.close()
    rmSync(directory, { recursive: true })
  })
  const pool = (prefix: string, size: number): Pool =>
    new Pool({ store, prefix, size, band: 0, print: String, parse: Number, random: Math.random, log: silent })

  test('two servers on one store never give out a number twice, and give out all', async () => {
    const [a, b] = [pool('/t1/', 60), pool('/t1/', 60)]
    const taken = await Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 ? a : b).reserveAny(owner(String(i)))))
    assert.equal(new Set(taken).size, 60)
    assert.ok(!taken.includes(undefined))
    assert.equal(await a.reserveAny(owner('one more')), undefined)
    assert.equal(await b.reserveAny(owner('one more')), undefined)
    await a.release(7, (await a.list()).find((r) => r.number === 7)!.owner.uid)
    await eventually(async () => assert.equal(await b.reserveAny(owner('one more')), 7))
    a.close()
    b.close()
  })

  test('a number is reserved once for each owner, and released only by it', async () => {
    const p = pool('/t2/', 10)
    assert.equal(await p.reserve(3, owner('a')), 'reserved')
    assert.equal(await p.reserve(3, owner('a')), 'reserved')
    assert.equal(await p.reserve(3, owner('b')), 'taken')
    await p.release(3, 'uid-b')
    assert.equal(await p.isTaken(3, owner('b')), true)
    await p.release(3, 'uid-a')
    assert.equal(await p.reserve(3, owner('b')), 'reserved')
    assert.equal(await p.reserve(3, owner('c'), async (holder) => holder.uid === 'uid-b'), 'reserved')
    assert.deepEqual(
      (await p.list()).map((r) => r.owner.uid),
      ['uid-c'],
    )
    p.close()
  })

  test('repair: gives back what nobody came to use, after two looks; adopts what nobody reserved', async () => {
    const missing = Object.assign(new Error('none'), { reason: 'NotFound' })
    const client = { get: async () => Promise.reject(missing) } as unknown as Client
    const allocations = serviceAllocations({ store, client, serviceCidrs: ['10.1.0.0/24'], log: silent })
    const { range, pool: addresses } = allocations.addresses.get('IPv4')!
    const service = (name: string, ip: string, nodePort?: number): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'ns', uid: `uid-${name}` },
      spec: {
        type: nodePort ? 'NodePort' : 'ClusterIP',
        clusterIP: ip,
        clusterIPs: [ip],
        ports: nodePort ? [{ port: 1, nodePort }] : [],
      },
    })
    const items = [
      service('kept', '10.1.0.5'),
      service('adopted', '10.1.0.6', 30_001),
      service('foreign', '10.99.0.1'),
      service('twin', '10.1.0.5'),
    ]
    const list: Client['list'] = async () => ({ items, metadata: { resourceVersion: '1' } })
    await addresses.reserve(range.offsetOf('10.1.0.5')!, owner('kept'))
    await addresses.reserve(range.offsetOf('10.1.0.9')!, owner('leaked'))
    await addresses.reserve(range.offsetOf('10.1.0.6')!, owner('someone else'))
    const held = async (): Promise<string[]> =>
      (await addresses.list()).map((r) => `${range.at(r.number)} ${r.owner.name}`).sort()
    const lines: string[] = []
    const log = (level: string, message: string): void => void lines.push(`${level} ${message}`)

    const first = await repair(allocations, { list }, new Map(), log)
    assert.deepEqual(await held(), ['10.1.0.5 kept', '10.1.0.6 adopted', '10.1.0.9 leaked'])
    assert.equal(await allocations.ports.pool.isTaken(1, owner('x')), true)
    assert.match(lines[0]!, /^error 10\.1\.0\.5 belongs to two Services, ns\/kept and ns\/twin/)
    const second = await repair(allocations, { list }, first, silent)
    assert.deepEqual(await held(), ['10.1.0.5 kept', '10.1.0.6 adopted'])
    assert.equal(second.size, 0)
    assert.deepEqual(usesOf(allocations, items[2]!), [])
    allocations.close()
  })

  test('a reservation that was renewed between two looks stays', async () => {
    const client = { get: async () => assert.fail() } as unknown as Client
    const allocations = serviceAllocations({ store, client, serviceCidrs: ['10.2.0.0/24'], log: silent })
    const { pool: addresses } = allocations.addresses.get('IPv4')!
    const list: Client['list'] = async () => ({ items: [], metadata: { resourceVersion: '1' } })
    for (const reservation of await addresses.list()) await addresses.releaseExactly(reservation)
    await addresses.reserve(4, owner('a'))
    const first = await repair(allocations, { list }, new Map(), silent)
    await addresses.release(4, 'uid-a')
    await addresses.reserve(4, owner('b'))
    const second = await repair(allocations, { list }, first, silent)
    assert.deepEqual(
      (await addresses.list()).map((r) => r.owner.name),
      ['b'],
    )
    await repair(allocations, { list }, second, silent)
    assert.deepEqual(await addresses.list(), [])
    allocations.close()
  })

  test('ranges that cannot be', () => {
    const client = {} as Client
    for (const serviceCidrs of [[], ['10.0.0.0/8', '11.0.0.0/8'], ['x']])
      assert.throws(() => serviceAllocations({ store, client, serviceCidrs, log: silent }))
    assert.throws(
      () => serviceAllocations({ store, client, nodePorts: { from: 5, to: 4 }, log: silent }),
      /not a range/,
    )
  })
})

describe('Services get their addresses', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
    await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } })
  })
  after(async () => await server.close())

  const service = (name: string, spec: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'ns' },
    spec: { ports: [{ port: 80 }], selector: { app: 'x' }, ...spec },
  })
  const create = async (name: string, spec: object = {}): Promise<KubeObject> =>
    await client.create(SERVICES, service(name, spec))
  const refuses = async (promise: Promise<unknown>, code: number, message: RegExp): Promise<void> => {
    await assert.rejects(promise, (error: ApiError) => {
      assert.equal(error.code, code)
      assert.match(error.message, message)
      return true
    })
  }

  test('an address of the range, one for each', async () => {
    const made = await Promise.all(['a1', 'a2', 'a3', 'a4'].map((name) => create(name)))
    for (const { spec } of made) {
      assert.match(spec.clusterIP, /^10\.(9[6-9]|10\d|11[01])\.\d+\.\d+$/)
      assert.deepEqual(
        [spec.clusterIPs, spec.ipFamilies, spec.ipFamilyPolicy],
        [[spec.clusterIP], ['IPv4'], 'SingleStack'],
      )
    }
    assert.equal(new Set(made.map(({ spec }) => spec.clusterIP)).size, 4)
  })

  test('the address that is asked for, if it is free and of the range', async () => {
    assert.equal((await create('b1', { clusterIP: '10.96.7.7' }))['spec'].clusterIP, '10.96.7.7')
    await refuses(
      create('b2', { clusterIP: '10.96.7.7' }),
      422,
      /^Service "b2" is invalid: spec\.clusterIPs: Invalid value: \["10\.96\.7\.7"\]: failed to allocate IP 10\.96\.7\.7: provided IP is already allocated$/,
    )
    await refuses(
      create('b2', { clusterIP: '192.0.2.1' }),
      422,
      /failed to allocate IP 192\.0\.2\.1: the provided IP \(192\.0\.2\.1\) is not in the valid range\. The range of valid IPs is 10\.96\.0\.0\/12$/,
    )
    await refuses(create('b2', { ipFamilyPolicy: 'RequireDualStack' }), 422, /not configured for dual-stack/)
    await client.delete(SERVICES, 'ns', 'b1')
    await eventually(async () =>
      assert.equal((await create('b2', { clusterIP: '10.96.7.7' }))['spec'].clusterIP, '10.96.7.7'),
    )
  })

  test('a Service that is made anew may have its address again at once', async () => {
    for (let i = 0; i < 5; i++) {
      await create('again', { clusterIP: '10.96.8.8' })
      await client.delete(SERVICES, 'ns', 'again')
    }
  })

  test('a create that is refused later on leaves its address to the next of that name', async () => {
    await create('twice', { clusterIP: '10.96.9.9' })
    await assert.rejects(
      create('twice', { clusterIP: '10.96.9.10' }),
      (error: ApiError) => error.reason === 'AlreadyExists',
    )
    await client.delete(SERVICES, 'ns', 'twice')
    assert.equal((await create('twice', { clusterIP: '10.96.9.10' }))['spec'].clusterIP, '10.96.9.10')
  })

  test('none for headless and ExternalName', async () => {
    const headless = await create('c1', { clusterIP: 'None' })
    assert.deepEqual([headless['spec'].clusterIP, headless['spec'].clusterIPs], ['None', ['None']])
    const external = await create('c2', { type: 'ExternalName', externalName: 'example.com' })
    assert.deepEqual([external['spec'].clusterIP, external['spec'].ipFamilies], [undefined, undefined])
  })

  test('an update keeps the address; ExternalName gives it up; back from there is a new one', async () => {
    const made = await create('d', { clusterIP: '10.96.10.10' })
    const bare = { ...service('d', { ports: [{ port: 81 }] }), metadata: { ...made.metadata } }
    const updated = await client.update(SERVICES, bare)
    assert.equal(updated['spec'].clusterIP, '10.96.10.10')
    await refuses(
      client.patch(SERVICES, 'ns', 'd', 'merge', { spec: { clusterIP: '10.96.10.11' } }),
      422,
      /may not change once set/,
    )
    const spec = { type: 'ExternalName', externalName: 'example.com' }
    const external = await client.patch(SERVICES, 'ns', 'd', 'merge', { spec })
    assert.equal(external['spec'].clusterIP, undefined)
    await eventually(async () => void (await create('d2', { clusterIP: '10.96.10.10' })))
    const back = await client.patch(SERVICES, 'ns', 'd', 'merge', { spec: { type: 'ClusterIP', externalName: null } })
    assert.match(back['spec'].clusterIP, /^10\./)
  })

  test('node ports: any, the one asked for, the same for TCP and UDP of a port', async () => {
    const ports = [
      { name: 't', port: 53, protocol: 'TCP' },
      { name: 'u', port: 53, protocol: 'UDP' },
      { name: 'w', port: 80, nodePort: 30_123 },
    ]
    const made = await create('e1', { type: 'NodePort', ports })
    const [tcp, udp, web] = (made['spec'].ports as { nodePort: number }[]).map((port) => port.nodePort) as [
      number,
      number,
      number,
    ]
    assert.ok(tcp >= 30_000 && tcp <= 32_767)
    assert.deepEqual([udp, web], [tcp, 30_123])
    await refuses(
      create('e2', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_123 }] }),
      422,
      /^Service "e2" is invalid: spec\.ports\[0\]\.nodePort: Invalid value: 30123: provided port is already allocated$/,
    )
    await refuses(
      create('e2', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
      422,
      /nodePort: Invalid value: 80: provided port is not in the valid range\. The range of valid ports is 30000-32767$/,
    )
    // What the refused creates had reserved before they failed is free again: their addresses.
    const changed = await client.patch(SERVICES, 'ns', 'e1', 'merge', { spec: { type: 'ClusterIP' } })
    assert.ok((changed['spec'].ports as { nodePort?: number }[]).every((port) => port.nodePort === undefined))
    await eventually(
      async () => void (await create('e3', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_123 }] })),
    )
    await client.delete(SERVICES, 'ns', 'e3')
    await gone(() => client.get(SERVICES, 'ns', 'e3'))
  })

  test('LoadBalancer: node ports unless it does without; a health check port for local traffic', async () => {
    const balancer = await create('f1', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
    assert.ok(balancer['spec'].ports[0].nodePort >= 30_000)
    assert.ok(balancer['spec'].healthCheckNodePort >= 30_000)
    assert.notEqual(balancer['spec'].healthCheckNodePort, balancer['spec'].ports[0].nodePort)
    const without = await create('f2', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false })
    assert.equal(without['spec'].ports[0].nodePort, undefined)
  })

  test('a dry run reserves nothing; an invalid Service neither', async () => {
    const dry = await client.create(SERVICES, service('g', { clusterIP: '10.96.11.11' }), { dryRun: true })
    assert.equal(dry['spec'].clusterIP, '10.96.11.11')
    const any = await client.create(SERVICES, service('g', { type: 'NodePort' }), { dryRun: true })
    assert.match(any['spec'].clusterIP, /^10\./)
    await refuses(create('g', { clusterIP: '10.96.11.11', ports: [] }), 422, /spec\.ports: Required value/)
    assert.equal((await create('h', { clusterIP: '10.96.11.11' }))['spec'].clusterIP, '10.96.11.11')
    await refuses(
      client.create(SERVICES, service('i', { clusterIP: '10.96.11.11' }), { dryRun: true }),
      422,
      /already allocated/,
    )
  })
})
