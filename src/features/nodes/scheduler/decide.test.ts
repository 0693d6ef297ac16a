import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { ClusterState } from './cluster-state.ts'
import { place } from './decide.ts'
import { podRequests } from './resources.ts'

type Fields = { labels?: Record<string, string>; spec?: object; allocatable?: object; ownerReferences?: object[] }

const node = (name: string, { labels = {}, spec = {}, allocatable = {} }: Fields = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    spec,
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10', ...allocatable } },
  }) as unknown as KubeObject
const pod = (name: string, spec: object = {}, fields: Fields & { nodeName?: string } = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: fields.labels ?? {}, ownerReferences: fields.ownerReferences ?? [] },
    spec: { containers: [{ name: 'c' }], ...(fields.nodeName ? { nodeName: fields.nodeName } : {}), ...spec },
    status: { phase: 'Pending' },
  }) as unknown as KubeObject
const needs = (cpu: string, memory = '0'): object => ({
  containers: [{ name: 'c', resources: { requests: { cpu, memory } } }],
})

function state(nodes: KubeObject[], pods: KubeObject[] = []): ClusterState {
  const made = new ClusterState()
  for (const each of nodes) made.upsertNode(each)
  for (const each of pods) made.upsertPod(each)
  return made
}

const where = (pod: KubeObject, nodes: KubeObject[], pods: KubeObject[] = []): string => {
  const placement = place(pod, state(nodes, pods).nodes(), () => 0)
  return 'node' in placement ? placement.node : placement.message
}

const taint = (key: string, effect: string, value?: string): object => ({
  taints: [{ key, effect, ...(value ? { value } : {}) }],
})
const affinity = (kind: 'required' | 'preferred', ...matchExpressions: object[]): object => ({
  affinity: {
    nodeAffinity:
      kind === 'required'
        ? { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] } }
        : { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 5, preference: { matchExpressions } }] },
  },
})

describe('where a pod goes', () => {
  const cases: [what: string, pod: KubeObject, nodes: KubeObject[], pods: KubeObject[], expected: string][] = [
    ['no machine', pod('p'), [], [], 'no nodes available to schedule pods'],
    [
      'nodeSelector',
      pod('p', { nodeSelector: { disk: 'ssd' } }),
      [node('a'), node('b', { labels: { disk: 'ssd' } })],
      [],
      'b',
    ],
    [
      'nothing matches the selector',
      pod('p', { nodeSelector: { disk: 'ssd' } }),
      [node('a'), node('b')],
      [],
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    ],
    [
      'an untolerated taint and a full machine',
      pod('p', needs('1500m')),
      [node('a', { spec: taint('dedicated', 'NoSchedule', 'db') }), node('b')],
      [pod('q', needs('1'), { nodeName: 'b' })],
      '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: db}.',
    ],
    [
      'cordoned',
      pod('p'),
      [node('a', { spec: { unschedulable: true } })],
      [],
      '0/1 nodes are available: 1 node(s) were unschedulable.',
    ],
    [
      'a tolerated taint',
      pod('p', { tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }] }),
      [node('a', { spec: taint('dedicated', 'NoSchedule', 'db') })],
      [],
      'a',
    ],
    [
      'tolerates everything',
      pod('p', { tolerations: [{ operator: 'Exists' }] }),
      [node('a', { spec: taint('x', 'NoExecute') })],
      [],
      'a',
    ],
    [
      'tolerates another value',
      pod('p', { tolerations: [{ key: 'x', value: '1' }] }),
      [node('a', { spec: taint('x', 'NoExecute', '2') })],
      [],
      '0/1 nodes are available: 1 node(s) had untolerated taint {x: 2}.',
    ],
    [
      'prefers what is not tainted softly',
      pod('p'),
      [node('a', { spec: taint('x', 'PreferNoSchedule') }), node('b')],
      [],
      'b',
    ],
    [
      'memory',
      pod('p', needs('0', '3Gi')),
      [node('a'), node('b')],
      [pod('q', needs('0', '2Gi'), { nodeName: 'a' })],
      'b',
    ],
    [
      'number of pods',
      pod('p'),
      [node('a', { allocatable: { pods: '1' } })],
      [pod('q', {}, { nodeName: 'a' })],
      '0/1 nodes are available: 1 Too many pods.',
    ],
    [
      'required affinity Gt',
      pod('p', affinity('required', { key: 'cores', operator: 'Gt', values: ['4'] })),
      [node('a', { labels: { cores: '4' } }), node('b', { labels: { cores: '10' } })],
      [],
      'b',
    ],
    [
      'required affinity NotIn',
      pod('p', affinity('required', { key: 'zone', operator: 'NotIn', values: ['z1'] })),
      [node('a', { labels: { zone: 'z1' } }), node('b')],
      [],
      'b',
    ],
    [
      'preferred affinity wins over spreading',
      pod('p', affinity('preferred', { key: 'disk', operator: 'Exists' }), { labels: { app: 'web' } }),
      [node('a', { labels: { disk: 'ssd' } }), node('b')],
      [pod('q', {}, { nodeName: 'a', labels: { app: 'web' } })],
      'a',
    ],
    [
      'spreads pods of one label',
      pod('p', {}, { labels: { app: 'web' } }),
      [node('a'), node('b')],
      [pod('q', {}, { nodeName: 'a', labels: { app: 'web' } }), pod('r', {}, { nodeName: 'b', labels: { app: 'db' } })],
      'b',
    ],
    [
      'the same host port',
      pod('p', { containers: [{ name: 'c', ports: [{ hostPort: 80 }] }] }),
      [node('a')],
      [pod('q', { containers: [{ name: 'c', ports: [{ hostPort: 80, hostIP: '172.31.0.11' }] }] }, { nodeName: 'a' })],
      "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    ],
    [
      'a finished pod takes no room',
      pod('p', needs('2')),
      [node('a')],
      [{ ...pod('q', needs('2'), { nodeName: 'a' }), status: { phase: 'Succeeded' } } as unknown as KubeObject],
      'a',
    ],
  ]
  for (const [what, asked, nodes, pods, expected] of cases)
    test(what, () => assert.equal(where(asked, nodes, pods), expected))
})

