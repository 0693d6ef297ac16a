import type { UserInfo } from '../authn/types.ts'
import type { Attributes } from '../authz/types.ts'
import type { AuditPolicy, AuditRule } from './policy.ts'
import type { AuditLevel, AuditStage } from './types.ts'

export type AuditLevelDecision = { level: AuditLevel; omitStages: ReadonlySet<AuditStage>; omitManagedFields: boolean }

/** Bodies of these never reach the log, whatever a policy asks for: `group/resource` or `group/resource/subresource`. */
const METADATA_ONLY = [
  '/secrets',
  '/configmaps',
  'authentication.k8s.io/tokenreviews',
  '/serviceaccounts/token',
] as const

/** Tells requests whose bodies may hold secrets; `more` in the same notation. */
export function metadataOnly(more: readonly string[] = []): (attributes: Attributes) => boolean {
  const byResource = new Map<string, { group: string; subresource: string }[]>()
  for (const entry of [...METADATA_ONLY, ...more]) {
    const [group = '', resource = '', subresource = ''] = entry.split('/')
    byResource.set(resource, [...(byResource.get(resource) ?? []), { group, subresource }])
  }
  return (a) => {
    if (!a.resourceRequest) return false
    const entries = byResource.get(a.resource)
    if (entries === undefined) return false
    return entries.some((e) => e.group === a.apiGroup && (e.subresource === '' || e.subresource === a.subresource))
  }
}

type Match = (attributes: Attributes, user: UserInfo) => boolean

/** Compiled once: the first rule that matches decides; none: not audited, as in Kubernetes. */
export function compilePolicy(
  policy: AuditPolicy,
  isCapped: (attributes: Attributes) => boolean = metadataOnly(),
): (attributes: Attributes, user: UserInfo) => AuditLevelDecision {
  const rules = policy.rules.map((rule) => {
    const decision: AuditLevelDecision = {
      level: rule.level,
      omitStages: new Set([...(policy.omitStages ?? []), ...(rule.omitStages ?? [])]),
      omitManagedFields: rule.omitManagedFields ?? policy.omitManagedFields ?? false,
    }
    return { matches: compileRule(rule), decision, capped: cap(decision) }
  })
  const none: AuditLevelDecision = {
    level: 'None',
    omitStages: new Set(policy.omitStages ?? []),
    omitManagedFields: false,
  }
  return (attributes, user) => {
    for (const { matches, decision, capped } of rules)
      if (matches(attributes, user)) return decision !== capped && isCapped(attributes) ? capped : decision
    return none
  }
}

function cap(decision: AuditLevelDecision): AuditLevelDecision {
  return decision.level === 'Request' || decision.level === 'RequestResponse'
    ? { ...decision, level: 'Metadata' }
    : decision
}

function compileRule(rule: AuditRule): Match {
  const checks: Match[] = []
  if (rule.users?.length) {
    const users = new Set(rule.users)
    checks.push((_a, user) => users.has(user.name))
  }
  if (rule.userGroups?.length) {
    const groups = new Set(rule.userGroups)
    checks.push((_a, user) => user.groups.some((g) => groups.has(g)))
  }
  if (rule.verbs?.length) {
    const verbs = new Set(rule.verbs)
    checks.push((a) => verbs.has(a.verb))
  }
  if (rule.resources?.length || rule.namespaces?.length) checks.push(resourceMatch(rule))
  else if (rule.nonResourceURLs?.length) checks.push(urlMatch(rule.nonResourceURLs))
  return (attributes, user) => {
    for (const check of checks) if (!check(attributes, user)) return false
    return true
  }
}

type ResourceMatch = (resource: string, subresource: string, name: string) => boolean

function resourceMatch(rule: AuditRule): Match {
  const namespaces = rule.namespaces?.length ? new Set(rule.namespaces) : undefined
  const byGroup = new Map<string, ResourceMatch[]>()
  for (const item of rule.resources ?? []) {
    const { group = '' } = item
    byGroup.set(group, [...(byGroup.get(group) ?? []), oneResource(item)])
  }
  return (a) => {
    if (!a.resourceRequest) return false
    // Requests for things without a namespace have the empty one.
    if (namespaces !== undefined && !namespaces.has(a.namespace)) return false
    if (byGroup.size === 0) return true
    const items = byGroup.get(a.apiGroup)
    return items?.some((matches) => matches(a.resource, a.subresource, a.name)) ?? false
  }
}

/**
 * k8s.io/apiserver/pkg/audit/policy: `pods` is not its subresources, `pods/log` is one, `pods/*` is pods and all of them,
 * a star before `/scale` means that of every resource, `*` is everything.
 */
function oneResource(item: { resources?: readonly string[]; resourceNames?: readonly string[] }): ResourceMatch {
  const names = item.resourceNames?.length ? new Set(item.resourceNames) : undefined
  const resources = item.resources ?? []
  const all = resources.length === 0 || resources.includes('*')
  const whole = new Set(resources.filter((r) => !r.includes('/')))
  const withSubresources = new Set(resources.filter((r) => r.endsWith('/*')).map((r) => r.slice(0, -2)))
  const anyWith = new Set(resources.filter((r) => r.startsWith('*/')).map((r) => r.slice(2)))
  const exact = new Map<string, Set<string>>()
  for (const entry of resources) {
    const [resource = '', subresource] = entry.split('/')
    if (subresource !== undefined) exact.set(resource, (exact.get(resource) ?? new Set()).add(subresource))
  }
  return (resource, subresource, name) => {
    if (names !== undefined && !names.has(name)) return false
    if (all || withSubresources.has(resource)) return true
    if (subresource === '') return whole.has(resource)
    return anyWith.has(subresource) || (exact.get(resource)?.has(subresource) ?? false)
  }
}

function urlMatch(urls: readonly string[]): Match {
  const exact = new Set(urls)
  const prefixes = urls.filter((url) => url.endsWith('*')).map((url) => url.slice(0, -1))
  return (a) => !a.resourceRequest && (exact.has(a.path) || prefixes.some((prefix) => a.path.startsWith(prefix)))
}
