/** The tunnel between two machines that are network namespaces of this test, with real packets. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { addNetns, deleteNetns, netnsPath, run } from '../../platform/namespaces.ts'
import type { Peer } from './plan.ts'

const root = process.getuid?.() === 0
const id = `rt${process.pid}${randomBytes(2).toString('hex')}`
const netns = [`${id}-a`, `${id}-b`] as const
const peers: Peer[] = [
  { name: 'a', address: '172.31.0.11', podCidr: '10.244.0.0/24' },
  { name: 'b', address: '172.31.0.12', podCidr: '10.244.1.0/24' },
]
const pods = ['10.244.0.5', '10.244.1.5']
const fixture = fileURLToPath(new URL('./tunnel.fixture.ts', import.meta.url))

const inside = (machine: 0 | 1, ...argv: string[]): Promise<string> => run(argv, { netns: netnsPath(netns[machine]) })
/** Resolves with the number of entries that were changed. */
const apply = async (machine: 0 | 1, known: readonly Peer[] = peers): Promise<number> =>
  Number(await inside(machine, process.execPath, fixture, JSON.stringify(peers[machine]), JSON.stringify(known)))
const ping = (from: 0 | 1, size: number): Promise<boolean> =>
  inside(from, 'ping', '-c1', '-W1', '-Mdo', `-s${size}`, '-I', pods[from]!, pods[1 - from]!).then(
    () => true,
    () => false,
  )
const entries = async (machine: 0 | 1): Promise<string[]> => {
  const lines = [
    await inside(machine, 'bridge', 'fdb', 'show', 'dev', 'rampart.vxlan'),
    await inside(machine, 'ip', 'neighbour', 'show', 'dev', 'rampart.vxlan', 'nud', 'permanent'),
    await inside(machine, 'ip', '-4', 'route', 'show', 'dev', 'rampart.vxlan'),
  ]
  return lines.flatMap((text) => text.split('\n').map((line) => line.trim())).filter((line) => line !== '')
}

describe('the tunnel between machines', { skip: root ? false : 'network namespaces need root' }, () => {
  before(async () => {
    await addNetns(netns)
    await run([
      'ip',
      '-netns',
      netns[0],
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      netns[1],
    ])
    for (const machine of [0, 1] as const) {
      const { address } = peers[machine]!
      // A pod's address on the loopback interface stands for the pod.
      const lines = [
        'link set lo up',
        `address add ${pods[machine]}/32 dev lo`,
        'link set eth0 up',
        `address add ${address}/24 dev eth0`,
      ]
      await run(['ip', '-netns', netns[machine], '-batch', '-'], { input: `${lines.join('\n')}\n` })
    }
  })
  after(() => deleteNetns(netns))

  test('pods reach each other, with packets as large as the MTU says and no larger', async () => {
    assert.equal(await ping(0, 56), false)
    assert.equal(await apply(0), 4)
    assert.equal(await apply(1), 4)
    assert.equal(await ping(0, 56), true)
    assert.equal(await ping(1, 1450 - 28), true)
    assert.equal(await ping(1, 1451 - 28), false)
  })

  test('one entry each, and none is touched when it is right', async () => {
    assert.deepEqual(await entries(0), [
      '0a:58:ac:1f:00:0c dst 172.31.0.12 self permanent',
      '10.244.1.0 lladdr 0a:58:ac:1f:00:0c PERMANENT',
      '10.244.1.0/24 via 10.244.1.0 onlink',
    ])
    assert.equal(await apply(0), 0)
  })

  test('what somebody took away or added is put right', async () => {
    await inside(0, 'ip', 'route', 'delete', '10.244.1.0/24', 'dev', 'rampart.vxlan')
    await inside(0, 'bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', 'rampart.vxlan', 'dst', '172.31.0.99')
    await inside(0, 'ip', 'neighbour', 'replace', '10.244.1.0', 'lladdr', '02:00:00:00:00:01', 'dev', 'rampart.vxlan')
    assert.equal(await ping(0, 56), false)
    assert.equal(await apply(0), 3)
    assert.equal((await entries(0)).length, 3)
    assert.equal(await ping(0, 56), true)
    await inside(1, 'ip', 'link', 'set', 'rampart.vxlan', 'mtu', '1200')
    assert.equal(await apply(1), 4)
    assert.equal(await ping(0, 56), true)
  })

  test('a machine that is gone is forgotten', async () => {
    assert.equal(await apply(0, [peers[0]!]), 3)
    assert.deepEqual(await entries(0), [])
    assert.equal(await ping(0, 56), false)
  })

  test('pods keep their address among pods and leave with the machine’s', async () => {
    await apply(0)
    await inside(1, 'ip', 'address', 'add', '198.51.100.7/32', 'dev', 'lo')
    await inside(0, 'ip', 'route', 'add', '198.51.100.7', 'via', '172.31.0.12')
    const listen = (port: number): string =>
      `require('dgram').createSocket('udp4').bind(${port}).on('message', (_, from) => { console.log(from.address); process.exit() })`
    const seen = async (target: string, port: number): Promise<string> => {
      const listening = inside(1, 'timeout', '10', process.execPath, '-e', listen(port))
      const say = `const s = require('dgram').createSocket('udp4'); s.bind(0, '${pods[0]}', () => setInterval(() => s.send('x', ${port}, '${target}'), 100))`
      const saying = inside(0, 'timeout', '10', process.execPath, '-e', say).catch(() => '') // ended by its time limit
      const heard = (await listening).trim()
      void saying
      return heard
    }
    assert.equal(await seen('10.244.1.5', 9000), '10.244.0.5')
    assert.equal(await seen('198.51.100.7', 9001), '172.31.0.11')
  })
})
