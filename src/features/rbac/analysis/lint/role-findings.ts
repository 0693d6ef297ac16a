import { ruleText } from '../describe.ts'
import { type LintContext, type LintedRole, place } from './context.ts'
import { DANGEROUS, type DangerousRule, WILDCARDS } from './dangerous-rules.ts'
import { type Finding, lowered, type Severity, severityRank } from './finding.ts'

const SENSITIVE = 'kube-system'

/** What the rules of a role allow that is dangerous where the role counts. */
export function* roleFindings(context: LintContext): Generator<Finding> {
  for (const linted of context.roles) {
    yield* dangers(context, linted)
    const { kind, role, use, isSystem } = linted
    if (!use.used && !isSystem)
      yield {
        rule: 'unused-role',
        severity: 'low',
        ...place(context, kind, role),
        what: 'no binding refers to it and no aggregation rule gathers it',
        attack: 'finds in it a role that is ready to be bound and that nobody watches',
        fix: `delete the ${kind}, or bind it`,
      }
  }
}

function* dangers(context: LintContext, linted: LintedRole): Generator<Finding> {
  const found = new Map<string, { danger: DangerousRule; severity: Severity; rules: number[]; texts: string[] }>()
  for (const { rule, index } of linted.rules) {
    const wildcard = WILDCARDS.find(({ matches }) => matches(rule))
    for (const danger of wildcard === undefined ? DANGEROUS : [wildcard]) {
      const severity = severityOf(danger, linted)
      if (severity === undefined || !danger.matches(rule)) continue
      if (danger.and !== undefined && !linted.role.rules!.some(danger.and)) continue
      const known = found.get(danger.id)
      if (known === undefined) found.set(danger.id, { danger, severity, rules: [index], texts: [ruleText(rule)] })
      else {
        if (severityRank(severity) > severityRank(known.severity)) Object.assign(known, { danger, severity })
        if (known.rules.includes(index)) continue
        known.rules.push(index)
        known.texts.push(ruleText(rule))
      }
    }
  }
  for (const { danger, severity, rules, texts } of found.values())
    yield {
      rule: danger.id,
      severity,
      ...place(context, linted.kind, linted.role),
      rules,
      what: `allows ${texts.join('; ')} ${whereText(linted)}`,
      attack: danger.attack,
      fix: danger.fix,
    }
}

/** A ClusterRole that nobody is bound to may be bound everywhere tomorrow: one step less than if it were. */
function severityOf(danger: DangerousRule, { kind, role, use }: LintedRole): Severity | undefined {
  if (use.everywhere) return danger.cluster
  const namespaces = kind === 'Role' ? [role.metadata.namespace ?? ''] : [...use.namespaces]
  if (kind === 'ClusterRole' && namespaces.length === 0) return lowered(danger.cluster)
  return inNamespaces(danger, namespaces)
}

export function inNamespaces(danger: DangerousRule, namespaces: readonly string[]): Severity | undefined {
  if (!namespaces.includes(SENSITIVE)) return danger.namespace
  return danger.namespace === undefined && danger.id !== 'secrets-read' ? undefined : danger.cluster
}

function whereText({ kind, role, use }: LintedRole): string {
  const to = `${use.subjects} subject${use.subjects === 1 ? '' : 's'}`
  if (use.everywhere) return `everywhere, to ${to}`
  if (use.subjects === 0)
    return kind === 'Role' ? `in namespace ${role.metadata.namespace}, to nobody so far` : 'to nobody so far'
  const namespaces = [...use.namespaces].sort()
  const where =
    namespaces.length > 3
      ? `${namespaces.length} namespaces`
      : `namespace${namespaces.length > 1 ? 's' : ''} ${namespaces.join(', ')}`
  return `in ${where}, to ${to}`
}
