import type { PolicyRule } from '../engine/types.ts'
import type { Grant } from './world-index.ts'

export type ObjectRef = { kind: string; namespace?: string; name: string }

export function objectRef(kind: string, object: { metadata: { name?: string; namespace?: string } }): ObjectRef {
  const { name = '', namespace } = object.metadata
  const namespaced = !kind.startsWith('Cluster') && namespace !== undefined && namespace !== ''
  return { kind, ...(namespaced ? { namespace } : {}), name }
}

/** `RoleBinding shop/readers`, `ClusterRole view`. */
export function refText({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}

export const bindingRef = (grant: Grant): ObjectRef => objectRef(grant.bindingKind, grant.binding)
export const roleRefOf = (grant: Grant): ObjectRef => objectRef(grant.roleKind, grant.role)

/** `get,list secrets`, `* deployments.apps`, `get pods [a,b]`, `get /healthz`: one rule in one line. */
export function ruleText(rule: PolicyRule): string {
  const verbs = (rule.verbs ?? []).join(',')
  const parts: string[] = []
  if ((rule.resources ?? []).length > 0) parts.push(resourcesText(rule))
  if ((rule.nonResourceURLs ?? []).length > 0) parts.push(rule.nonResourceURLs!.join(','))
  const names = (rule.resourceNames ?? []).length > 0 ? ` [${rule.resourceNames!.join(',')}]` : ''
  return `${verbs} ${parts.join(' ')}${names}`
}

function resourcesText({ apiGroups, resources }: PolicyRule): string {
  const groups = apiGroups ?? []
  const list = resources!.join(',')
  if (groups.length === 1 && groups[0] === '') return list
  if (groups.length === 1) return resources!.map((resource) => qualified(resource, groups[0]!)).join(',')
  return `${list} in ${groups.map((group) => (group === '' ? 'core' : group)).join(',')}`
}

/** `deployments.apps`, `deployments.apps/scale`, `secrets`. */
export function qualified(resource: string, group: string): string {
  if (group === '') return resource
  const [plain = '', ...sub] = resource.split('/')
  return [`${plain}.${group}`, ...sub].join('/')
}
