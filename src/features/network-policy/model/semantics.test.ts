import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { type Endpoint, type Query, verdict } from './evaluate.ts'
import { clusterNetworkPolicy, namespace, networkPolicy, node, pod } from './fixture.ts'
import { NetworkPolicyModel } from './model.ts'
import { describeNearMiss } from './near-miss.ts'
import type { ClusterNetworkPolicyRule, NetworkPolicySpec } from './types.ts'
import { addObject } from './worlds.fixture.ts'

/** shop/web and db/pg on n1, shop/lb on n2, a pod on the network of n2. */
function shop(...policies: KubeObject[]): NetworkPolicyModel {
  const model = new NetworkPolicyModel()
  for (const object of [
    node('n1', ['192.168.7.1'], ['10.244.1.0/24']),
    node('n2', ['192.168.7.2'], ['10.244.2.0/24']),
    namespace('shop', { team: 'front' }),
    namespace('db', { team: 'back' }),
    pod('shop', 'web', { labels: { app: 'web' }, addresses: ['10.244.1.5', 'fd00::1:5'] }),
    pod('shop', 'lb', { labels: { app: 'lb' }, addresses: ['10.244.2.5', 'fd00::2:5'], node: 'n2' }),
    pod('db', 'pg', {
      labels: { app: 'pg' },
      addresses: ['10.244.1.6', 'fd00::1:6'],
      ports: [
        { name: 'sql', containerPort: 5432 },
        { name: 'sql', containerPort: 5433, protocol: 'UDP' },
      ],
    }),
    pod('shop', 'agent', { labels: { app: 'web' }, addresses: ['192.168.7.2'], node: 'n2', hostNetwork: true }),
    ...policies,
  ])
    addObject(model, object)
  return model
}

const endpoint = (text: string): Endpoint => {
  const [namespace, name] = text.split('/') as [string, string | undefined]
  if (name !== undefined) return { pod: { namespace, name } }
  return /[.:]/.test(text) ? { address: text } : { node: text }
}

const ask = (model: NetworkPolicyModel, from: string, to: string, service = '5432/TCP') => {
  const [port, protocol] = service.split('/') as [string, Query['protocol']]
  return verdict(model, {
    from: endpoint(from),
    to: endpoint(to),
    protocol,
    ...(protocol === 'ICMP' ? {} : { port: Number(port) }),
  })
}

const toPg = (spec: NetworkPolicySpec): KubeObject =>
  networkPolicy('db', 'p', { podSelector: { matchLabels: { app: 'pg' } }, ...spec })
const fromWeb = (spec: NetworkPolicySpec): KubeObject => networkPolicy('shop', 'p', { podSelector: {}, ...spec })
const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } })
const team = (name: string) => ({ namespaceSelector: { matchLabels: { team: name } } })

