import type { ObjectMeta } from '../../../../kernel/api/object.ts'
import type { RbacWorld } from '../../world.ts'
import { objectRef, refText } from '../describe.ts'
import type { KnownResources } from '../known-resources.ts'
import { bindingFindings } from './binding-findings.ts'
import { chainFindings } from './chain-findings.ts'
import { lintContext } from './context.ts'
import { type Finding, type Severity, severityRank } from './finding.ts'
import { roleFindings } from './role-findings.ts'
import { NO_SYSTEM, systemPolicy } from './system.ts'
import { voidFindings } from './void-findings.ts'

export const LINT_IGNORE = 'rbac.rampart.dev/lint-ignore'

export type LintOptions = {
  /** What exists: discovery of the cluster, or the built-in kinds. */
  known: KnownResources
  /** The least to report; `low` unless told otherwise. */
  severity?: Severity
  /** Only these rules. */
  rules?: readonly string[]
  /** Also what Kubernetes itself brings. */
  includeSystem?: boolean
}

export type LintResult = { findings: Finding[] /** Left out because an annotation says so. */; suppressed: number }

/** The worst first; within one severity by rule, then by object. */
export function lintWorld(world: RbacWorld, options: LintOptions): LintResult {
  const context = lintContext(world, options.known, options.includeSystem ? NO_SYSTEM : systemPolicy())
  const least = severityRank(options.severity ?? 'low')
  const ignored = ignoredRules(world)
  const findings: Finding[] = []
  let suppressed = 0
  for (const find of [roleFindings, bindingFindings, voidFindings, chainFindings])
    for (const finding of find(context)) {
      if (severityRank(finding.severity) < least) continue
      if (options.rules !== undefined && !options.rules.includes(finding.rule)) continue
      if (isIgnored(ignored, finding)) suppressed++
      else findings.push(finding)
    }
  return { findings: findings.sort(order), suppressed }
}

function order(a: Finding, b: Finding): number {
  return (
    severityRank(b.severity) - severityRank(a.severity) ||
    compare(a.rule, b.rule) ||
    compare(refText(a.object), refText(b.object)) ||
    compare(a.subject ?? '', b.subject ?? '')
  )
}

const compare = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0)

/** By object: the rules that its annotation names, separated by commas or spaces; `*` for all. */
function ignoredRules(world: RbacWorld): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, ReadonlySet<string>>()
  const add = (kind: string, objects: readonly { metadata: ObjectMeta }[]): void => {
    for (const object of objects) {
      const text = object.metadata.annotations?.[LINT_IGNORE]
      if (text) found.set(refText(objectRef(kind, object)), new Set(text.split(/[\s,]+/)))
    }
  }
  add('ClusterRole', world.clusterRoles)
  add('ClusterRoleBinding', world.clusterRoleBindings)
  add('Role', world.roles)
  add('RoleBinding', world.roleBindings)
  return found
}

/** A chain is also silenced on the role of its first step. */
function isIgnored(ignored: ReadonlyMap<string, ReadonlySet<string>>, { rule, object, chain }: Finding): boolean {
  const objects = [object, ...(chain?.[0]?.by.map(({ role }) => role) ?? [])]
  return objects.some((one) => {
    const rules = ignored.get(refText(one))
    return rules !== undefined && (rules.has(rule) || rules.has('*'))
  })
}
