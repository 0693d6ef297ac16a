import type { Decision } from '../../../kernel/authz/types.ts'
import type { Role } from './role.ts'
import type { Grant, Scope } from './scope.ts'
import type { RoleRef, Subject } from './types.ts'

/** Name under which the authorizer's decisions are known. */
export const AUTHORIZER_NAME = 'RBAC'

export class Binding {
  readonly kind: 'RoleBinding' | 'ClusterRoleBinding'
  readonly namespace: string
  readonly name: string
  readonly roleRef: RoleRef
  /** Undefined when the roleRef names a kind that is no role: such a binding grants nothing. */
  readonly role: Role | undefined
  readonly subjects: readonly Subject[]
  readonly grants: { scope: Scope; grant: Grant }[] = []

  constructor(
    kind: Binding['kind'],
    namespace: string,
    name: string,
    roleRef: RoleRef,
    role: Role | undefined,
    subjects: readonly Subject[],
  ) {
    this.kind = kind
    this.namespace = namespace
    this.name = name
    this.roleRef = roleRef
    this.role = role
    this.subjects = subjects
  }
}

/** The user name of a ServiceAccount (apiserver/pkg/authentication/serviceaccount). */
export function serviceAccountUser(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

export function describeSubject(subject: Subject, bindingNamespace: string): string {
  const name =
    subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || bindingNamespace}` : subject.name
  return `${subject.kind} ${JSON.stringify(name)}`
}

function describeBinding(binding: Binding, subject: Subject): string {
  const name = binding.kind === 'RoleBinding' ? `${binding.name}/${binding.namespace}` : binding.name
  const to = describeSubject(subject, binding.namespace)
  return `${binding.kind} ${JSON.stringify(name)} of ${binding.roleRef.kind} ${JSON.stringify(binding.roleRef.name)} to ${to}`
}

/** Made once for each rule that ever decided, not once a request. */
export function allowedBy(binding: Binding, subject: Subject, ruleIndex: number): Decision {
  const rule = binding.role?.rules?.[ruleIndex]
  return {
    verdict: 'allow',
    by: {
      authorizer: AUTHORIZER_NAME,
      reason: `RBAC: allowed by ${describeBinding(binding, subject)}`,
      binding: { kind: binding.kind, namespace: binding.namespace, name: binding.name },
      role: { kind: binding.roleRef.kind, namespace: binding.role?.namespace ?? '', name: binding.roleRef.name },
      subject,
      ruleIndex,
      rule,
    },
  }
}