const rows: [string, KubeObject[], string, string, string, boolean][] = [
  ['no policy', [], 'shop/web', 'db/pg', '5432/TCP', true],
  ['policyTypes: no rules means ingress', [toPg({})], 'shop/web', 'db/pg', '5432/TCP', false],
  ['policyTypes: no rules leaves egress', [toPg({})], 'db/pg', 'shop/web', '80/TCP', true],
  ['policyTypes: an empty egress list is none', [toPg({ egress: [] })], 'db/pg', 'shop/web', '80/TCP', true],
  [
    'policyTypes: egress rules isolate',
    [fromWeb({ egress: [{ to: [app('lb')] }] })],
    'shop/web',
    'db/pg',
    '1/TCP',
    false,
  ],
  ['policyTypes: and so is ingress', [fromWeb({ egress: [{}] })], 'db/pg', 'shop/web', '1/TCP', false],
  ['Egress without rules', [fromWeb({ policyTypes: ['Egress'] })], 'shop/web', 'db/pg', '5432/TCP', false],
  ['Egress alone leaves ingress', [fromWeb({ policyTypes: ['Egress'] })], 'db/pg', 'shop/web', '5432/TCP', true],
  ['a rule without anything', [toPg({ ingress: [{}] })], 'shop/web', 'db/pg', '5432/TCP', true],
  ['an empty list of peers', [toPg({ ingress: [{ from: [] }] })], '8.8.8.8', 'db/pg', '5432/TCP', true],
  [
    'podSelector is of its own namespace',
    [toPg({ ingress: [{ from: [{ podSelector: {} }] }] })],
    'shop/web',
    'db/pg',
    '1/TCP',
    false,
  ],
  ['namespaceSelector alone', [toPg({ ingress: [{ from: [team('front')] }] })], 'shop/web', 'db/pg', '1/TCP', true],
  [
    'both at once',
    [toPg({ ingress: [{ from: [{ ...team('front'), ...app('lb') }] }] })],
    'shop/web',
    'db/pg',
    '1/TCP',
    false,
  ],
  [
    'one after the other',
    [toPg({ ingress: [{ from: [team('front'), app('lb')] }] })],
    'shop/web',
    'db/pg',
    '1/TCP',
    true,
  ],
  [
    'all namespaces are pods only',
    [toPg({ ingress: [{ from: [{ namespaceSelector: {} }] }] })],
    '8.8.8.8',
    'db/pg',
    '1/TCP',
    false,
  ],
  [
    'hostNetwork pods are no peers',
    [toPg({ ingress: [{ from: [{ namespaceSelector: {} }] }] })],
    'shop/agent',
    'db/pg',
    '1/TCP',
    false,
  ],
  ['hostNetwork pods are no subjects', [fromWeb({ policyTypes: ['Egress'] })], 'shop/agent', 'db/pg', '1/TCP', true],
  [
    'hostNetwork pods are met as addresses',
    [toPg({ ingress: [{ from: [{ ipBlock: { cidr: '192.168.7.2/32' } }] }] })],
    'shop/agent',
    'db/pg',
    '1/TCP',
    true,
  ],
  ['a machine reaches its own pods', [toPg({})], 'n1', 'db/pg', '5432/TCP', true],
  ['by its address', [toPg({})], '192.168.7.1', 'db/pg', '5432/TCP', true],
  ['by its address among the pods', [toPg({})], '10.244.1.1', 'db/pg', '5432/TCP', true],
  ['not the pods of others', [toPg({})], 'n2', 'db/pg', '5432/TCP', false],
  ['a pod reaches itself', [toPg({ policyTypes: ['Ingress', 'Egress'] })], 'db/pg', 'db/pg', '5432/TCP', true],
  [
    'except',
    [toPg({ ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.244.1.0/24'] } }] }] })],
    'shop/web',
    'db/pg',
    '1/TCP',
    false,
  ],
  [
    'except is of its own block',
    [
      toPg({
        ingress: [
          {
            from: [
              { ipBlock: { cidr: '10.0.0.0/8', except: ['10.244.1.0/24'] } },
              { ipBlock: { cidr: '10.244.1.4/31' } },
            ],
          },
        ],
      }),
    ],
    'shop/web',
    'db/pg',
    '1/TCP',
    true,
  ],
  ['protocol only', [toPg({ ingress: [{ ports: [{ protocol: 'UDP' }] }] })], 'shop/web', 'db/pg', '9/UDP', true],
  [
    'protocol only isolates the rest',
    [toPg({ ingress: [{ ports: [{ protocol: 'SCTP' }] }] })],
    'shop/web',
    'db/pg',
    '9/TCP',
    false,
  ],
  [
    'TCP where no protocol is said',
    [toPg({ ingress: [{ ports: [{ port: 53 }] }] })],
    'shop/web',
    'db/pg',
    '53/UDP',
    false,
  ],
  ['endPort', [toPg({ ingress: [{ ports: [{ port: 5000, endPort: 5432 }] }] })], 'shop/web', 'db/pg', '5432/TCP', true],
  [
    'beyond endPort',
    [toPg({ ingress: [{ ports: [{ port: 5000, endPort: 5431 }] }] })],
    'shop/web',
    'db/pg',
    '5432/TCP',
    false,
  ],
  ['a name by protocol', [toPg({ ingress: [{ ports: [{ port: 'sql' }] }] })], 'shop/web', 'db/pg', '5432/TCP', true],
  [
    'the name of another protocol',
    [toPg({ ingress: [{ ports: [{ port: 'sql' }] }] })],
    'shop/web',
    'db/pg',
    '5433/UDP',
    false,
  ],
  [
    'a name, egress',
    [fromWeb({ egress: [{ ports: [{ port: 'sql', protocol: 'UDP' }] }] })],
    'shop/web',
    'db/pg',
    '5433/UDP',
    true,
  ],
  [
    'a name that the peer does not have',
    [fromWeb({ egress: [{ ports: [{ port: 'sql' }] }] })],
    'shop/web',
    'shop/lb',
    '5432/TCP',
    false,
  ],
  [
    'echo requests need a rule without ports',
    [toPg({ ingress: [{ ports: [{ protocol: 'TCP' }] }] })],
    'shop/web',
    'db/pg',
    '0/ICMP',
    false,
  ],
  [
    'echo requests by such a rule',
    [toPg({ ingress: [{ from: [team('front')] }] })],
    'shop/web',
    'db/pg',
    '0/ICMP',
    true,
  ],
]

for (const [name, policies, from, to, service, allowed] of rows)
  test(name, () => {
    const got = ask(shop(...policies), from, to, service)
    assert.equal(got.allowed, allowed, JSON.stringify(got))
  })

test('a verdict names what decided', () => {
  const model = shop(toPg({ ingress: [{ from: [app('lb')] }, { from: [team('front')] }] }))
  const { egress, ingress } = ask(model, 'shop/web', 'db/pg')
  assert.equal(egress.reason, 'not-isolated')
  assert.deepEqual(ingress.by, { kind: 'NetworkPolicy', namespace: 'db', name: 'p', rule: 1, action: 'Accept' })
  assert.equal(ask(model, '8.8.8.8', 'db/pg').egress.reason, 'not-a-pod')
  assert.deepEqual(ask(model, '8.8.8.8', 'db/pg').ingress.isolatedBy, ['db/p'])
})

test('near misses say what would have to change, the least first', () => {
  const model = shop(
    toPg({
      ingress: [
        { from: [{ ...team('front'), ...app('lb') }] },
        { from: [team('front')], ports: [{ port: 80 }, { protocol: 'UDP', port: 1, endPort: 9 }] },
        {
          from: [
            {
              namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['front'] }] },
              ...app('lb'),
            },
          ],
        },
        { from: [{ ipBlock: { cidr: '9.0.0.0/8' } }] },
      ],
    }),
  )
  assert.deepEqual(ask(model, 'shop/web', 'db/pg').ingress.nearMisses.map(describeNearMiss), [
    'policy db/p, rule 0, would allow it if pod shop/web had the label app=lb',
    'policy db/p, rule 1, would allow it if the port were 80/TCP, 1-9/UDP',
    'policy db/p, rule 2, would allow it if pod shop/web had the label app=lb and namespace shop had team other than front',
  ])
  assert.deepEqual(ask(model, '8.8.8.8', 'db/pg').ingress.nearMisses.map(describeNearMiss), [
    'policy db/p, rule 3, would allow it if the address were in 9.0.0.0/8',
  ])
})

