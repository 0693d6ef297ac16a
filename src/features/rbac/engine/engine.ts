import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes, Decision, NonResourceRule, ResourceRule } from '../../../kernel/authz/types.ts'
import { Binding, serviceAccountUser } from './binding.ts'
import { Role } from './role.ts'
import { resourceQuery } from './rules.ts'
import { type Grant, Scope } from './scope.ts'
import type { BindingObject, PolicyRule, RoleObject, RoleRef, Subject } from './types.ts'

/** What a subject holds: everywhere, and by namespace. */
type Holdings = { cluster: Scope | undefined; namespaces: Map<string, Scope> | undefined }

export type HeldRules = {
  rules: PolicyRule[]
  /** One message for each binding whose role does not exist, sorted. */
  errors: string[]
}

export type RbacEngine = {
  upsertRole: (role: RoleObject) => void
  deleteRole: (namespace: string, name: string) => void
  upsertClusterRole: (role: RoleObject) => void
  deleteClusterRole: (name: string) => void
  upsertRoleBinding: (binding: BindingObject) => void
  deleteRoleBinding: (namespace: string, name: string) => void
  upsertClusterRoleBinding: (binding: BindingObject) => void
  deleteClusterRoleBinding: (name: string) => void
  decide: (attributes: Attributes) => Decision
  /** All rules that apply to the user in the namespace; '' asks for those that apply cluster-wide. */
  heldRules: (user: UserInfo, namespace: string) => HeldRules
  /** The same, in the form of SelfSubjectRulesReview. */
  rulesFor: (
    user: UserInfo,
    namespace: string,
  ) => { resourceRules: ResourceRule[]; nonResourceRules: NonResourceRule[]; incomplete?: string }
  /** Rules of the role that a binding in `namespace` refers to; undefined when it does not exist. */
  roleRules: (roleRef: RoleRef, namespace: string) => readonly PolicyRule[] | undefined
  /** Bindings that apply to the user in the namespace (cluster-wide ones included), in a stable order. */
  bindingsOf: (user: UserInfo, namespace: string) => { binding: Binding; subject: Subject }[]
  /** Numbers for metrics and tests. */
  size: () => { roles: number; bindings: number; subjects: number }
}

const NEXT: Decision = { verdict: 'next' }

/**
 * The RBAC authorizer of Kubernetes (plugin/pkg/auth/authorizer/rbac) as an index: subject → scope → roles. A decision
 * looks only at what the request's user and groups hold cluster-wide and in the request's namespace, so that its cost
 * does not depend on how many other bindings there are. Changes are incremental and effective at return.
 */