test('what was assumed counts until it is bound or given up', () => {
  const made = state([node('a')])
  const first = pod('p', needs('1500m'))
  made.assume(first, 'a')
  made.upsertPod(first) // an event from before the binding
  assert.match((place(pod('q', needs('1')), made.nodes(), () => 0) as { message: string }).message, /Insufficient cpu/)
  made.forget(first)
  assert.deepEqual(
    place(pod('q', needs('1')), made.nodes(), () => 0),
    { node: 'a' },
  )
})

test('a machine that comes back knows the pods that were bound to it', () => {
  const made = state([node('a')], [pod('p', needs('2'), { nodeName: 'a' })])
  made.deleteNode(node('a'))
  assert.deepEqual(made.nodes(), [])
  made.upsertNode(node('a'))
  assert.match((place(pod('q', needs('1')), made.nodes(), () => 0) as { message: string }).message, /Insufficient cpu/)
  made.deletePod(pod('p', {}))
  assert.deepEqual(
    place(pod('q', needs('1')), made.nodes(), () => 0),
    { node: 'a' },
  )
})

test('requests: containers together, or an init container with the sidecars before it, and overhead (KEP-753)', () => {
  const container = (cpu: string, restartPolicy?: string): object => ({
    resources: { requests: { cpu } },
    ...(restartPolicy ? { restartPolicy } : {}),
  })
  const cpu = (spec: object): bigint | undefined => podRequests(pod('p', spec)).get('cpu')
  assert.equal(cpu({ containers: [container('100m'), container('0.2')] }), 300n)
  assert.equal(cpu({ containers: [container('100m')], initContainers: [container('1')] }), 1000n)
  assert.equal(
    cpu({
      containers: [container('100m')],
      initContainers: [container('200m', 'Always'), container('1'), container('50m', 'Always')],
    }),
    1200n,
  )
  assert.equal(
    cpu({ containers: [container('2')], initContainers: [container('500m', 'Always'), container('1')] }),
    2500n,
  )
  assert.equal(cpu({ containers: [container('1')], overhead: { cpu: '250m' } }), 1250n)
})
