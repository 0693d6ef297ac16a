import {
  serviceAccountGroups,
  serviceAccountUser,
  splitServiceAccountName,
} from '../../../kernel/authn/service-account-name.ts'
import type { UserInfo } from '../../../kernel/authn/types.ts'
import type { Subject } from '../engine/types.ts'

/** Who holds something. A user whose name is that of a service account is that service account. */
export type SubjectId = {
  kind: 'User' | 'Group' | 'ServiceAccount'
  /** Of a ServiceAccount; otherwise ''. */
  namespace: string
  name: string
}

const AUTHENTICATED = 'system:authenticated'
const UNAUTHENTICATED = 'system:unauthenticated'

/** Undefined for a subject that matches nobody: of unknown kind, or a service account without a namespace. */
export function subjectId(subject: Subject, bindingNamespace: string): SubjectId | undefined {
  switch (subject.kind) {
    case 'User':
      return userId(subject.name)
    case 'Group':
      return { kind: 'Group', namespace: '', name: subject.name }
    case 'ServiceAccount': {
      const namespace = subject.namespace || bindingNamespace
      return namespace === '' ? undefined : { kind: 'ServiceAccount', namespace, name: subject.name }
    }
    default:
      return undefined
  }
}

export function userId(name: string): SubjectId {
  const account = splitServiceAccountName(name)
  return account === undefined ? { kind: 'User', namespace: '', name } : { kind: 'ServiceAccount', ...account }
}

export function subjectKey({ kind, namespace, name }: SubjectId): string {
  return `${kind}:${namespace}/${name}`
}

/** `user/ann`, `group/ops`, `serviceaccount/shop/web`: one word, as `-o name` prints it. */
export function subjectName({ kind, namespace, name }: SubjectId): string {
  return `${kind.toLowerCase()}/${namespace === '' ? '' : `${namespace}/`}${name}`
}

/** `user ann`, `group ops`, `service account shop/web`, for sentences. */
export function describe({ kind, namespace, name }: SubjectId): string {
  return kind === 'ServiceAccount' ? `service account ${namespace}/${name}` : `${kind.toLowerCase()} ${name}`
}

export function userName(subject: SubjectId): string {
  return subject.kind === 'ServiceAccount' ? serviceAccountUser(subject.namespace, subject.name) : subject.name
}

/** Groups that authentication gives by itself. */
export function impliedGroups(subject: SubjectId): string[] {
  if (subject.kind === 'Group') return []
  if (subject.kind === 'ServiceAccount') return [...serviceAccountGroups(subject.namespace), AUTHENTICATED]
  return [subject.name === 'system:anonymous' ? UNAUTHENTICATED : AUTHENTICATED]
}

/** Nobody is in both groups: who is said to be unauthenticated is not authenticated besides (as impersonation has it). */
export function userInfo(subject: SubjectId, groups: readonly string[]): UserInfo {
  const implied = impliedGroups(subject).filter((g) => g !== AUTHENTICATED || !groups.includes(UNAUTHENTICATED))
  return { name: userName(subject), groups: [...new Set([...groups, ...implied])] }
}

/**
 * A user as people write it: `ann`, `system:serviceaccount:NS:NAME`, `serviceaccount/NS/NAME`, or `serviceaccount/NAME`
 * (also `sa/`) in `namespace`. Undefined for a service account that cannot be.
 */
export function parseUser(text: string, namespace: string): SubjectId | undefined {
  const match = /^(?:serviceaccounts?|sa)\/(?:([^/]+)\/)?([^/]+)$/.exec(text)
  if (match === null) return /^(?:serviceaccounts?|sa)\//.test(text) || text === '' ? undefined : userId(text)
  const account = splitServiceAccountName(serviceAccountUser(match[1] ?? namespace, match[2]!))
  return account === undefined ? undefined : { kind: 'ServiceAccount', ...account }
}