export function createRbacEngine(): RbacEngine {
  const roles = new Map<string, Role>()
  const bindings = new Map<string, Binding>()
  const users = new Map<string, Holdings>()
  const groups = new Map<string, Holdings>()
  /** Bindings whose role is missing. While there are none, nobody looks for them. */
  let dangling = 0

  function roleEntry(kind: Role['kind'], namespace: string, name: string): Role {
    const key = `${kind}/${namespace}/${name}`
    let role = roles.get(key)
    if (role === undefined) roles.set(key, (role = new Role(kind, namespace, name)))
    return role
  }

  function setRules(role: Role, rules: readonly PolicyRule[] | undefined): void {
    const was = role.rules
    role.setRules(rules)
    if ((was === undefined) !== (rules === undefined))
      dangling += rules === undefined ? role.bindings.size : -role.bindings.size
    for (const binding of role.bindings) for (const { scope } of binding.grants) scope.roleChanged(role)
    forgetIfUnused(role)
  }

  function forgetIfUnused(role: Role): void {
    if (role.rules === undefined && role.bindings.size === 0)
      roles.delete(`${role.kind}/${role.namespace}/${role.name}`)
  }

  function referredRole(roleRef: RoleRef, bindingNamespace: string): Role | undefined {
    if (roleRef.kind === 'ClusterRole') return roleEntry('ClusterRole', '', roleRef.name)
    if (roleRef.kind === 'Role') return roleEntry('Role', bindingNamespace, roleRef.name)
    return undefined
  }

  function addBinding(kind: Binding['kind'], object: BindingObject): void {
    const namespace = kind === 'RoleBinding' ? (object.metadata.namespace ?? '') : ''
    const name = object.metadata.name ?? ''
    removeBinding(kind, namespace, name)
    const role = referredRole(object.roleRef, namespace)
    const binding = new Binding(kind, namespace, name, object.roleRef, role, object.subjects ?? [])
    bindings.set(`${kind}/${namespace}/${name}`, binding)
    if (role === undefined) return
    role.bindings.add(binding)
    if (role.rules === undefined) dangling++
    for (const subject of binding.subjects) {
      const scope = scopeFor(subject, namespace)
      if (scope === undefined) continue
      const grant: Grant = { binding, subject }
      scope.add(role, grant)
      binding.grants.push({ scope, grant })
    }
  }

  function removeBinding(kind: Binding['kind'], namespace: string, name: string): void {
    const key = `${kind}/${namespace}/${name}`
    const binding = bindings.get(key)
    if (binding === undefined) return
    bindings.delete(key)
    const role = binding.role
    if (role === undefined) return
    role.bindings.delete(binding)
    if (role.rules === undefined) dangling--
    for (const { scope, grant } of binding.grants) {
      scope.remove(role, grant)
      if (scope.size === 0) forgetScope(grant.subject, namespace)
    }
    forgetIfUnused(role)
  }

  /** Where a subject's holdings lie; undefined for a subject that can match nobody. */
  function holderOf(
    subject: Subject,
    bindingNamespace: string,
  ): { side: Map<string, Holdings>; key: string } | undefined {
    switch (subject.kind) {
      case 'User':
        return { side: users, key: subject.name }
      case 'Group':
        return { side: groups, key: subject.name }
      case 'ServiceAccount': {
        const namespace = subject.namespace || bindingNamespace
        return namespace === '' ? undefined : { side: users, key: serviceAccountUser(namespace, subject.name) }
      }
      default:
        return undefined
    }
  }

  function scopeFor(subject: Subject, namespace: string): Scope | undefined {
    const holder = holderOf(subject, namespace)
    if (holder === undefined) return undefined
    let held = holder.side.get(holder.key)
    if (held === undefined) holder.side.set(holder.key, (held = { cluster: undefined, namespaces: undefined }))
    if (namespace === '') return (held.cluster ??= new Scope())
    held.namespaces ??= new Map()
    let scope = held.namespaces.get(namespace)
    if (scope === undefined) held.namespaces.set(namespace, (scope = new Scope()))
    return scope
  }

  function forgetScope(subject: Subject, namespace: string): void {
    const holder = holderOf(subject, namespace)
    const held = holder?.side.get(holder.key)
    if (holder === undefined || held === undefined) return
    if (namespace === '') held.cluster = undefined
    else held.namespaces?.delete(namespace)
    if (held.namespaces?.size === 0) held.namespaces = undefined
    if (held.cluster === undefined && held.namespaces === undefined) holder.side.delete(holder.key)
  }

  function decide(attributes: Attributes): Decision {
    const { user } = attributes
    const found = attributes.resourceRequest ? decideResource(attributes) : decidePath(attributes)
    if (found !== undefined) return found
    if (dangling === 0) return NEXT
    const { errors } = heldRules(user, attributes.resourceRequest ? attributes.namespace : '')
    return errors.length === 0 ? NEXT : { verdict: 'next', reason: `RBAC: ${joinErrors(errors)}` }
  }

  function decideResource(attributes: Attributes & { resourceRequest: true }): Decision | undefined {
    const { user, namespace } = attributes
    const query = resourceQuery(
      attributes.verb,
      attributes.apiGroup,
      attributes.resource,
      attributes.subresource,
      attributes.name,
    )
    const byUser = inHoldings(users.get(user.name))
    if (byUser !== undefined) return byUser
    for (let i = 0; i < user.groups.length; i++) {
      const byGroup = inHoldings(groups.get(user.groups[i]!))
      if (byGroup !== undefined) return byGroup
    }
    return undefined

    function inHoldings(held: Holdings | undefined): Decision | undefined {
      if (held === undefined) return undefined
      const everywhere = held.cluster?.findResource(query)
      if (everywhere !== undefined || namespace === '') return everywhere
      return held.namespaces?.get(namespace)?.findResource(query)
    }
  }

  function decidePath(attributes: Attributes & { resourceRequest: false }): Decision | undefined {
    const { user, verb, path } = attributes
    const byUser = users.get(user.name)?.cluster?.findPath(verb, path)
    if (byUser !== undefined) return byUser
    for (let i = 0; i < user.groups.length; i++) {
      const byGroup = groups.get(user.groups[i]!)?.cluster?.findPath(verb, path)
      if (byGroup !== undefined) return byGroup
    }
    return undefined
  }

  function bindingsOf(user: UserInfo, namespace: string): Grant[] {
    const found = new Map<Binding, Grant>()
    const collect = (held: Holdings | undefined): void => {
      for (const scope of [held?.cluster, namespace === '' ? undefined : held?.namespaces?.get(namespace)])
        if (scope !== undefined)
          for (const grant of scope.grants()) if (!found.has(grant.binding)) found.set(grant.binding, grant)
    }
    collect(users.get(user.name))
    for (const group of user.groups) collect(groups.get(group))
    return [...found.values()].sort((a, b) => order(a.binding, b.binding))
  }

  function heldRules(user: UserInfo, namespace: string): HeldRules {
    const rules: PolicyRule[] = []
    const errors = new Set<string>()
    for (const { binding } of bindingsOf(user, namespace)) {
      const held = binding.role?.rules
      if (held !== undefined) rules.push(...held)
      else errors.add(roleNotFound(binding.roleRef))
    }
    return { rules, errors: [...errors].sort() }
  }

  return {
    upsertRole: (object) =>
      setRules(roleEntry('Role', object.metadata.namespace ?? '', object.metadata.name ?? ''), object.rules ?? []),
    deleteRole: (namespace, name) => setRules(roleEntry('Role', namespace, name), undefined),
    upsertClusterRole: (object) =>
      setRules(roleEntry('ClusterRole', '', object.metadata.name ?? ''), object.rules ?? []),
    deleteClusterRole: (name) => setRules(roleEntry('ClusterRole', '', name), undefined),
    upsertRoleBinding: (object) => addBinding('RoleBinding', object),
    deleteRoleBinding: (namespace, name) => removeBinding('RoleBinding', namespace, name),
    upsertClusterRoleBinding: (object) => addBinding('ClusterRoleBinding', object),
    deleteClusterRoleBinding: (name) => removeBinding('ClusterRoleBinding', '', name),
    decide,
    heldRules,
    rulesFor: (user, namespace) => {
      const { rules, errors } = heldRules(user, namespace)
      const resourceRules = rules.filter((r) => (r.resources?.length ?? 0) > 0).map(reviewResourceRule)
      const nonResourceRules = rules
        .filter((r) => (r.nonResourceURLs?.length ?? 0) > 0)
        .map((r) => ({ verbs: [...(r.verbs ?? [])], nonResourceURLs: [...(r.nonResourceURLs ?? [])] }))
      return {
        resourceRules,
        nonResourceRules,
        ...(errors.length === 0 ? {} : { incomplete: joinErrors(errors) }),
      }
    },
    roleRules: (roleRef, namespace) => {
      if (roleRef.kind === 'ClusterRole') return roles.get(`ClusterRole//${roleRef.name}`)?.rules
      return roleRef.kind === 'Role' ? roles.get(`Role/${namespace}/${roleRef.name}`)?.rules : undefined
    },
    bindingsOf,
    size: () => ({ roles: roles.size, bindings: bindings.size, subjects: users.size + groups.size }),
  }
}

/** Cluster-wide bindings first, as Kubernetes visits them; by name within. */
function order(a: Binding, b: Binding): number {
  if (a.kind !== b.kind) return a.kind === 'ClusterRoleBinding' ? -1 : 1
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

function reviewResourceRule(rule: PolicyRule): ResourceRule {
  return {
    verbs: [...(rule.verbs ?? [])],
    apiGroups: [...(rule.apiGroups ?? [])],
    resources: [...(rule.resources ?? [])],
    ...((rule.resourceNames?.length ?? 0) > 0 ? { resourceNames: [...rule.resourceNames!] } : {}),
  }
}

/** The sentence of Kubernetes' listers, which name the kind in the singular. */
export function roleNotFound(roleRef: RoleRef): string {
  if (roleRef.kind !== 'Role' && roleRef.kind !== 'ClusterRole')
    return `unsupported role reference kind: ${JSON.stringify(roleRef.kind)}`
  return `${roleRef.kind.toLowerCase()}.rbac.authorization.k8s.io ${JSON.stringify(roleRef.name)} not found`
}

/** util/errors.Aggregate: one message bare, several in brackets. */
function joinErrors(errors: readonly string[]): string {
  return errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`
}
