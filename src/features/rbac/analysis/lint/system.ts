import { bootstrapPolicy } from '../../bootstrap/policy.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../../engine/types.ts'
import { subjectId, subjectKey } from '../subject.ts'
import type { BindingKind, RoleKind } from '../world-index.ts'

/** Bindings that kubeadm and Rampart make and that look dangerous by themselves: binding → subject. */
const INSTALLED: Readonly<Record<string, string>> = {
  'ClusterRoleBinding /kubeadm:cluster-admins': 'Group:/kubeadm:cluster-admins',
  'RoleBinding kube-public/kubeadm:bootstrap-signer-clusterinfo': 'User:/system:anonymous',
  // The API server's way to logs and streams of pods.
  'ClusterRoleBinding /rampart:kubelet-api': 'User:/kube-apiserver-kubelet-client',
}

/** Rules of Rampart's own roles that lint would have something to say about. */
const INSTALLED_RULES: Readonly<Record<string, PolicyRule>> = {
  // An informer lists and watches with a field selector.
  'Role kube-public/rampart-trust-reader': {
    verbs: ['get', 'list', 'watch'],
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: ['rampart-trust'],
  },
}

/** What Kubernetes itself brings. An object of the same name is excused only as far as it is the same. */
export type SystemPolicy = {
  isRole: (kind: RoleKind, role: RoleObject) => boolean
  /** A rule that the default role of that name has, or an aggregated one gathers. */
  isRule: (kind: RoleKind, role: RoleObject, rule: PolicyRule) => boolean
  isSubject: (kind: BindingKind, binding: BindingObject, subject: Subject) => boolean
}

export const NO_SYSTEM: SystemPolicy = { isRole: () => false, isRule: () => false, isSubject: () => false }

export function systemPolicy(): SystemPolicy {
  const policy = bootstrapPolicy()
  const roles = new Map<string, Set<string> | undefined>()
  for (const role of [...policy.clusterRoles, ...policy.roles]) {
    const rules: PolicyRule[] = role['rules'] ?? []
    // What an aggregated role gathers is looked at where it comes from.
    roles.set(keyOf(role.kind, role), role['aggregationRule'] ? undefined : new Set(rules.map(ruleKey)))
  }
  const subjects = new Map<string, Set<string>>()
  for (const binding of [...policy.clusterRoleBindings, ...policy.roleBindings]) {
    const given: Subject[] = binding['subjects'] ?? []
    subjects.set(keyOf(binding.kind, binding), new Set(given.map((s) => idOf(s, binding.metadata.namespace))))
  }
  return {
    isRole: (kind, role) => roles.has(keyOf(kind, role)),
    isRule: (kind, role, rule) => {
      const key = keyOf(kind, role)
      const installed = INSTALLED_RULES[key]
      if (installed !== undefined && ruleKey(installed) === ruleKey(rule)) return true
      return roles.has(key) && (roles.get(key)?.has(ruleKey(rule)) ?? true)
    },
    isSubject: (kind, binding, subject) => {
      const key = keyOf(kind, binding)
      const id = idOf(subject, binding.metadata.namespace)
      return subjects.get(key)?.has(id) === true || INSTALLED[key] === id
    },
  }
}

function keyOf(kind: string, { metadata }: { metadata: { name?: string; namespace?: string } }): string {
  return `${kind} ${kind.startsWith('Cluster') ? '' : (metadata.namespace ?? '')}/${metadata.name ?? ''}`
}

function idOf(subject: Subject, namespace: string | undefined): string {
  const id = subjectId(subject, namespace ?? '')
  return id === undefined ? '' : subjectKey(id)
}

/** Equal for rules that grant the same, whatever the order of their lists. */
export function ruleKey(rule: PolicyRule): string {
  const lists = [rule.verbs, rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs]
  return JSON.stringify(lists.map((list) => [...(list ?? [])].sort()))
}
