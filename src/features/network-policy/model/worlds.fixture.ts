import fc from 'fast-check'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { clusterNetworkPolicy, namespace, networkPolicy, node, pod } from './fixture.ts'
import type { NetworkPolicyModel } from './model.ts'
import type { World } from './naive.fixture.ts'

/** Small worlds in which everything meets everything: few names, few labels, addresses near the edges of the blocks. */

const NAMESPACES = ['x', 'y', 'z']
const LABEL_KEYS = ['app', 'tier']
const VALUES = ['a', 'b', 'c']
const PORT_NAMES = ['http', 'dns', 'alt']
export const PROBED_PORTS: readonly number[] = [53, 80, 81, 8080]
const PROTOCOLS = ['TCP', 'UDP', 'SCTP']
export const NODE_NAMES: readonly string[] = ['n1', 'n2']

const label = fc.constantFrom(...LABEL_KEYS)
const value = fc.constantFrom(...VALUES)
const labels = fc.dictionary(label, value, { maxKeys: 2 })

const selector = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ matchLabels: fc.dictionary(label, value, { minKeys: 1, maxKeys: 2 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      matchExpressions: fc.array(
        fc.oneof(
          fc.record({
            key: label,
            operator: fc.constantFrom('In' as const, 'NotIn' as const),
            values: fc.uniqueArray(value, { minLength: 1, maxLength: 2 }),
          }),
          fc.record({ key: label, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
        ),
        { minLength: 1, maxLength: 2 },
      ),
    }),
  },
)
const namespaceSelector = fc.oneof(
  selector,
  fc.record({
    matchLabels: fc.record({ 'kubernetes.io/metadata.name': fc.constantFrom(...NAMESPACES) }),
  }),
)

const BLOCKS: readonly { cidr: string; except: string[] }[] = [
  { cidr: '10.244.1.0/24', except: ['10.244.1.0/29', '10.244.1.12/32'] },
  { cidr: '10.244.0.0/16', except: ['10.244.2.0/24', '10.244.1.8/30'] },
  { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '169.254.169.254/32'] },
  { cidr: '10.244.1.10/32', except: [] },
  { cidr: 'fd00:244::/64', except: ['fd00:244::8/125', 'fd00:244::/126'] },
  { cidr: '::/0', except: ['fd00:244::a/127'] },
]
const ipBlock = fc
  .constantFrom(...BLOCKS)
  .chain(({ cidr, except }) => fc.record({ cidr: fc.constant(cidr), except: fc.subarray(except) }))

const peer = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector }),
  fc.record({ namespaceSelector, podSelector: selector }),
  fc.record({ ipBlock }),
)

const protocol = fc.constantFrom(...PROTOCOLS)
const port = fc.oneof(
  fc.record({ protocol }),
  fc.record({ protocol, port: fc.oneof(fc.constantFrom(...PROBED_PORTS), fc.constantFrom(...PORT_NAMES)) }),
  fc.record({ port: fc.constantFrom(...PROBED_PORTS) }),
  fc.constantFrom({ port: 80, endPort: 81 }, { port: 53, endPort: 80 }, { port: 81, endPort: 9000, protocol: 'UDP' }),
)

const rule = (side: 'from' | 'to'): fc.Arbitrary<object> =>
  fc.record({ [side]: fc.array(peer, { maxLength: 3 }), ports: fc.array(port, { maxLength: 3 }) }, { requiredKeys: [] })

const policySpec = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
    ingress: fc.array(rule('from'), { maxLength: 3 }),
    egress: fc.array(rule('to'), { maxLength: 3 }),
  },
  { requiredKeys: ['podSelector'] },
)

const clusterPeers = (egress: boolean): fc.Arbitrary<object> =>
  fc.oneof(
    fc.record({ namespaces: namespaceSelector }),
    fc.record({ pods: fc.record({ namespaceSelector, podSelector: selector }) }),
    ...(egress
      ? [
          fc.record({
            networks: fc.uniqueArray(fc.constantFrom(...BLOCKS.map((b) => b.cidr)), { minLength: 1, maxLength: 2 }),
          }),
          fc.record({ nodes: selector }),
        ]
      : []),
  )

const clusterProtocol = fc.oneof(
  fc.record({ tcp: fc.record({ destinationPort: fc.record({ number: fc.constantFrom(...PROBED_PORTS) }) }) }),
  fc.constantFrom(
    { udp: {} },
    { udp: { destinationPort: { range: { start: 53, end: 80 } } } },
    { tcp: { destinationPort: { range: { start: 80, end: 9000 } } } },
    { sctp: { destinationPort: { number: 80 } } },
    ...PORT_NAMES.map((name) => ({ destinationNamedPort: name })),
  ),
)

