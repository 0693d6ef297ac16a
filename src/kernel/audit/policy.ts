import { load } from 'js-yaml'
import type { UserInfo } from '../authn/types.ts'
import type { Attributes } from '../authz/types.ts'
import type { AuditLevel, AuditStage } from './types.ts'

/** audit.k8s.io/v1 PolicyRule. */
export type AuditRule = {
  level: AuditLevel
  users?: string[]
  userGroups?: string[]
  verbs?: string[]
  resources?: { group?: string; resources?: string[]; resourceNames?: string[] }[]
  namespaces?: string[]
  nonResourceURLs?: string[]
  omitStages?: AuditStage[]
  omitManagedFields?: boolean
}

export type AuditPolicy = { rules: AuditRule[]; omitStages?: AuditStage[]; omitManagedFields?: boolean }

export type AuditLevelDecision = { level: AuditLevel; omitStages: ReadonlySet<AuditStage>; omitManagedFields: boolean }

const LEVELS: readonly AuditLevel[] = ['None', 'Metadata', 'Request', 'RequestResponse']
const STAGES: readonly AuditStage[] = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic']
const RULE_FIELDS = new Set([
  'level',
  'users',
  'userGroups',
  'verbs',
  'resources',
  'namespaces',
  'nonResourceURLs',
  'omitStages',
  'omitManagedFields',
])
const POLICY_FIELDS = new Set(['apiVersion', 'kind', 'metadata', 'rules', 'omitStages', 'omitManagedFields'])

/**
 * What is audited when nobody says otherwise: every change and every read of what is sensitive with its metadata, no
 * health probes, no reads of discovery.
 */
export const DEFAULT_POLICY: AuditPolicy = {
  omitStages: ['RequestReceived'],
  rules: [
    {
      level: 'None',
      nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/version', '/openapi*', '/api', '/apis*', '/metrics'],
    },
    {
      level: 'None',
      verbs: ['get', 'list', 'watch'],
      resources: [{ group: '', resources: ['events'] }, { group: 'coordination.k8s.io' }],
    },
    { level: 'Metadata' },
  ],
}

/** Parses a policy file strictly. Throws an Error that names the place of what is wrong. */
export function parseAuditPolicy(text: string): AuditPolicy {
  const value = load(text) as unknown
  const root = record(value, 'policy')
  if (root['apiVersion'] !== 'audit.k8s.io/v1' || root['kind'] !== 'Policy')
    throw new Error('policy: must be apiVersion audit.k8s.io/v1, kind Policy')
  refuseUnknown(root, POLICY_FIELDS, 'policy')
  if (!Array.isArray(root['rules']) || root['rules'].length === 0)
    throw new Error('policy.rules: must hold at least one rule')
  return {
    rules: root['rules'].map((rule, i) => parseRule(rule, `policy.rules[${i}]`)),
    ...optionalStages(root, 'policy'),
    ...(root['omitManagedFields'] === undefined
      ? {}
      : { omitManagedFields: flag(root['omitManagedFields'], 'policy.omitManagedFields') }),
  }
}

function parseRule(value: unknown, at: string): AuditRule {
  const rule = record(value, at)
  refuseUnknown(rule, RULE_FIELDS, at)
  const level = rule['level'] as AuditLevel
  if (!LEVELS.includes(level)) throw new Error(`${at}.level: must be one of ${LEVELS.join(', ')}`)
  const out: AuditRule = { level, ...optionalStages(rule, at) }
  for (const key of ['users', 'userGroups', 'verbs', 'namespaces', 'nonResourceURLs'] as const)
    if (rule[key] !== undefined) out[key] = texts(rule[key], `${at}.${key}`)
  if (rule['omitManagedFields'] !== undefined)
    out.omitManagedFields = flag(rule['omitManagedFields'], `${at}.omitManagedFields`)
  if (rule['resources'] !== undefined) {
    if (!Array.isArray(rule['resources'])) throw new Error(`${at}.resources: must be a list`)
    out.resources = rule['resources'].map((value, i) => parseResources(value, `${at}.resources[${i}]`))
  }
  if (out.nonResourceURLs && (out.resources || out.namespaces))
    throw new Error(`${at}: a rule is about resources or about URLs, not both`)
  for (const url of out.nonResourceURLs ?? [])
    if (url !== '*' && (!url.startsWith('/') || url.slice(0, -1).includes('*')))
      throw new Error(
        `${at}.nonResourceURLs: ${JSON.stringify(url)} must begin with "/" and may have "*" only at its end`,
      )
  return out
}

