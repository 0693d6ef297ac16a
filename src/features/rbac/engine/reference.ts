import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes } from '../../../kernel/authz/types.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from './types.ts'

export type World = {
  roles: RoleObject[]
  clusterRoles: RoleObject[]
  roleBindings: BindingObject[]
  clusterRoleBindings: BindingObject[]
}

/**
 * RBAC as one would read it aloud: every binding, every subject, every rule. Slow and obvious: tests hold the engine
 * against it, nothing else uses it.
 */
export function referenceAllows(world: World, attributes: Attributes): boolean {
  const namespace = attributes.resourceRequest ? attributes.namespace : ''
  return referenceRules(world, attributes.user, namespace).some((rule) => allows(rule, attributes))
}

export function referenceRules(world: World, user: UserInfo, namespace: string): PolicyRule[] {
  const rules: PolicyRule[] = []
  for (const b of world.clusterRoleBindings)
    if (b.subjects?.some((s) => isSubject(s, user, '')) && b.roleRef.kind === 'ClusterRole')
      rules.push(...(world.clusterRoles.find((r) => r.metadata.name === b.roleRef.name)?.rules ?? []))
  if (namespace === '') return rules
  for (const b of world.roleBindings) {
    if (b.metadata.namespace !== namespace || !b.subjects?.some((s) => isSubject(s, user, namespace))) continue
    const candidates =
      b.roleRef.kind === 'ClusterRole'
        ? world.clusterRoles
        : b.roleRef.kind === 'Role'
          ? world.roles.filter((r) => r.metadata.namespace === namespace)
          : []
    rules.push(...(candidates.find((r) => r.metadata.name === b.roleRef.name)?.rules ?? []))
  }
  return rules
}

function isSubject(subject: Subject, user: UserInfo, bindingNamespace: string): boolean {
  if (subject.kind === 'User') return subject.name === user.name
  if (subject.kind === 'Group') return user.groups.includes(subject.name)
  if (subject.kind !== 'ServiceAccount') return false
  const namespace = subject.namespace ? subject.namespace : bindingNamespace
  return namespace !== '' && user.name === `system:serviceaccount:${namespace}:${subject.name}`
}

function allows(rule: PolicyRule, a: Attributes): boolean {
  if (!(rule.verbs ?? []).some((v) => v === '*' || v === a.verb)) return false
  if (!a.resourceRequest)
    return (rule.nonResourceURLs ?? []).some(
      (url) => url === a.path || (url.endsWith('*') && a.path.startsWith(url.replace(/\*+$/, ''))),
    )
  const combined = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`
  return (
    (rule.apiGroups ?? []).some((g) => g === '*' || g === a.apiGroup) &&
    (rule.resources ?? []).some(
      (r) => r === '*' || r === combined || (a.subresource !== '' && r === `*/${a.subresource}`),
    ) &&
    ((rule.resourceNames ?? []).length === 0 || rule.resourceNames!.includes(a.name))
  )
}
