import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../kernel/api/object.ts'
import { peerOf, planTunnel, tunnelMac } from './plan.ts'

const node = (podCIDR: unknown, ...addresses: object[]): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { podCIDR },
    status: { addresses },
  }) as unknown as KubeObject
const internal = (address: string): object => ({ type: 'InternalIP', address })

test('MAC addresses follow from the machine’s address', () => {
  assert.equal(tunnelMac('172.31.0.11'), '0a:58:ac:1f:00:0b')
  assert.throws(() => tunnelMac('172.31.0.256'), /not an IPv4 address/)
})

describe('a peer is a machine with an address and a block', () => {
  const cases: [KubeObject, object | undefined][] = [
    [node('10.244.1.0/24', internal('172.31.0.11')), { name: 'n', address: '172.31.0.11', podCidr: '10.244.1.0/24' }],
    [
      node('10.244.1.0/24', { type: 'Hostname', address: 'n' }, internal('fd00::1'), internal('172.31.0.11')),
      { name: 'n', address: '172.31.0.11', podCidr: '10.244.1.0/24' },
    ],
    [node('10.244.1.0/24'), undefined],
    [node(undefined, internal('172.31.0.11')), undefined],
    [node('10.244.1.0', internal('172.31.0.11')), undefined],
    [node('0.0.0.0/0', internal('172.31.0.11')), undefined],
    [node('10.244.1.0/24 dev eth0', internal('172.31.0.11')), undefined],
    [node('10.244.1.0/24', internal('172.31.0.11; reboot')), undefined],
  ]
  for (const [given, expected] of cases)
    test(JSON.stringify(given['spec']) + JSON.stringify(given['status']), () =>
      assert.deepEqual(peerOf(given), expected),
    )
})

test('one entry for each other machine; what claims another’s block or address gets none', () => {
  const own = { name: 'b', address: '172.31.0.12', podCidr: '10.244.1.0/24' }
  const plan = planTunnel(own, [
    own,
    { name: 'z', address: '172.31.0.13', podCidr: '10.244.2.0/24' },
    { name: 'a', address: '172.31.0.11', podCidr: '10.244.0.0/24' },
    { name: 'thief', address: '172.31.0.14', podCidr: '10.244.1.0/24' },
    { name: 'liar', address: '172.31.0.12', podCidr: '10.244.9.0/24' },
    { name: 'zz', address: '172.31.0.15', podCidr: '10.244.2.0/24' },
  ])
  assert.deepEqual(plan, {
    address: '10.244.1.0',
    mac: '0a:58:ac:1f:00:0c',
    entries: [
      { podCidr: '10.244.0.0/24', gateway: '10.244.0.0', mac: '0a:58:ac:1f:00:0b', remote: '172.31.0.11' },
      { podCidr: '10.244.2.0/24', gateway: '10.244.2.0', mac: '0a:58:ac:1f:00:0d', remote: '172.31.0.13' },
    ],
  })
})
