import type { KubeObject } from '../../../kernel/api/object.ts'

type Expression = { key: string; operator: string; values?: string[] }
type Term = { matchExpressions?: Expression[]; matchFields?: Expression[] }
type Affinity = {
  nodeAffinity?: {
    requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms?: Term[] }
    preferredDuringSchedulingIgnoredDuringExecution?: { weight: number; preference: Term }[]
  }
}

const INTEGER = /^[+-]?\d+$/

function meets(value: string | undefined, { operator, values = [] }: Expression): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
    case 'Lt': {
      const bound = values[0]
      if (value === undefined || bound === undefined || !INTEGER.test(value) || !INTEGER.test(bound)) return false
      return operator === 'Gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound)
    }
    default:
      return false
  }
}

/** A term without requirements selects nothing (core/v1 NodeSelectorTerm). */
function meetsTerm({ metadata }: KubeObject, { matchExpressions = [], matchFields = [] }: Term): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false
  const labels = metadata.labels ?? {}
  const label = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    matchExpressions.every((expression) => meets(label(expression.key), expression)) &&
    matchFields.every((e) => meets(e.key === 'metadata.name' ? metadata.name : undefined, e))
  )
}

/** nodeSelector and required node affinity; terms are alternatives. */
export function selectsNode(pod: KubeObject, node: KubeObject): boolean {
  const spec = (pod['spec'] ?? {}) as { nodeSelector?: Record<string, string>; affinity?: Affinity }
  const labels = node.metadata.labels ?? {}
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {}))
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return false
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || (required.nodeSelectorTerms ?? []).some((term) => meetsTerm(node, term))
}

/** Sum of the weights of the preferences that the node meets. */
export function preference(pod: KubeObject, node: KubeObject): number {
  const affinity = pod['spec']?.affinity as Affinity | undefined
  const preferred = affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  let sum = 0
  for (const { weight, preference } of preferred) if (meetsTerm(node, preference)) sum += weight
  return sum
}
