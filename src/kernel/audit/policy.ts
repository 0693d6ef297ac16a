import { load } from 'js-yaml'
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

/** The core group is the empty text. */
const GROUP = /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$/

function parseResources(
  value: unknown,
  at: string,
): { group?: string; resources?: string[]; resourceNames?: string[] } {
  const item = record(value, at)
  refuseUnknown(item, new Set(['group', 'resources', 'resourceNames']), at)
  const group = item['group']
  if (group !== undefined && (typeof group !== 'string' || !GROUP.test(group)))
    throw new Error(`${at}.group: must be the name of an API group, without a version`)
  const resources = item['resources'] === undefined ? undefined : texts(item['resources'], `${at}.resources`)
  const names = item['resourceNames'] === undefined ? undefined : texts(item['resourceNames'], `${at}.resourceNames`)
  if (names?.length && !resources?.length) throw new Error(`${at}.resourceNames: needs resources`)
  return {
    ...(group === undefined ? {} : { group }),
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
