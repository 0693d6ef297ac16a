import type { Subject } from '../../engine/types.ts'
import { isFull } from '../escalation/powers.ts'
import { describe, subjectId } from '../subject.ts'
import { type LintContext, type LintedBinding, place } from './context.ts'
import { DANGEROUS, WILDCARDS } from './dangerous-rules.ts'
import type { Finding, Severity } from './finding.ts'
import { inNamespaces } from './role-findings.ts'
import { type Accounts, wrongSubject } from './wrong-subject.ts'

/** What is dangerous, void or probably not meant about bindings and their subjects. */
export function* bindingFindings(context: LintContext): Generator<Finding> {
  const accounts = accountsOf(context)
  for (const linted of context.bindings) {
    if (linted.subjects.length === 0) continue
    yield* missingRole(context, linted)
    yield* strongDefaultRole(context, linted)
    for (const subject of linted.subjects) {
      yield* misspelt(context, linted, subject, accounts)
      yield* broadSubject(context, linted, subject)
      yield* accountFindings(context, linted, subject, accounts)
    }
  }
}

function accountsOf({ world }: LintContext): Accounts {
  const names = new Set(world.serviceAccounts.map(({ metadata: m }) => `${m.namespace ?? ''}/${m.name ?? ''}`))
  const complete = new Set([...names].filter((n) => n.endsWith('/default')).map((n) => n.slice(0, -'/default'.length)))
  return { names, complete }
}

function* missingRole(context: LintContext, { kind, binding, found, namespace }: LintedBinding): Generator<Finding> {
  if (found !== undefined) return
  const { kind: roleKind, name } = binding.roleRef
  const where = roleKind === 'Role' && namespace !== '' ? ` in namespace ${namespace}` : ''
  yield {
    rule: 'missing-role',
    severity: 'medium',
    ...place(context, kind, binding),
    what: `refers to ${roleKind} ${name}${where}, which does not exist: it grants nothing`,
    attack: 'who may create a role of that name decides what all subjects of the binding may do',
    fix: 'delete the binding, or create the role',
  }
}

/** Kubernetes' own roles are fine; whom they are bound to, and where, need not be. */
function* strongDefaultRole(context: LintContext, linted: LintedBinding): Generator<Finding> {
  const { kind, binding, found, namespace, subjects } = linted
  if (found === undefined || !context.system.isRole(found.kind, found.role)) return
  const rules = found.role.rules ?? []
  const to = subjects.map((subject) => `${subject.kind} ${subject.name}`).join(', ')
  const role = `${found.kind} ${found.role.metadata.name}`
  if (rules.some(isFull)) {
    const where = namespace === '' ? 'everywhere' : `in namespace ${namespace}`
    yield {
      rule: 'cluster-admin-grant',
      severity: namespace === '' || namespace === 'kube-system' ? 'critical' : 'medium',
      ...place(context, kind, binding),
      what: `makes ${to} administrator ${where}`,
      attack: 'who takes over one of them has everything',
      fix: `bind a role with what is needed (view, edit, or what \`rampart rbac generate\` finds) instead of ${role}`,
    }
    return
  }
  if (namespace !== '' && namespace !== 'kube-system') return
  const dangers = [...WILDCARDS, ...DANGEROUS].filter(
    (danger) =>
      (namespace === '' || inNamespaces(danger, [namespace]) !== undefined) &&
      rules.some((rule) => danger.matches(rule)) &&
      (danger.and === undefined || rules.some(danger.and)),
  )
  const ids = [...new Set(dangers.map(({ id }) => id))].filter((id) => id !== 'wildcard-api-groups')
  if (ids.length === 0) return
  yield {
    rule: 'broad-default-role',
    severity: 'high',
    ...place(context, kind, binding),
    what: `binds ${role} ${namespace === '' ? 'in all namespaces' : `in namespace ${namespace}`} to ${to}: ${ids.join(', ')}`,
    attack: "holds this in kube-system too, where the cluster's own strong service accounts live",
    fix: 'bind it by RoleBindings in the namespaces that need it',
  }
}

const BROAD: Readonly<Record<string, Severity>> = {
  'system:unauthenticated': 'critical',
  'system:authenticated': 'high',
  'system:serviceaccounts': 'high',
}

function* broadSubject(context: LintContext, linted: LintedBinding, subject: Subject): Generator<Finding> {
  const { kind, binding, found } = linted
  const anonymous =
    (subject.kind === 'User' && subject.name === 'system:anonymous') ||
    (subject.kind === 'Group' && subject.name === 'system:unauthenticated')
  const group = subject.kind === 'Group' ? subject.name : ''
  const severity = anonymous
    ? 'critical'
    : (BROAD[group] ?? (group.startsWith('system:serviceaccounts:') ? 'low' : undefined))
  if (severity === undefined) return
  const onlyPaths = (found?.role.rules ?? []).every((rule) => (rule.resources?.length ?? 0) === 0)
  const who = anonymous
    ? 'anybody who reaches the API server, without a name'
    : group === 'system:authenticated'
      ? 'everybody who has any credentials, service accounts included'
      : group === 'system:serviceaccounts'
        ? 'every service account of every namespace'
        : `every service account of namespace ${group.slice('system:serviceaccounts:'.length)}`
  yield {
    rule: anonymous ? 'anonymous-binding' : 'broad-group-binding',
    severity: onlyPaths ? 'low' : severity,
    ...place(context, kind, binding),
    subject: `${subject.kind} ${subject.name}`,
    what: `binds ${binding.roleRef.kind} ${binding.roleRef.name} to ${who}`,
    attack: anonymous ? 'uses it without credentials' : 'needs no more than the weakest account or one compromised pod',
    fix: 'bind the users, groups or service accounts that need it',
  }
}

function* misspelt(
  context: LintContext,
  { kind, binding, namespace }: LintedBinding,
  subject: Subject,
  accounts: Accounts,
): Generator<Finding> {
  const wrong = wrongSubject(subject, namespace, accounts)
  if (wrong === undefined) return
  yield {
    rule: 'subject-mismatch',
    severity: 'medium',
    ...place(context, kind, binding),
    subject: `${subject.kind} ${subject.name}`,
    what: wrong.what,
    attack: 'whoever gets an account of that very name has the rights, and not who was meant',
    fix: wrong.fix,
  }
}

function* accountFindings(
  context: LintContext,
  { kind, binding, namespace, found }: LintedBinding,
  subject: Subject,
  accounts: Accounts,
): Generator<Finding> {
  const id = subjectId(subject, namespace)
  if (id?.kind !== 'ServiceAccount') return
  const common = { ...place(context, kind, binding), subject: `ServiceAccount ${id.namespace}/${id.name}` }
  const key = `${id.namespace}/${id.name}`
  if (accounts.complete.has(id.namespace) && !accounts.names.has(key))
    yield {
      rule: 'missing-service-account',
      severity: 'low',
      ...common,
      what: `${describe(id)} does not exist`,
      attack: `who may create service accounts in namespace ${id.namespace} gets the rights by creating it`,
      fix: 'take the subject out, or create the service account',
    }
  if (id.name === 'default' && (found?.role.rules?.length ?? 0) > 0)
    yield {
      rule: 'default-service-account',
      severity: 'medium',
      ...common,
      what: `gives ${binding.roleRef.kind} ${binding.roleRef.name} to the account of every pod of namespace ${id.namespace} that names none`,
      attack: 'finds a token with these rights in pods that were never meant to have them',
      fix: 'make a service account for the pods that need it and bind that',
    }
}