function parseResources(
  value: unknown,
  at: string,
): { group?: string; resources?: string[]; resourceNames?: string[] } {
  const item = record(value, at)
  refuseUnknown(item, new Set(['group', 'resources', 'resourceNames']), at)
  if (item['group'] !== undefined && typeof item['group'] !== 'string') throw new Error(`${at}.group: must be a text`)
  const resources = item['resources'] === undefined ? undefined : texts(item['resources'], `${at}.resources`)
  const names = item['resourceNames'] === undefined ? undefined : texts(item['resourceNames'], `${at}.resourceNames`)
  if (names?.length && !resources?.length) throw new Error(`${at}.resourceNames: needs resources`)
  return {
    ...(item['group'] === undefined ? {} : { group: item['group'] as string }),
    ...(resources === undefined ? {} : { resources }),
    ...(names === undefined ? {} : { resourceNames: names }),
  }
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error(`${at}: must be a map`)
  return value as Record<string, unknown>
}

function refuseUnknown(value: Record<string, unknown>, known: ReadonlySet<string>, at: string): void {
  for (const key of Object.keys(value)) if (!known.has(key)) throw new Error(`${at}.${key}: unknown field`)
}

function texts(value: unknown, at: string): string[] {
  if (!Array.isArray(value) || value.some((v) => typeof v !== 'string'))
    throw new Error(`${at}: must be a list of texts`)
  return value as string[]
}

function flag(value: unknown, at: string): boolean {
  if (typeof value !== 'boolean') throw new Error(`${at}: must be true or false`)
  return value
}

function optionalStages(value: Record<string, unknown>, at: string): { omitStages?: AuditStage[] } {
  if (value['omitStages'] === undefined) return {}
  const stages = texts(value['omitStages'], `${at}.omitStages`)
  for (const stage of stages)
    if (!STAGES.includes(stage as AuditStage))
      throw new Error(`${at}.omitStages: ${stage} is no stage: ${STAGES.join(', ')}`)
  return { omitStages: stages as AuditStage[] }
}

/** Bodies of these never reach the log, whatever a policy asks for. */
const METADATA_ONLY = new Set([
  '/secrets',
  '/configmaps',
  'authentication.k8s.io/tokenreviews',
  '/serviceaccounts/token',
])

type Match = (attributes: Attributes, user: UserInfo) => boolean

/** Compiled once: the first rule that matches decides; none: not audited, as in Kubernetes. */
export function compilePolicy(policy: AuditPolicy): (attributes: Attributes, user: UserInfo) => AuditLevelDecision {
  const rules = policy.rules.map((rule) => {
    const decision: AuditLevelDecision = {
      level: rule.level,
      omitStages: new Set([...(policy.omitStages ?? []), ...(rule.omitStages ?? [])]),
      omitManagedFields: rule.omitManagedFields ?? policy.omitManagedFields ?? false,
    }
    return { matches: compileRule(rule), decision, capped: cap(decision) }
  })
  const none: AuditLevelDecision = { level: 'None', omitStages: new Set(), omitManagedFields: false }
  return (attributes, user) => {
    for (const { matches, decision, capped } of rules)
      if (matches(attributes, user)) return isMetadataOnly(attributes) ? capped : decision
    return none
  }
}

function cap(decision: AuditLevelDecision): AuditLevelDecision {
  return decision.level === 'Request' || decision.level === 'RequestResponse'
    ? { ...decision, level: 'Metadata' }
    : decision
}

function isMetadataOnly(a: Attributes): boolean {
  if (!a.resourceRequest) return false
  const name = `${a.apiGroup}/${a.resource}`
  return METADATA_ONLY.has(name) || (a.subresource !== '' && METADATA_ONLY.has(`${name}/${a.subresource}`))
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
  return (attributes, user) => checks.every((check) => check(attributes, user))
}

function resourceMatch(rule: AuditRule): Match {
  const namespaces = rule.namespaces?.length ? new Set(rule.namespaces) : undefined
  const resources = rule.resources?.length ? rule.resources.map(oneResource) : undefined
  return (a) => {
    if (!a.resourceRequest) return false
    if (namespaces !== undefined && !namespaces.has(a.namespace)) return false
    return (
      resources === undefined || resources.some((matches) => matches(a.apiGroup, a.resource, a.subresource, a.name))
    )
  }
}

function oneResource(item: {
  group?: string
  resources?: string[]
  resourceNames?: string[]
}): (group: string, resource: string, subresource: string, name: string) => boolean {
  const names = item.resourceNames?.length ? new Set(item.resourceNames) : undefined
  const wanted = item.resources?.length ? new Set(item.resources) : undefined
  return (group, resource, subresource, name) => {
    if ((item.group ?? '') !== group) return false
    if (names !== undefined && !names.has(name)) return false
    if (wanted === undefined || wanted.has('*')) return true
    if (subresource === '') return wanted.has(resource)
    return wanted.has(`${resource}/${subresource}`) || wanted.has(`${resource}/*`) || wanted.has(`*/${subresource}`)
  }
}

function urlMatch(urls: readonly string[]): Match {
  return (a) =>
    !a.resourceRequest &&
    urls.some((url) => url === '*' || url === a.path || (url.endsWith('*') && a.path.startsWith(url.slice(0, -1))))
}
