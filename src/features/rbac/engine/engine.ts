import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Attributes, Decision, NonResourceRule, ResourceRule } from '../../../kernel/authz/types.ts'
import { Binding, type Grant, serviceAccountUser } from './binding.ts'
import type { Role } from './role.ts'
import { RoleTable } from './role-table.ts'
import { grantBefore, Scopes, SMALL_SCOPE } from './scopes.ts'
import { type Asking, Subjects } from './subjects.ts'
import type { BindingObject, PolicyRule, RoleObject, RoleRef, Subject } from './types.ts'
import { Vocabulary } from './vocabulary.ts'

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
  ) => { resourceRules: ResourceRule[]; nonResourceRules: NonResourceRule[]; error?: string }
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
 *
 * Of several rules that allow, the one decides that Kubernetes meets first when it visits bindings by name:
 * ClusterRoleBindings, then RoleBindings, then the rules of the role. So a decision depends on what is stored alone, and
 * not on the order in which it was written. `smallScope` is for tests: how many roles a subject may hold in one place
 * before they get an index of their own.
 */
export function createRbacEngine(options: { smallScope?: number } = {}): RbacEngine {
  const words = new Vocabulary()
  const table = new RoleTable(words)
  const scopes = new Scopes(table, words, options.smallScope ?? SMALL_SCOPE)
  const subjects = new Subjects()
  const roles = new Map<string, Role>()
  const bindings = new Map<string, Binding>()
  /** Grants of roles that do not exist. While there are none, nobody looks for them. */
  let dangling = 0

  function roleEntry(kind: string, namespace: string, name: string): Role {
    const key = `${kind}/${namespace}/${name}`
    let role = roles.get(key)
    if (role === undefined) roles.set(key, (role = table.create(kind, namespace, name)))
    return role
  }

  function setRules(role: Role, rules: readonly PolicyRule[] | undefined): void {
    const was = role.rules
    table.setRules(role, rules)
    if ((was === undefined) !== (rules === undefined))
      for (const binding of role.bindings) countDangling(binding, rules === undefined ? 1 : -1)
    for (const binding of role.bindings)
      for (const { subjectId, namespaceId } of binding.grants)
        scopes.roleChanged(subjects.scope(subjectId, namespaceId), role)
    if (role.followers !== undefined) for (const follower of role.followers) follower.roleChanged(role)
    forgetIfUnused(role)
  }

  function countDangling(binding: Binding, change: number): void {
    dangling += change * binding.grants.length
    for (const grant of binding.grants) subjects.addDangling(grant.subjectId, change)
  }

  function forgetIfUnused(role: Role): void {
    if (role.rules !== undefined || role.bindings.size > 0) return
    roles.delete(`${role.kind}/${role.namespace}/${role.name}`)
    table.forget(role)
  }

  function addBinding(kind: Binding['kind'], object: BindingObject): void {
    const namespace = kind === 'RoleBinding' ? (object.metadata.namespace ?? '') : ''
    const name = object.metadata.name ?? ''
    removeBinding(kind, namespace, name)
    const { roleRef } = object
    const role = roleEntry(roleRef.kind, roleRef.kind === 'ClusterRole' ? '' : namespace, roleRef.name)
    const binding = new Binding(kind, namespace, name, roleRef, role, object.subjects ?? [])
    bindings.set(`${kind}/${namespace}/${name}`, binding)
    role.bindings.add(binding)
    for (const [order, subject] of binding.subjects.entries()) {
      const subjectId = acquireSubject(subject, namespace)
      if (subjectId === 0) continue
      const namespaceId = subjects.acquireNamespace(namespace)
      const grant: Grant = { at: 0, name, binding, subject, order, subjectId, namespaceId }
      subjects.setScope(subjectId, namespaceId, scopes.add(subjects.scope(subjectId, namespaceId), grant))
      binding.grants.push(grant)
    }
    if (role.rules === undefined) countDangling(binding, 1)
  }

  function removeBinding(kind: Binding['kind'], namespace: string, name: string): void {
    const key = `${kind}/${namespace}/${name}`
    const binding = bindings.get(key)
    if (binding === undefined) return
    bindings.delete(key)
    const { role } = binding
    role.bindings.delete(binding)
    if (role.rules === undefined) countDangling(binding, -1)
    for (const grant of binding.grants) {
      const { subjectId, namespaceId } = grant
      subjects.setScope(subjectId, namespaceId, scopes.remove(subjects.scope(subjectId, namespaceId), grant))
      subjects.release(subjectId)
      subjects.releaseNamespace(namespaceId)
    }
    forgetIfUnused(role)
  }

  /** 0 for a subject that can match nobody. */
  function acquireSubject(subject: Subject, bindingNamespace: string): number {
    switch (subject.kind) {
      case 'User':
        return subjects.acquireUser(subject.name)
      case 'Group':
        return subjects.acquireGroup(subject.name)
      case 'ServiceAccount': {
        const namespace = subject.namespace || bindingNamespace
        return namespace === '' ? 0 : subjects.acquireUser(serviceAccountUser(namespace, subject.name))
      }
      default:
        return 0
    }
  }

  function decide(attributes: Attributes): Decision {
    const namespace = attributes.resourceRequest ? attributes.namespace : ''
    const asking = subjects.ask(attributes.user, namespace)
    const use = attributes.resourceRequest
      ? findResource(asking, attributes)
      : scopes.findPath(asking.clusterWide, asking.clusterWideCount, attributes.verb, attributes.path)
    if (use !== 0) return scopes.decision(use, scopes.foundRule)
    if (dangling === 0 || !subjects.askedIsDangling()) return NEXT
    const { errors } = heldRules(attributes.user, namespace)
    return errors.length === 0 ? NEXT : { verdict: 'next', reason: `RBAC: ${joinErrors(errors)}` }
  }

  function findResource(asking: Asking, attributes: Attributes & { resourceRequest: true }): number {
    const { clusterWide, clusterWideCount, namespaced, namespacedCount } = asking
    if (clusterWideCount === 0 && namespacedCount === 0) return 0
    const { verb, apiGroup, resource, subresource, name } = attributes
    const query = words.ask(verb, apiGroup, resource, subresource, name)
    const everywhere =
      clusterWideCount === 0 ? 0 : scopes.findResource(clusterWide, clusterWideCount, query, attributes)
    if (everywhere !== 0 || namespacedCount === 0) return everywhere
    return scopes.findResource(namespaced, namespacedCount, query, attributes)
  }

  function bindingsOf(user: UserInfo, namespace: string): Grant[] {
    const found = new Map<Binding, Grant>()
    const asking = subjects.ask(user, namespace)
    const asked = [
      ...asking.clusterWide.slice(0, asking.clusterWideCount),
      ...asking.namespaced.slice(0, asking.namespacedCount),
    ]
    for (const scope of asked)
      for (const grant of scopes.grants(scope)) {
        const known = found.get(grant.binding)
        if (known === undefined || grantBefore(grant, known)) found.set(grant.binding, grant)
      }
    return [...found.values()].sort((a, b) => order(a.binding, b.binding))
  }

  function heldRules(user: UserInfo, namespace: string): HeldRules {
    const rules: PolicyRule[] = []
    const errors = new Set<string>()
    for (const { binding } of bindingsOf(user, namespace)) {
      const held = binding.role.rules
      if (held === undefined) errors.add(roleNotFound(binding.roleRef))
      // Not by spreading: a role may have more rules than a call may have arguments.
      else for (const rule of held) rules.push(rule)
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
        ...(errors.length === 0 ? {} : { error: joinErrors(errors) }),
      }
    },
    roleRules: (roleRef, namespace) => {
      if (roleRef.kind === 'ClusterRole') return roles.get(`ClusterRole//${roleRef.name}`)?.rules
      return roleRef.kind === 'Role' ? roles.get(`Role/${namespace}/${roleRef.name}`)?.rules : undefined
    },
    bindingsOf,
    size: () => ({ roles: roles.size, bindings: bindings.size, subjects: subjects.size }),
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
export function joinErrors(errors: readonly string[]): string {
  return errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]`
}
