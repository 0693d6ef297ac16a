import type { KubeObject } from '../../api/object.ts'
import { qualifiedResource } from '../../resources/definition.ts'

/** Amounts by resource name of a quota: `pods`, `count/widgets.example.com`, `services.nodeports`. Whole numbers. */
export type Usage = Map<string, number>

type Counted = { group: string; plural: string }
type Service = { type?: string; ports?: { nodePort?: number }[]; allocateLoadBalancerNodePorts?: boolean }

/** Kinds that have a quota name of their own beside `count/…`. */
const CLASSIC = new Set([
  'pods',
  'services',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
])

/** Which of a quota's resource names a kind can use up. Compute resources (cpu, memory, storage) are not among them. */
export function countedNames(kind: Counted): string[] {
  const names = [`count/${qualifiedResource(kind)}`]
  if (kind.group === '' && CLASSIC.has(kind.plural)) names.push(kind.plural)
  if (kind.group === '' && kind.plural === 'services') names.push('services.loadbalancers', 'services.nodeports')
  return names
}

/** What one object uses. */
export function usageOf(kind: Counted, object: KubeObject): Usage {
  const usage: Usage = new Map([[`count/${qualifiedResource(kind)}`, 1]])
  if (kind.group !== '' || !CLASSIC.has(kind.plural)) return usage
  if (kind.plural !== 'pods' || !isFinished(object)) usage.set(kind.plural, 1)
  if (kind.plural === 'services') {
    const spec = (object['spec'] ?? {}) as Service
    usage.set('services.loadbalancers', spec.type === 'LoadBalancer' ? 1 : 0)
    usage.set('services.nodeports', nodePorts(spec))
  }
  return usage
}

/** A pod that has ended holds nothing any more, though its record still counts as `count/pods`. */
export function isFinished(pod: KubeObject): boolean {
  const phase = pod['status']?.phase
  return phase === 'Succeeded' || phase === 'Failed'
}

function nodePorts(spec: Service): number {
  const ports = spec.ports ?? []
  if (spec.type === 'NodePort') return ports.length
  if (spec.type !== 'LoadBalancer') return 0
  if (spec.allocateLoadBalancerNodePorts === false) return ports.filter((port) => (port.nodePort ?? 0) !== 0).length
  return ports.length
}

/** Inverse of `count/…` and of the classic names: the kind a quota name speaks of; undefined for compute resources. */
export function countedKind(name: string): { group: string; resource: string } | undefined {
  if (name.startsWith('count/')) {
    const rest = name.slice('count/'.length)
    const dot = rest.indexOf('.')
    return dot < 0 ? { group: '', resource: rest } : { group: rest.slice(dot + 1), resource: rest.slice(0, dot) }
  }
  if (name === 'services.loadbalancers' || name === 'services.nodeports') return { group: '', resource: 'services' }
  return CLASSIC.has(name) ? { group: '', resource: name } : undefined
}