test('observe mode drops nothing and says what it would', () => {
  const observing = networkPolicy('db', 'o', { podSelector: {} }, { 'rampart.dev/mode': 'observe' })
  const { allowed, ingress } = ask(shop(observing), 'shop/web', 'db/pg')
  assert.deepEqual([allowed, ingress.wouldDrop], [true, ['db/o']])
  const enforced = ask(shop(observing, toPg({})), 'shop/web', 'db/pg')
  assert.deepEqual([enforced.allowed, enforced.ingress.isolatedBy], [false, ['db/p']])
})

const METADATA = '169.254.169.254'
const admin = (name: string, priority: number, ...egress: ClusterNetworkPolicyRule[]): KubeObject =>
  clusterNetworkPolicy(name, { tier: 'Admin', priority, subject: { namespaces: {} }, egress })
const network = (action: string, ...networks: string[]): ClusterNetworkPolicyRule => ({ action, to: [{ networks }] })
const openEgress = fromWeb({ egress: [{}] })

const tiers: [string, KubeObject[], boolean][] = [
  ['Admin denies before policies allow', [openEgress, admin('a', 1, network('Deny', `${METADATA}/32`))], false],
  [
    'Admin accepts before policies deny',
    [fromWeb({ policyTypes: ['Egress'] }), admin('a', 1, network('Accept', '0.0.0.0/0'))],
    true,
  ],
  [
    'Pass leaves it to the policies',
    [fromWeb({ policyTypes: ['Egress'] }), admin('a', 1, network('Pass', '0.0.0.0/0'), network('Accept', '0.0.0.0/0'))],
    false,
  ],
  [
    'lower priority values go first',
    [admin('a', 2, network('Deny', '0.0.0.0/0')), admin('b', 1, network('Accept', '0.0.0.0/0'))],
    true,
  ],
  [
    'at the same priority the name decides',
    [admin('b', 1, network('Deny', '0.0.0.0/0')), admin('a', 1, network('Accept', '0.0.0.0/0'))],
    true,
  ],
  [
    'Baseline where no policy selects',
    [
      clusterNetworkPolicy('b', {
        tier: 'Baseline',
        priority: 1,
        subject: { namespaces: {} },
        egress: [network('Deny', '0.0.0.0/0')],
      }),
    ],
    false,
  ],
  [
    'Baseline after policies is not asked',
    [
      openEgress,
      clusterNetworkPolicy('b', {
        tier: 'Baseline',
        priority: 1,
        subject: { namespaces: {} },
        egress: [network('Deny', '0.0.0.0/0')],
      }),
    ],
    true,
  ],
  [
    'what a Deny rule means and nobody knows is everything',
    [admin('a', 1, { action: 'Deny', to: [{ later: {} } as never] })],
    false,
  ],
  [
    'what an Accept rule means and nobody knows is nothing',
    [admin('a', 1, { action: 'Accept', to: [{ domainNames: ['x.org'] }] }, network('Deny', '0.0.0.0/0'))],
    false,
  ],
]
for (const [name, policies, allowed] of tiers)
  test(name, () => {
    assert.equal(ask(shop(...policies), 'shop/web', METADATA, '80/TCP').allowed, allowed)
  })

