import type { Decision } from '../../../kernel/authz/types.ts'
import type { HeapItem } from './heap.ts'
import type { Role } from './role.ts'
import type { PolicyRule, RoleRef, Subject } from './types.ts'

/** Name under which the authorizer's decisions are known. */
export const AUTHORIZER_NAME = 'RBAC'

/** One subject of one binding, as one of all that bring a role to that subject. */
export type Grant = HeapItem & {
  /** The binding's, once more: order is by name, and asked for often. */
  name: string
  binding: Binding
  subject: Subject
  /** Index among the binding's subjects. */
  order: number
  /** Numbers of user or group, and of the namespace (0: cluster-wide). */
  subjectId: number
  namespaceId: number
}

export class Binding {
  readonly kind: 'RoleBinding' | 'ClusterRoleBinding'
  readonly namespace: string
  readonly name: string
  readonly roleRef: RoleRef
  readonly role: Role
  readonly subjects: readonly Subject[]
  readonly grants: Grant[] = []

  constructor(
    kind: Binding['kind'],
    namespace: string,
    name: string,
    roleRef: RoleRef,
    role: Role,
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

/**
 * By what rule a decision was made. Texts are written when somebody reads them: a decision that only looks at its
 * verdict does not pay for them. The rules are those of the moment of the decision.
 */
class DecidedBy {
  [detail: string]: unknown
  readonly authorizer: string = AUTHORIZER_NAME
  readonly ruleIndex: number
  readonly #grant: Grant
  readonly #rules: readonly PolicyRule[]

  constructor(grant: Grant, rules: readonly PolicyRule[], ruleIndex: number) {
    this.#grant = grant
    this.#rules = rules
    this.ruleIndex = ruleIndex
  }

  get reason(): string {
    return `RBAC: allowed by ${describeBinding(this.#grant.binding, this.#grant.subject)}`
  }

  get binding(): { kind: string; namespace: string; name: string } {
    const { kind, namespace, name } = this.#grant.binding
    return { kind, namespace, name }
  }

  get role(): { kind: string; namespace: string; name: string } {
    const { kind, namespace, name } = this.#grant.binding.role
    return { kind, namespace, name }
  }

  get subject(): Subject {
    return this.#grant.subject
  }

  get rule(): PolicyRule {
    return this.#rules[this.ruleIndex]!
  }

  toJSON(): object {
    const { authorizer, reason, binding, role, subject, ruleIndex, rule } = this
    return { authorizer, reason, binding, role, subject, ruleIndex, rule }
  }
}

export function allowedBy(grant: Grant, rules: readonly PolicyRule[], ruleIndex: number): Decision {
  return { verdict: 'allow', by: new DecidedBy(grant, rules, ruleIndex) }
}
