import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namespace, networkPolicy, node, pod } from '../model/fixture.ts'
import { NetworkPolicyModel } from '../model/model.ts'
import { addObject } from '../model/worlds.fixture.ts'
import { draftOf } from './apply.ts'
import { Compiler } from './compiler.ts'
import { isElementsOnly } from './diff.ts'
import { parseLogPrefix } from './fragment.ts'
import { interpret, type Packet } from './interpret.fixture.ts'

/** x/a (isolated in both directions) and x/b (free) on n1. */
function machine() {
  const model = new NetworkPolicyModel()
  for (const object of [
    node('n1', ['192.168.7.1'], ['10.244.1.0/24']),
    namespace('x'),
    pod('x', 'a', { labels: { app: 'a' } }),
    pod('x', 'b', { labels: { app: 'b' } }),
    networkPolicy('x', 'deny-a', { podSelector: { matchLabels: { app: 'a' } }, policyTypes: ['Ingress', 'Egress'] }),
  ])
    addObject(model, object)
  model.attachPod('x', 'a', { addresses: ['10.244.1.5', 'fd00::5'], link: 'veth5' })
  model.attachPod('x', 'b', { addresses: ['10.244.1.6', 'fd00::6'], link: 'veth6' })
  const compiler = new Compiler(model, { node: 'n1', podCidrs: { ip: ['10.244.1.0/24'], ip6: ['fd00::/64'] } })
  compiler.update()
  return { model, compiler }
}

const packet = (saddr: string, daddr: string, rest: Partial<Packet> = {}): Packet => ({
  family: saddr.includes(':') ? 6 : 4,
  saddr,
  daddr,
  l4proto: 'tcp',
  sport: 40000,
  dport: 80,
  ctstate: 'new',
  ...rest,
})
const udp = (port: number): Partial<Packet> => ({ l4proto: 'udp', dport: port })

const rows: [string, string, Packet, 'accept' | 'drop'][] = [
  ['its own address', 'prerouting', packet('10.244.1.5', '8.8.8.8', { iifname: 'veth5' }), 'accept'],
  ["another pod's address", 'prerouting', packet('10.244.1.6', '8.8.8.8', { iifname: 'veth5' }), 'drop'],
  ["a machine's address", 'prerouting', packet('192.168.7.1', '8.8.8.8', { iifname: 'veth5' }), 'drop'],
  ["a pod's address from outside", 'prerouting', packet('10.244.1.5', '10.244.1.6', { iifname: 'eth0' }), 'drop'],
  ['a link that is not known yet', 'prerouting', packet('10.244.1.9', '8.8.8.8', { iifname: 'veth9' }), 'drop'],
  ['another machine', 'prerouting', packet('10.244.2.9', '10.244.1.6', { iifname: 'rampart.vxlan' }), 'accept'],
  ['the machine to itself', 'prerouting', packet('10.244.1.1', '10.244.1.1', { iifname: 'lo' }), 'accept'],
  ['IPv6, its own', 'prerouting', packet('fd00::5', '2001:db8::1', { iifname: 'veth5' }), 'accept'],
  ['IPv6, another', 'prerouting', packet('fd00::6', '2001:db8::1', { iifname: 'veth5' }), 'drop'],
  ['IPv6, link-local data', 'prerouting', packet('fe80::5', 'fe80::1', { iifname: 'veth5' }), 'drop'],
  [
    'IPv6, neighbour discovery',
    'prerouting',
    packet('fe80::5', 'ff02::1', { iifname: 'veth5', l4proto: 'icmpv6', icmptype: 'nd-neighbor-solicit' }),
    'accept',
  ],
  ['VXLAN to a machine', 'forward', packet('10.244.1.6', '192.168.7.2', { ...udp(8472), iifname: 'veth6' }), 'drop'],
  ['VXLAN to its own machine', 'input', packet('10.244.1.6', '10.244.1.1', { ...udp(8472), iifname: 'veth6' }), 'drop'],
  [
    'VXLAN in a connection that is there already',
    'forward',
    packet('10.244.1.6', '192.168.7.2', { ...udp(8472), iifname: 'veth6', ctstate: 'established' }),
    'drop',
  ],
  [
    'VXLAN between machines',
    'input',
    packet('192.168.7.2', '192.168.7.1', { ...udp(8472), iifname: 'eth0' }),
    'accept',
  ],
  ['egress', 'forward', packet('10.244.1.5', '8.8.8.8', { iifname: 'veth5' }), 'drop'],
  ['egress to its machine', 'input', packet('10.244.1.5', '192.168.7.1', { iifname: 'veth5' }), 'drop'],
  ['ingress', 'forward', packet('8.8.8.8', '10.244.1.5'), 'drop'],
  ['from its machine', 'output', packet('192.168.7.1', '10.244.1.5'), 'accept'],
  ['replies', 'forward', packet('10.244.1.5', '8.8.8.8', { ctstate: 'established' }), 'accept'],
  ['to itself', 'forward', packet('10.244.1.5', '10.244.1.5'), 'accept'],
  [
    'errors',
    'forward',
    packet('8.8.8.8', '10.244.1.5', { l4proto: 'icmp', icmptype: 'destination-unreachable' }),
    'accept',
  ],
  ['pings', 'forward', packet('8.8.8.8', '10.244.1.5', { l4proto: 'icmp', icmptype: 'echo-request' }), 'drop'],
  ['IPv6 egress', 'forward', packet('fd00::5', '2001:db8::1', { iifname: 'veth5' }), 'drop'],
  ['a pod without policies', 'forward', packet('10.244.1.6', '8.8.8.8', { iifname: 'veth6' }), 'accept'],
]