test('an address goes to the pod that claimed it last, and back', () => {
  const model = shop(toPg({ ingress: [{ from: [{ ...team('front'), ...app('web') }] }] }))
  const allowed = (): boolean => ask(model, '10.244.1.5', 'db/pg').allowed
  assert.equal(allowed(), true)
  model.upsertPod(pod('shop', 'other', { labels: { app: 'x' }, addresses: ['10.244.1.5'] }))
  assert.equal(allowed(), false)
  model.deletePod('shop', 'other')
  assert.equal(allowed(), true)
  model.upsertPod(pod('shop', 'web', { labels: { app: 'web' }, addresses: ['10.244.1.5'], phase: 'Succeeded' }))
  assert.equal(allowed(), false)
})

test('a namespace that nobody has spoken of is known by its name', () => {
  const model = shop(
    toPg({ ingress: [{ from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'new' } } }] }] }),
  )
  model.upsertPod(pod('new', 'a', { addresses: ['10.244.1.20'] }))
  assert.equal(ask(model, 'new/a', 'db/pg').allowed, true)
  model.upsertNamespace(namespace('new', { team: 'x' }))
  assert.equal(ask(model, 'new/a', 'db/pg').allowed, true)
  model.deletePod('new', 'a')
  model.deleteNamespace('new')
  model.upsertPod(pod('new', 'a', { addresses: ['10.244.1.20'] }))
  assert.equal(ask(model, 'new/a', 'db/pg').allowed, true)
})

test('what the machine knows of its pods comes before what the API server knows', () => {
  const model = shop(toPg({ ingress: [{ from: [{ ...team('front'), ...app('new') }] }] }))
  model.upsertPod(pod('shop', 'new', { labels: { app: 'new' } }))
  model.attachPod('shop', 'new', { addresses: ['10.244.1.9'], link: 'veth1' })
  assert.equal(ask(model, '10.244.1.9', 'db/pg').allowed, true)
  model.upsertPod(pod('shop', 'new', { labels: { app: 'new' }, addresses: ['10.244.1.77'] }))
  assert.equal(ask(model, '10.244.1.9', 'db/pg').allowed, true)
  model.detachPod('shop', 'new')
  assert.equal(ask(model, '10.244.1.9', 'db/pg').allowed, false)
})

test('malformed policies let through less, and say why', () => {
  const model = shop(
    toPg({
      ingress: [
        { from: [{ ipBlock: { cidr: '10.0.0.0/40' } }, { ipBlock: { cidr: '0.0.0.0/0', except: ['x'] } }, {}] },
        { ports: [{ protocol: 'ICMP' }, { port: 90, endPort: 80 }, { port: 'sql', endPort: 90 }] },
      ],
    }),
  )
  assert.equal(ask(model, 'shop/web', 'db/pg').allowed, false)
  assert.deepEqual(
    [...model.policies()][0]!.problems.map((problem) => problem.split(':')[0]),
    [
      'spec.ingress[0].from[0].ipBlock.cidr',
      'spec.ingress[0].from[1].ipBlock.except[0]',
      'spec.ingress[0].from[2]',
      'spec.ingress[1].ports[0].protocol',
      'spec.ingress[1].ports[1]',
      'spec.ingress[1].ports[2].endPort',
    ],
  )
})

test('questions that make no sense are refused', () => {
  const model = shop()
  assert.throws(() => ask(model, 'shop/none', 'db/pg'), /pod shop\/none is not known/)
  assert.throws(() => ask(model, 'n9', 'db/pg'), /node n9 is not known/)
  assert.throws(() => ask(model, '10.0.0.300', 'db/pg'), /"10\.0\.0\.300" is not an IP address/)
  assert.throws(() => ask(model, 'shop/web', 'db/pg', '70000/TCP'), /70000 is not a port/)
})