const clusterRule = (egress: boolean): fc.Arbitrary<object> =>
  fc.record(
    {
      action: fc.constantFrom('Accept', 'Deny', 'Pass'),
      [egress ? 'to' : 'from']: fc.array(clusterPeers(egress), { minLength: 1, maxLength: 2 }),
      protocols: fc.array(clusterProtocol, { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: ['action', egress ? 'to' : 'from'] as never[] },
  )

const clusterSpec = fc.record(
  {
    tier: fc.constantFrom('Admin', 'Baseline'),
    priority: fc.nat({ max: 3 }),
    subject: fc.oneof(
      fc.record({ namespaces: namespaceSelector }),
      fc.record({ pods: fc.record({ namespaceSelector, podSelector: selector }) }),
    ),
    ingress: fc.array(clusterRule(false), { minLength: 1, maxLength: 3 }),
    egress: fc.array(clusterRule(true), { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['tier', 'priority', 'subject'] },
)

const podOptions = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  labels,
  node: fc.constantFrom(...NODE_NAMES),
  ports: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom(...PORT_NAMES),
      containerPort: fc.constantFrom(...PROBED_PORTS),
      protocol,
    }),
    { maxLength: 3, selector: ({ name, protocol: of }) => `${name}/${of}` },
  ),
  families: fc.constantFrom('4', '6', '46'),
  hostNetwork: fc.integer({ min: 0, max: 11 }).map((n) => n === 0),
  phase: fc.constantFrom('Running', 'Running', 'Running', 'Running', 'Succeeded'),
})

const NODES = [
  node('n1', ['192.168.7.1', 'fd00:7::1'], ['10.244.1.0/24'], { app: 'a' }),
  node('n2', ['192.168.7.2'], ['10.244.2.0/24'], { app: 'b', tier: 'a' }),
]

/** Pod i has the addresses 10.244.1.n and fd00:244::n; n differs from pod to pod, and for the same pod between worlds. */
export const world: fc.Arbitrary<World> = fc
  .record({
    namespaces: fc.tuple(...NAMESPACES.map((name) => labels.map((given) => namespace(name, given)))),
    pods: fc.array(podOptions, { minLength: 3, maxLength: 8 }),
    shift: fc.nat({ max: 7 }),
    policies: fc.array(
      fc.tuple(
        fc.constantFrom(...NAMESPACES),
        policySpec,
        fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
      ),
      { minLength: 2, maxLength: 9 },
    ),
    cluster: fc.array(clusterSpec, { maxLength: 3 }),
  })
  .map(({ namespaces, pods, policies, cluster, shift }) => ({
    namespaces,
    nodes: NODES,
    pods: pods.map(({ namespace, families, ...options }, i) =>
      pod(namespace, `p${i}`, {
        ...options,
        addresses: [
          ...(families.includes('4') ? [`10.244.1.${8 + ((i + shift) % 8)}`] : []),
          ...(families.includes('6') ? [`fd00:244::${(8 + ((i + shift) % 8)).toString(16)}`] : []),
        ],
      }),
    ),
    policies: [
      ...policies.map(([namespace, spec, observe], i) =>
        networkPolicy(namespace, `np${i}`, spec as never, observe ? { 'rampart.dev/mode': 'observe' } : {}),
      ),
      ...cluster.map((spec, i) => clusterNetworkPolicy(`cnp${i}`, spec as never)),
    ],
  }))

export function addObject(model: NetworkPolicyModel, object: KubeObject): void {
  switch (object.kind) {
    case 'Pod':
      model.upsertPod(object)
      break
    case 'Namespace':
      model.upsertNamespace(object)
      break
    case 'Node':
      model.upsertNode(object)
      break
    default:
      model.upsertPolicy(object)
  }
}

export function removeObject(model: NetworkPolicyModel, { kind, metadata }: KubeObject): void {
  const { namespace = '', name = '' } = metadata
  if (kind === 'Pod') model.deletePod(namespace, name)
  else if (kind === 'Namespace') model.deleteNamespace(name)
  else if (kind === 'Node') model.deleteNode(name)
  else if (kind === 'NetworkPolicy') model.deletePolicy(namespace, name)
  else model.deleteClusterPolicy(name)
}

export const objectsOf = ({ namespaces, nodes, pods, policies }: World): KubeObject[] => [
  ...namespaces,
  ...nodes,
  ...pods,
  ...policies,
]
