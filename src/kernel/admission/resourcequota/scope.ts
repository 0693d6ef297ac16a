import type { KubeObject } from '../../api/object.ts'

type Requirement = { scopeName: string; operator: string; values?: string[] }
type Resources = { requests?: Record<string, unknown>; limits?: Record<string, unknown> }

/**
 * Whether a quota with scopes looks at this object: scopes speak of pods, and all of them must hold. A scoped quota
 * never matches another kind.
 */
export function scopesMatch(quota: KubeObject, isPod: boolean, object: KubeObject): boolean {
  const requirements: Requirement[] = [
    ...((quota['spec']?.scopes ?? []) as string[]).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...((quota['spec']?.scopeSelector?.matchExpressions ?? []) as Requirement[]),
  ]
  if (requirements.length === 0) return true
  return isPod && requirements.every((requirement) => podInScope(requirement, object))
}

function podInScope(requirement: Requirement, pod: KubeObject): boolean {
  const spec = pod['spec'] ?? {}
  switch (requirement.scopeName) {
    case 'Terminating':
      return (spec.activeDeadlineSeconds ?? -1) >= 0
    case 'NotTerminating':
      return (spec.activeDeadlineSeconds ?? -1) < 0
    case 'BestEffort':
      return isBestEffort(pod)
    case 'NotBestEffort':
      return !isBestEffort(pod)
    case 'PriorityClass':
      return classMatches(requirement, spec.priorityClassName ?? '')
    case 'CrossNamespacePodAffinity':
      return crossesNamespaces(spec.affinity ?? {})
    default:
      return false
  }
}

function isBestEffort(pod: KubeObject): boolean {
  const containers = [...(pod['spec']?.initContainers ?? []), ...(pod['spec']?.containers ?? [])]
  const asks = (resources: Resources | undefined): boolean =>
    [resources?.requests, resources?.limits].some(
      (list) => list !== undefined && (Object.hasOwn(list, 'cpu') || Object.hasOwn(list, 'memory')),
    )
  return !containers.some((container: { resources?: Resources }) => asks(container.resources))
}

function classMatches(requirement: Requirement, name: string): boolean {
  const listed = (requirement.values ?? []).includes(name)
  switch (requirement.operator) {
    case 'In':
      return listed
    case 'NotIn':
      return !listed
    case 'Exists':
      return name !== ''
    case 'DoesNotExist':
      return name === ''
    default:
      return false
  }
}

type Term = { namespaces?: string[]; namespaceSelector?: object | null; podAffinityTerm?: Term }
type Affinity = Record<
  string,
  | {
      requiredDuringSchedulingIgnoredDuringExecution?: Term[]
      preferredDuringSchedulingIgnoredDuringExecution?: Term[]
    }
  | undefined
>

function crossesNamespaces(affinity: Affinity): boolean {
  return ['podAffinity', 'podAntiAffinity'].some((kind) =>
    [
      ...(affinity[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(affinity[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? []),
    ].some((term) => {
      const { namespaces = [], namespaceSelector } = term.podAffinityTerm ?? term
      return namespaces.length > 0 || (namespaceSelector !== undefined && namespaceSelector !== null)
    }),
  )
}
