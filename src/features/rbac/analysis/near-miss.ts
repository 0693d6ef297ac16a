import { resourceQuery, ruleAllowsPath, ruleAllowsResource } from '../engine/rules.ts'
import type { PolicyRule } from '../engine/types.ts'
import type { Question } from './question.ts'
import type { Grant } from './world-index.ts'

export type NearMissReason = 'verb' | 'name' | 'namespace' | 'resource' | 'apiGroup' | 'subresource' | 'path'

export type NearMiss = {
  /** The one thing that does not fit. */
  reason: NearMissReason
  grant: Grant
  rule: PolicyRule
  ruleIndex: number
}

/** The nearer first: what a reader is most likely to have meant. */
const ORDER: readonly NearMissReason[] = ['name', 'verb', 'namespace', 'subresource', 'apiGroup', 'resource', 'path']
const LIMIT = 10

/** Rules among `grants` that would allow what is asked if exactly one thing were different. */
export function nearMisses(grants: readonly Grant[], question: Question): NearMiss[] {
  const found: NearMiss[] = []
  const seen = new Set<string>()
  for (const grant of grants)
    for (const [ruleIndex, rule] of grant.rules.entries()) {
      const reason = 'path' in question ? missedPath(grant, rule, question) : missed(grant, rule, question)
      if (reason === undefined) continue
      const key = `${reason} ${grant.namespace} ${grant.roleKind} ${grant.role.metadata.name} ${ruleIndex}`
      if (seen.has(key)) continue
      seen.add(key)
      found.push({ reason, grant, rule, ruleIndex })
    }
  return found.sort((a, b) => ORDER.indexOf(a.reason) - ORDER.indexOf(b.reason)).slice(0, LIMIT)
}

function missed(grant: Grant, rule: PolicyRule, q: Exclude<Question, { path: string }>): NearMissReason | undefined {
  const inScope = grant.namespace === '' || grant.namespace === q.namespace
  const allows = (changed: PolicyRule): boolean =>
    ruleAllowsResource(changed, resourceQuery(q.verb, q.apiGroup, q.resource, q.subresource, q.name))
  if (!inScope) return allows(rule) ? 'namespace' : undefined
  if ((rule.resourceNames?.length ?? 0) > 0 && allows({ ...rule, resourceNames: [] })) return 'name'
  if (allows({ ...rule, verbs: ['*'] })) return 'verb'
  if (allows({ ...rule, apiGroups: ['*'] })) return 'apiGroup'
  if (!allows({ ...rule, resources: ['*'] })) return undefined
  const same = (rule.resources ?? []).some((r) => r.split('/')[0] === q.resource)
  return same ? 'subresource' : 'resource'
}

function missedPath(grant: Grant, rule: PolicyRule, q: { verb: string; path: string }): NearMissReason | undefined {
  const urls = rule.nonResourceURLs ?? []
  if (urls.length === 0) return undefined
  if (grant.namespace !== '') return ruleAllowsPath(rule, q.verb, q.path) ? 'namespace' : undefined
  if (ruleAllowsPath({ ...rule, verbs: ['*'] }, q.verb, q.path)) return 'verb'
  return ruleAllowsPath({ ...rule, nonResourceURLs: ['*'] }, q.verb, q.path) ? 'path' : undefined
}
