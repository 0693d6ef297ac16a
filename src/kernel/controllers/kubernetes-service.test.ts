import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { startTestServer, type TestServer } from '../apiserver/testing.ts'
import type { Client } from '../client/client.ts'
import { runControllers } from '../controller/runner.ts'
import { advertised, apiServerIdentity, identityLeaseName } from './apiserver-identity.ts'
import { eventually, gone } from './eventually.ts'
import { covers, desiredObjects } from './kubernetes-service.ts'
import { ENDPOINT_SLICES, ENDPOINTS, LEASES, SERVICES } from './resource-ids.ts'

describe('default/kubernetes', () => {
  let server: TestServer
  let client: Client
  before(async () => {
    server = await startTestServer()
    client = server.localClient
  })
  after(async () => await server.close())

  const get = (id: typeof SERVICES): Promise<KubeObject> => client.get(id, 'default', 'kubernetes')
  /** As another machine's API server would. */
  function another(identity: string, address: string, port = 6443): { stop: () => Promise<void> } {
    const stop = new AbortController()
    const factory = apiServerIdentity({ identity, hostname: identity, advertise: { address, port } })
    const context = { client, clock: { now: Date.now }, log: (): void => undefined }
    const done = runControllers({ factories: [factory], context }, stop.signal)
    return {
      stop: async () => {
        stop.abort()
        await done
      },
    }
  }
  const addresses = async (): Promise<string[]> =>
    (((await get(ENDPOINTS))['subsets'] ?? []) as { addresses: { ip: string }[] }[]).flatMap((s) =>
      s.addresses.map((a) => a.ip),
    )

  test('has the first address of the range, and comes back', async () => {
    const check = async (): Promise<KubeObject> => {
      const service = await get(SERVICES)
      assert.equal(service['spec'].clusterIP, '10.96.0.1')
      assert.deepEqual(service.metadata.labels, { component: 'apiserver', provider: 'kubernetes' })
      const [port] = service['spec'].ports
      assert.deepEqual([port.name, port.port, port.protocol], ['https', 443, 'TCP'])
      return service
    }
    const first = await eventually(check)
    await client.delete(SERVICES, 'default', 'kubernetes')
    const second = await eventually(check)
    assert.notEqual(second.metadata.uid, first.metadata.uid)
  })

  test('its endpoints are the API servers that are alive', async () => {
    await eventually(async () => assert.deepEqual(await addresses(), []))
    const one = another('one', '192.0.2.1')
    const two = another('two', '192.0.2.2')
    await eventually(async () => assert.deepEqual(await addresses(), ['192.0.2.1', '192.0.2.2']))
    const slice = await eventually(async () => {
      const found = await get(ENDPOINT_SLICES)
      assert.equal(found['endpoints'].length, 2)
      return found
    })
    assert.equal(slice.metadata.labels?.['kubernetes.io/service-name'], 'kubernetes')
    assert.deepEqual(
      [slice['addressType'], slice['ports'][0].port, slice['endpoints'][0].conditions.ready],
      ['IPv4', 6443, true],
    )
    assert.equal((await get(SERVICES))['spec'].ports[0].targetPort, 6443)

    // Changed by hand: put right.
    await client.patch(ENDPOINTS, 'default', 'kubernetes', 'merge', { subsets: [] })
    await client.delete(ENDPOINT_SLICES, 'default', 'kubernetes')
    await eventually(async () => {
      assert.deepEqual(await addresses(), ['192.0.2.1', '192.0.2.2'])
      await get(ENDPOINT_SLICES)
    })

    await one.stop()
    await eventually(async () => assert.deepEqual(await addresses(), ['192.0.2.2']))
    await two.stop()
    await eventually(async () => assert.deepEqual(await addresses(), []))
  })

  test('an API server’s Lease is there while it runs, and its own', async () => {
    const one = another('x', '2001:db8::1', 443)
    const name = identityLeaseName('x')
    const lease = await eventually(async () => await client.get(LEASES, 'kube-system', name))
    assert.equal(lease.metadata.labels?.['apiserver.kubernetes.io/identity'], 'kube-apiserver')
    assert.equal(lease['spec'].holderIdentity, 'x')
    assert.deepEqual(advertised(lease), { address: '2001:db8::1', port: 443 })
    await one.stop()
    await gone(() => client.get(LEASES, 'kube-system', name))
  })
})

test('loopback and the other family are no endpoints; doubles are one', () => {
  const servers = ['127.0.0.1', '10.0.0.2', 'fd00::1', '10.0.0.1', '10.0.0.2'].map((address) => ({
    address,
    port: 6443,
  }))
  const [, endpoints, slice] = desiredObjects('10.96.0.0/12', servers)
  assert.deepEqual(endpoints!.object['subsets'][0].addresses, [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }])
  assert.equal(slice!.object['endpoints'].length, 2)
  const six = desiredObjects('fd00:1::/108', servers)
  assert.equal(six[0]!.object['spec'].clusterIP, 'fd00:1::1')
  assert.equal(six[2]!.object['addressType'], 'IPv6')
})

test('covers: defaults beyond what is wanted do not count, lists count in full', () => {
  const rows: [unknown, unknown, boolean][] = [
    [{ a: 1, b: 2 }, { a: 1 }, true],
    [{ a: 1 }, { a: 1, b: 2 }, false],
    [[{ a: 1, d: 0 }], [{ a: 1 }], true],
    [[{ a: 1 }, { a: 2 }], [{ a: 1 }], false],
    [undefined, [], false],
    [null, {}, false],
    ['x', 'x', true],
  ]
  for (const [actual, wanted, expected] of rows)
    assert.equal(covers(actual, wanted), expected, JSON.stringify([actual, wanted]))
})
