import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes } from '../../../kernel/authz/types.ts'
import type { BindingObject, PolicyRule, RoleObject, RoleRef, Subject } from './types.ts'

export type World = {
  roles: RoleObject[]
  clusterRoles: RoleObject[]
  roleBindings: BindingObject[]
  clusterRoleBindings: BindingObject[]
}

export type ReferenceAnswer =
  | {
      allowed: true
      reason: string
      kind: string
      namespace: string
      name: string
      ruleIndex: number
      rule: PolicyRule
    }
  | { allowed: false; errors: string[] }

export type Reference = {
  decide: (attributes: Attributes) => ReferenceAnswer
  rules: (user: UserInfo, namespace: string) => { rules: PolicyRule[]; errors: string[] }
}

/**
 * RBAC as Kubernetes evaluates it (plugin/pkg/auth/authorizer/rbac with DefaultRuleResolver): visit every
 * ClusterRoleBinding, then every RoleBinding of the request's namespace; for those that apply to the user visit every
 * rule of the role; the first that allows, decides. Slow and obvious: tests and bench/rbac.ts hold the engine against
 * it, nothing else uses it. Kubernetes visits bindings in the random order of a Go map; here it is the order of names.
 */
export function createReference(world: World): Reference {
  const clusterRoles = new Map(world.clusterRoles.map((r) => [r.metadata.name, r.rules ?? []]))
  const roles = new Map(world.roles.map((r) => [`${r.metadata.namespace}/${r.metadata.name}`, r.rules ?? []]))
  const clusterRoleBindings = [...world.clusterRoleBindings].sort(byName)
  const roleBindings = new Map<string, BindingObject[]>()
  for (const b of [...world.roleBindings].sort(byName)) {
    const namespace = b.metadata.namespace ?? ''
    const list = roleBindings.get(namespace)
    if (list === undefined) roleBindings.set(namespace, [b])
    else list.push(b)
  }

  function rulesOf(ref: RoleRef, namespace: string): readonly PolicyRule[] | string {
    if (ref.kind === 'ClusterRole')
      return clusterRoles.get(ref.name) ?? `clusterrole.rbac.authorization.k8s.io ${JSON.stringify(ref.name)} not found`
    if (ref.kind === 'Role')
      return (
        roles.get(`${namespace}/${ref.name}`) ?? `role.rbac.authorization.k8s.io ${JSON.stringify(ref.name)} not found`
      )
    return `unsupported role reference kind: ${JSON.stringify(ref.kind)}`
  }

  type Visitor = (binding: BindingObject, ns: string, subject: Subject, rule: PolicyRule, index: number) => boolean

  /** Calls `visit` until it answers true. */
  function visitRules(user: UserInfo, namespace: string, visit: Visitor, fail: (error: string) => void): void {
    const visitBindings = (bindings: readonly BindingObject[], ns: string): boolean => {
      for (const binding of bindings) {
        const subject = binding.subjects?.find((s) => appliesTo(s, user, ns))
        if (subject === undefined) continue
        const rules = rulesOf(binding.roleRef, ns)
        if (typeof rules === 'string') fail(rules)
        else for (let i = 0; i < rules.length; i++) if (visit(binding, ns, subject, rules[i]!, i)) return true
      }
      return false
    }
    if (visitBindings(clusterRoleBindings, '') || namespace === '') return
    visitBindings(roleBindings.get(namespace) ?? [], namespace)
  }

  return {
    decide: (attributes) => {
      const namespace = attributes.resourceRequest ? attributes.namespace : ''
      const errors = new Set<string>()
      let found: ReferenceAnswer | undefined
      const visit: Visitor = (binding, ns, subject, rule, ruleIndex) => {
        if (!allows(rule, attributes)) return false
        found = {
          allowed: true,
          reason: `RBAC: allowed by ${describe(binding, ns, subject)}`,
          kind: ns === '' ? 'ClusterRoleBinding' : 'RoleBinding',
          namespace: ns,
          name: binding.metadata.name ?? '',
          ruleIndex,
          rule,
        }
        return true
      }
      visitRules(attributes.user, namespace, visit, (error) => errors.add(error))
      return found ?? { allowed: false, errors: [...errors].sort() }
    },
    rules: (user, namespace) => {
      const rules: PolicyRule[] = []
      const errors = new Set<string>()
      const visit: Visitor = (_binding, _ns, _subject, rule) => {
        rules.push(rule)
        return false
      }
      visitRules(user, namespace, visit, (error) => errors.add(error))
      return { rules, errors: [...errors].sort() }
    },
  }
}

const byName = (a: BindingObject, b: BindingObject): number =>
  a.metadata.name! < b.metadata.name! ? -1 : a.metadata.name! > b.metadata.name! ? 1 : 0

function describe(binding: BindingObject, ns: string, subject: Subject): string {
  const { name } = binding.metadata
  const own = ns === '' ? `ClusterRoleBinding "${name}"` : `RoleBinding "${name}/${ns}"`
  const who = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || ns}` : subject.name
  return `${own} of ${binding.roleRef.kind} "${binding.roleRef.name}" to ${subject.kind} "${who}"`
}

function appliesTo(subject: Subject, user: UserInfo, bindingNamespace: string): boolean {
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
