import {
  Compiler,
  isElementsOnly,
  NetworkPolicyModel,
  renderReplacement,
} from '../src/features/network-policy/index.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'

/**
 * Usage: node --expose-gc bench/netpol-engine.ts
 *
 * The engine of network policies at the size that the target names: 10,000 pods on 100 machines, 1,000 policies in 100
 * namespaces. What is measured is thinking alone: events in, transaction out; no kernel.
 *
 * Traps: the first transactions run before the compiler of the runtime has seen the code (they are warmed up and not
 * counted); a pod that no policy of this machine speaks of costs next to nothing, so half of the pods that are added
 * are this machine's own, most of them with rules that no other pod here has, and the other half are peers of its pods; memory is read after a collection (--expose-gc).
 */
const PODS = 10_000
const POLICIES = 1_000
const NAMESPACES = 100
const MACHINES = 100
const APPS = 20
const ROUNDS = 500

const podOf = (i: number, name = `p${i}`, machine = Math.floor(i / NAMESPACES) % MACHINES): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    namespace: `ns${i % NAMESPACES}`,
    name,
    labels: { app: `a${(i + Math.floor(i / NAMESPACES)) % APPS}`, tier: `t${i % 3}`, pod: name },
  },
  spec: {
    nodeName: `m${machine}`,
    containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 + (i % 5) }] }],
  },
  status: { phase: 'Running', podIP: `10.${10 + (i >>> 16)}.${(i >>> 8) & 255}.${i & 255}` },
})

/** A mix as clusters have it: default deny, same namespace, from labelled pods, named ports, blocks, DNS. */
function policyOf(i: number): KubeObject {
  const namespace = `ns${i % NAMESPACES}`
  const app = { matchLabels: { app: `a${i % APPS}` } }
  const specs = [
    { podSelector: {}, policyTypes: ['Ingress'] },
    { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
    {
      podSelector: app,
      ingress: [
        {
          from: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: `a${(i + 1) % APPS}` } } }],
          ports: [{ port: 'http' }, { port: 9090 }],
        },
      ],
    },
    {
      podSelector: app,
      egress: [
        { to: [{ namespaceSelector: { matchLabels: { team: `t${i % 10}` } } }], ports: [{ port: 'http' }] },
        { to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '169.254.169.254/32'] } }] },
        { ports: [{ protocol: 'UDP', port: 53 }] },
      ],
    },
    { podSelector: app, ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: 8000, endPort: 8100 }] }] },
  ]
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace, name: `np${i}` },
    spec: specs[(i + Math.floor(i / NAMESPACES)) % specs.length],
  }
}

const settle = (): number => {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}
const quantile = (sorted: readonly number[], q: number): string =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!.toFixed(3)

function timed<T>(what: string, work: () => T): T {
  const start = performance.now()
  const result = work()
  console.log(`${what.padEnd(44)} ${(performance.now() - start).toFixed(1).padStart(9)} ms`)
  return result
}

function load(policies: number): NetworkPolicyModel {
  const model = new NetworkPolicyModel()
  for (let i = 0; i < NAMESPACES; i++)
    model.upsertNamespace({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: `ns${i}`, labels: { team: `t${i % 10}` } },
    })
  for (let i = 0; i < PODS; i++) model.upsertPod(podOf(i))
  for (let i = 0; i < policies; i++) model.upsertPolicy(policyOf(i))
  return model
}

function run(policies: number): void {
  console.log(`\n${policies} policies, ${PODS} pods, ${PODS / MACHINES} of them on this machine`)
  const empty = settle()
  const model = timed('objects into the model', () => load(policies))
  const compiler = new Compiler(model, { node: 'm0', podCidrs: { ip: [], ip6: [] } })
  const first = timed('program from nothing', () => compiler.update())
  timed('as text for nft', () => renderReplacement(compiler.program()).length)
  const table = compiler.program().get('ip rampart_policy')!
  const elements = [...table.sets.values()].reduce((sum, set) => sum + set.elements.size, 0)
  console.log(`${table.chains.size} chains, ${table.sets.size} sets, ${elements} elements, ${first.length} operations`)
  console.log(`${'memory of model and compiler'.padEnd(44)} ${(settle() - empty).toFixed(1).padStart(9)} MiB`)
  const times: number[] = []
  let only = 0
  for (let round = -100; round < ROUNDS; round++) {
    const i = PODS + ((round * 7919 + PODS * 10) % 5000)
    const pod = podOf(i, 'new', round % 2 === 0 ? 0 : 1 + (i % (MACHINES - 1)))
    const start = performance.now()
    model.upsertPod(pod)
    const transaction = compiler.update()
    const spent = performance.now() - start
    if (round >= 0) times.push(spent)
    if (round >= 0 && isElementsOnly(transaction)) only++
    model.deletePod(pod.metadata.namespace!, 'new')
    compiler.update()
  }
  times.sort((a, b) => a - b)
  console.log(
    `pod added → transaction (${ROUNDS}×)  p50 ${quantile(times, 0.5)}  p99 ${quantile(times, 0.99)}  max ${quantile(times, 1)} ms; ${only} by elements alone`,
  )
}

for (const policies of [100, POLICIES, 5000]) run(policies)
