import {
  serviceAccountGroups,
  serviceAccountUser,
  splitServiceAccountName,
} from '../../../kernel/authn/service-account-name.ts'
import type { Subject } from '../engine/types.ts'

/** Somebody who holds rights: a subject without the ways in which one and the same can be written. */
export type Holder =
  | { kind: 'User' | 'Group'; name: string }
  | { kind: 'ServiceAccount'; namespace: string; name: string }

const AUTHENTICATED: Holder = { kind: 'Group', name: 'system:authenticated' }
const UNAUTHENTICATED: Holder = { kind: 'Group', name: 'system:unauthenticated' }

/** Undefined for a subject that can match nobody. */
export function holderOf(subject: Subject, bindingNamespace: string): Holder | undefined {
  if (subject.kind === 'Group') return { kind: 'Group', name: subject.name }
  if (subject.kind === 'User') return userHolder(subject.name)
  if (subject.kind !== 'ServiceAccount') return undefined
  const namespace = subject.namespace || bindingNamespace
  // As the authorizer compares it: by the user name alone.
  return namespace === '' ? undefined : userHolder(serviceAccountUser(namespace, subject.name))
}

/** A user name may be that of a service account. */
export function userHolder(user: string): Holder {
  const account = splitServiceAccountName(user)
  return account === undefined ? { kind: 'User', name: user } : { kind: 'ServiceAccount', ...account }
}

/** `User alice`, `ServiceAccount shop/builder`; stable, and different for different holders. */
export function holderText(holder: Holder): string {
  return holder.kind === 'ServiceAccount'
    ? `ServiceAccount ${holder.namespace}/${holder.name}`
    : `${holder.kind} ${holder.name}`
}

/** The groups that the API server itself puts a holder into; who is in which other group no object says. */
export function groupsOf(holder: Holder): Holder[] {
  if (holder.kind === 'ServiceAccount')
    return [...serviceAccountGroups(holder.namespace).map((name): Holder => ({ kind: 'Group', name })), AUTHENTICATED]
  if (holder.kind === 'User') return [holder.name === 'system:anonymous' ? UNAUTHENTICATED : AUTHENTICATED]
  if (holder.name === AUTHENTICATED.name || holder.name === UNAUTHENTICATED.name) return []
  return holder.name.startsWith('system:serviceaccounts:')
    ? [{ kind: 'Group', name: 'system:serviceaccounts' }, AUTHENTICATED]
    : [AUTHENTICATED]
}
