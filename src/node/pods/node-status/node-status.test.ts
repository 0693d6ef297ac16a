import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NODE_DEFAULTS } from '../../config.ts'
import { nodeConditions, type Observation } from './conditions.ts'
import { nodeObject, nodeStatus, withoutHeartbeats } from './node-object.ts'

const condition = (type: string, status = true) => ({
  type,
  status,
  reason: status ? '' : 'Why',
  message: status ? '' : 'because',
})
const READY: Observation = {
  runtime: [condition('RuntimeReady'), condition('NetworkReady')],
  runtimeError: '',
  memoryAvailableBytes: 2 ** 30,
  diskAvailable: 0.5,
  inodesAvailable: 0.5,
}

describe('conditions of the node', () => {
  const rows: [string, Partial<Observation>, string][] = [
    ['all is well', {}, 'Ready'],
    ['the runtime is away', { runtime: undefined, runtimeError: 'Status: UNAVAILABLE' }, ''],
    ['no network', { runtime: [condition('RuntimeReady'), condition('NetworkReady', false)] }, ''],
    ['the runtime does not say', { runtime: [] }, ''],
    ['little memory', { memoryAvailableBytes: 50 * 2 ** 20 }, 'MemoryPressure Ready'],
    ['little disk', { diskAvailable: 0.05 }, 'DiskPressure Ready'],
    ['few inodes', { inodesAvailable: 0.01 }, 'DiskPressure Ready'],
  ]
  for (const [what, fields, expected] of rows)
    it(what, () => {
      const conditions = nodeConditions({ ...READY, ...fields }, [], '2026-11-01T12:00:00Z')
      assert.deepEqual(
        conditions.map(({ type }) => type),
        ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'],
      )
      const on = conditions.filter(({ status }) => status === 'True').map(({ type }) => type)
      assert.equal(on.join(' '), expected)
    })

  it('says why', () => {
    const ready = (fields: Partial<Observation>) => nodeConditions({ ...READY, ...fields }, [], 'now').at(-1)!.message
    assert.equal(ready({ runtime: undefined, runtimeError: 'gone' }), 'container runtime is down: gone')
    assert.equal(
      ready({ runtime: [condition('RuntimeReady'), condition('NetworkReady', false)] }),
      '[container runtime network not ready: NetworkReady=false reason:Why message:because]',
    )
  })

  it('dates transitions, and leaves others’ conditions', () => {
    const before = [
      { type: 'NetworkUnavailable', status: 'False' as const },
      { type: 'Ready', status: 'True' as const, lastTransitionTime: 'then' },
      { type: 'DiskPressure', status: 'Unknown' as const, lastTransitionTime: 'then' },
    ]
    const times = Object.fromEntries(nodeConditions(READY, before, 'now').map((c) => [c.type, c.lastTransitionTime]))
    assert.deepEqual(times, {
      NetworkUnavailable: undefined,
      MemoryPressure: 'now',
      DiskPressure: 'now',
      PIDPressure: 'now',
      Ready: 'then',
    })
  })
})

describe('node object', () => {
  const config = { ...NODE_DEFAULTS, nodeName: 'n1', server: 'https://x', nodeAddress: '192.0.2.1' }
  const machine = {
    hostname: 'h',
    cpus: 2,
    memoryBytes: 4 * 2 ** 30,
    arch: 'amd64',
    kernelVersion: '6',
    osImage: 'Debian',
    machineId: 'm',
    bootId: 'b',
  }
  const facts = {
    config,
    machine,
    version: { runtimeName: 'containerd', runtimeVersion: '1.6', runtimeApiVersion: 'v1' },
    images: [],
    diskBytes: 2048 * 10,
    seen: READY,
    now: '2026-11-01T12:00:00Z',
  }

  it('has labels, amounts and facts, and keeps what is not its own', () => {
    assert.equal(nodeObject(config, machine).metadata.labels?.['kubernetes.io/hostname'], 'n1')
    const status = nodeStatus(facts, { volumesInUse: ['x'] }) as Record<string, Record<string, unknown>>
    assert.deepEqual(status['capacity'], { cpu: '2', 'ephemeral-storage': '20Ki', memory: '4194304Ki', pods: '110' })
    assert.equal(status['nodeInfo']?.['containerRuntimeVersion'], 'containerd://1.6')
    assert.deepEqual(status['volumesInUse'], ['x'])
    assert.deepEqual(status['daemonEndpoints'], { kubeletEndpoint: { Port: 10250 } })
  })

  it('is the same apart from heartbeats', () => {
    const first = nodeStatus(facts, {})
    const second = nodeStatus({ ...facts, now: '2026-11-01T12:00:10Z' }, first)
    assert.notDeepEqual(first, second)
    assert.deepEqual(withoutHeartbeats(first), withoutHeartbeats(second))
    const third = nodeStatus({ ...facts, seen: { ...READY, diskAvailable: 0 } }, first)
    assert.notDeepEqual(withoutHeartbeats(first), withoutHeartbeats(third))
  })
})
