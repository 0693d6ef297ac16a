import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { unknownConditions, wantedTaints } from './health.ts'
import { freeBlock, parseIpv4Cidr, printIpv4Cidr } from './pod-cidr.ts'

const NOW = '2026-01-01T00:00:00Z'
const node = (ready: string | undefined, spec: object = {}, more: object[] = []): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec,
    status: { conditions: [...(ready === undefined ? [] : [{ type: 'Ready', status: ready }]), ...more] },
  }) as unknown as KubeObject
const texts = (taints: { key: string; effect: string }[] | undefined): string[] | undefined =>
  taints?.map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`)
const own = (...list: string[]): object => ({
  taints: list.map((text) => {
    const [key, effect] = text.split(':')
    return { key: key!.includes('/') ? key : `node.kubernetes.io/${key}`, effect }
  }),
})

describe('taints that conditions call for', () => {
  const cases: [what: string, node: KubeObject, expected: string[] | undefined][] = [
    ['new', node(undefined), ['not-ready:NoSchedule', 'not-ready:NoExecute']],
    ['ready and clean', node('True'), undefined],
    ['ready again', node('True', own('not-ready:NoSchedule', 'unreachable:NoExecute')), []],
    ['silent', node('Unknown', own('not-ready:NoSchedule')), ['unreachable:NoSchedule', 'unreachable:NoExecute']],
    [
      'says it is not ready',
      node('False', own('not-ready:NoExecute')),
      ['not-ready:NoExecute', 'not-ready:NoSchedule'],
    ],
    ['cordoned', node('True', { unschedulable: true }), ['unschedulable:NoSchedule']],
    ['uncordoned', node('True', own('unschedulable:NoSchedule')), []],
    ['under pressure', node('True', {}, [{ type: 'DiskPressure', status: 'True' }]), ['disk-pressure:NoSchedule']],
    [
      'others’ taints stay',
      node('True', own('example.com/db:NoSchedule', 'not-ready:NoSchedule')),
      ['example.com/db:NoSchedule'],
    ],
    ['as wanted', node('Unknown', own('unreachable:NoSchedule', 'unreachable:NoExecute')), undefined],
  ]
  for (const [what, given, expected] of cases)
    test(what, () => assert.deepEqual(texts(wantedTaints(given, NOW)), expected))
})

test('a silent machine: what it reported is unknown; what never came never came; said once', () => {
  const silent = node('True', {}, [{ type: 'DiskPressure', status: 'False', lastHeartbeatTime: 't' }])
  const conditions = unknownConditions(silent, NOW)!
  assert.deepEqual(
    conditions.map(({ type, status, reason }) => [type, status, reason]),
    [
      ['Ready', 'Unknown', 'NodeStatusUnknown'],
      ['MemoryPressure', 'Unknown', 'NodeStatusNeverUpdated'],
      ['DiskPressure', 'Unknown', 'NodeStatusUnknown'],
      ['PIDPressure', 'Unknown', 'NodeStatusNeverUpdated'],
    ],
  )
  const said = { ...silent, status: { conditions } } as unknown as KubeObject
  assert.equal(unknownConditions(said, NOW), undefined)
})

describe('blocks of pod addresses', () => {
  test('are read and printed; what is none is refused', () => {
    assert.equal(printIpv4Cidr(parseIpv4Cidr('10.244.3.0/24')), '10.244.3.0/24')
    assert.equal(printIpv4Cidr(parseIpv4Cidr('255.0.0.0/8')), '255.0.0.0/8')
    for (const text of ['10.244.0.0', '10.244.0.1/24', '10.256.0.0/16', '10.0.0.0/33', 'fd00::/64', ''])
      assert.throws(() => parseIpv4Cidr(text), Error, text)
  })

  test('are the lowest that overlap none', () => {
    const cluster = parseIpv4Cidr('10.244.0.0/16')
    const next = (...taken: string[]): string => printIpv4Cidr(freeBlock(cluster, 24, taken.map(parseIpv4Cidr))!)
    assert.equal(next(), '10.244.0.0/24')
    assert.equal(next('10.244.0.0/24', '10.244.2.0/24'), '10.244.1.0/24')
    assert.equal(next('10.244.0.0/22'), '10.244.4.0/24')
    assert.equal(next('10.244.0.128/25', '192.168.0.0/16'), '10.244.1.0/24')
    assert.equal(freeBlock(cluster, 24, [parseIpv4Cidr('10.0.0.0/8')]), undefined)
  })

  test('never overlap, whatever was given and taken back', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20 }), { maxLength: 60 }), (steps) => {
        const cluster = parseIpv4Cidr('10.0.0.0/28')
        const taken: { first: number; bits: number }[] = []
        for (const step of steps) {
          if (step > 12 && taken.length > 0) taken.splice(step % taken.length, 1)
          else {
            const block = freeBlock(cluster, 30 + (step % 3), taken)
            if (block !== undefined) taken.push(block)
          }
        }
        const addresses = taken.flatMap(({ first, bits }) =>
          Array.from({ length: 2 ** (32 - bits) }, (_, i) => first + i),
        )
        assert.equal(new Set(addresses).size, addresses.length)
      }),
    )
  })
})