const { compiler } = machine()
for (const [name, hook, given, want] of rows)
  test(`${hook}: ${name}`, () => {
    assert.equal(interpret(compiler.program(), hook, given).verdict, want)
  })

test('what is cut off hears of it, though the connection is there', () => {
  const kernel = draftOf(compiler.program())
  kernel.tables.get('ip rampart_policy')!.sets.get('cut')!.elements.add('10.244.1.6 . 8.8.8.8 . tcp . 40000 . 80')
  const given = packet('10.244.1.6', '8.8.8.8', { ctstate: 'established' })
  assert.equal(interpret(kernel.tables, 'forward', given).verdict, 'reset')
  assert.equal(interpret(kernel.tables, 'forward', { ...given, sport: 40001 }).verdict, 'accept')
})

test('drops name direction and policy in at most 63 bytes', () => {
  const { logs, counters } = interpret(compiler.program(), 'forward', packet('8.8.8.8', '10.244.1.5'))
  assert.equal(logs.length, 1)
  assert.ok(Buffer.byteLength(logs[0]!) <= 63)
  assert.match(logs[0]!, / drop x\/deny-a$/)
  const { id, outcome } = parseLogPrefix(logs[0]!)!
  assert.equal(outcome, 'drop')
  assert.deepEqual(compiler.attributions().get(id), { id, direction: 'ingress', policies: ['NetworkPolicy/x/deny-a'] })
  assert.deepEqual(counters, [`${id}_drop`])
})

test('a pod that starts: peers, chain, verdict map; then nothing but elements; then the way back', () => {
  const { model, compiler } = machine()
  model.upsertPolicy(
    networkPolicy('x', 'c', {
      podSelector: { matchLabels: { app: 'c' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
    }),
  )
  assert.deepEqual(compiler.update(), [])
  const start = (name: string, address: string) => {
    model.upsertPod(pod('x', name, { labels: { app: 'c' } }))
    model.attachPod('x', name, { addresses: [address], link: `veth${name}` })
    return compiler.update()
  }
  const first = start('c1', '10.244.1.7').filter(({ table }) => table.startsWith('ip '))
  assert.deepEqual(
    first.map(({ op, ...rest }) => [
      op,
      'set' in rest && typeof rest.set === 'string' ? rest.set.replace(/^in_[0-9a-f]+/, 'in') : '',
    ]),
    [
      ...['addCounter', 'addCounter', 'addSet', 'addChain'].map((op) => [op, '']),
      ...['pod_links', 'links', 'local', 'self', 'pods', 'in_peer'].map((set) => ['addElements', set]),
      ['setRules', ''],
      ['addVerdicts', ''],
    ],
  )
  assert.ok(isElementsOnly(start('c2', '10.244.1.8')))
  model.deletePod('x', 'c2')
  const gone = compiler.update().map(({ op }) => op)
  assert.ok(gone.length > 0 && gone.every((op) => op.startsWith('delete')))
  model.deletePod('x', 'c1')
  const last = compiler.update().map(({ op }) => op)
  assert.ok(last.indexOf('deleteVerdicts') < last.indexOf('deleteChain'))
  assert.ok(last.indexOf('deleteChain') < last.indexOf('deleteSet'))
})

test('an edited policy changes the chain that is there', () => {
  const { model, compiler } = machine()
  model.upsertPolicy(
    networkPolicy('x', 'deny-a', {
      podSelector: { matchLabels: { app: 'a' } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ ports: [{ port: 80 }] }],
    }),
  )
  const operations = compiler.update().filter(({ table }) => table.startsWith('ip '))
  assert.deepEqual(
    operations.map(({ op }) => op),
    ['addCounter', 'addSet', 'addElements', 'setRules'],
  )
  assert.equal(interpret(compiler.program(), 'forward', packet('8.8.8.8', '10.244.1.5')).verdict, 'accept')
})

test('a pod with other labels and another address leaves nothing behind', () => {
  const { model, compiler } = machine()
  const { ingress, podSelector } = {
    podSelector: { matchLabels: { app: 'a' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'c' } } }] }],
  }
  model.upsertPolicy(networkPolicy('x', 'deny-a', { podSelector, ingress }))
  model.upsertPod(pod('x', 'c', { labels: { app: 'c' }, addresses: ['10.244.2.1'], node: 'n2' }))
  compiler.update()
  const passes = (from: string) => interpret(compiler.program(), 'forward', packet(from, '10.244.1.5')).verdict
  assert.equal(passes('10.244.2.1'), 'accept')
  model.upsertPod(pod('x', 'c', { labels: { app: 'd' }, addresses: ['10.244.2.2'], node: 'n2' }))
  compiler.update()
  assert.deepEqual([passes('10.244.2.1'), passes('10.244.2.2')], ['drop', 'drop'])
})

test('two pods with one address: the later one counts, when a chain is made as well as afterwards', () => {
  const { model, compiler } = machine()
  model.upsertPod(pod('x', 'c1', { labels: { app: 'c' }, addresses: ['10.244.2.1'], node: 'n2' }))
  model.upsertPod(pod('x', 'c2', { labels: { app: 'd' }, addresses: ['10.244.2.1'], node: 'n2' }))
  model.upsertPolicy(
    networkPolicy('x', 'deny-a', {
      podSelector: { matchLabels: { app: 'a' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'c' } } }] }],
    }),
  )
  compiler.update()
  const passes = () => interpret(compiler.program(), 'forward', packet('10.244.2.1', '10.244.1.5')).verdict
  assert.equal(passes(), 'drop')
  model.deletePod('x', 'c2')
  compiler.update()
  assert.equal(passes(), 'accept')
})
