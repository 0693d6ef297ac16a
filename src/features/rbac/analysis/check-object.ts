import type { KubeObject } from '../../../kernel/api/object.ts'
import { RbacWorldError } from './world-error.ts'

const RULE_LISTS = ['verbs', 'apiGroups', 'resources', 'resourceNames', 'nonResourceURLs'] as const

/**
 * Throws RbacWorldError when an object of a manifest does not have the form that the analyses rely on: they read fields
 * without looking again. What Kubernetes would refuse for its content (an unknown subject kind, say) passes: lint
 * speaks of it.
 */
export function checkObject(object: KubeObject, place: string): void {
  const fail = (field: string, must: string): never => {
    throw new RbacWorldError(`${place}: ${object.kind}: ${field} must be ${must}`)
  }
  const text = (value: unknown, field: string, required: boolean): void => {
    if (typeof value === 'string' ? required && value === '' : required || (value ?? undefined) !== undefined)
      fail(field, required ? 'a string that is not empty' : 'a string')
  }
  const record = (value: unknown, field: string): Record<string, unknown> =>
    isRecord(value) ? value : fail(field, 'an object')
  const list = (value: unknown, field: string): unknown[] => {
    if (value === undefined || value === null) return []
    return Array.isArray(value) ? value : fail(field, 'a list')
  }
  const strings = (value: unknown, field: string): void => {
    if (value !== undefined && value !== null)
      for (const [key, one] of Object.entries(record(value, field))) text(one, `${field}[${key}]`, false)
  }

  const metadata = record(object.metadata, 'metadata')
  text(metadata['name'], 'metadata.name', true)
  text(metadata['namespace'], 'metadata.namespace', false)
  strings(metadata['labels'], 'metadata.labels')
  strings(metadata['annotations'], 'metadata.annotations')

  if (object.kind === 'Role' || object.kind === 'ClusterRole') {
    for (const [i, value] of list(object['rules'], 'rules').entries()) {
      const rule = record(value, `rules[${i}]`)
      for (const field of RULE_LISTS)
        for (const [j, one] of list(rule[field], `rules[${i}].${field}`).entries())
          if (typeof one !== 'string') fail(`rules[${i}].${field}[${j}]`, 'a string')
    }
    const aggregation = object['aggregationRule']
    if (aggregation !== undefined && aggregation !== null) checkSelectors(record(aggregation, 'aggregationRule'), fail)
  }
  if (object.kind === 'RoleBinding' || object.kind === 'ClusterRoleBinding') {
    const roleRef = record(object['roleRef'], 'roleRef')
    text(roleRef['apiGroup'], 'roleRef.apiGroup', false)
    text(roleRef['kind'], 'roleRef.kind', true)
    text(roleRef['name'], 'roleRef.name', true)
    for (const [i, value] of list(object['subjects'], 'subjects').entries()) {
      const subject = record(value, `subjects[${i}]`)
      text(subject['kind'], `subjects[${i}].kind`, true)
      text(subject['name'], `subjects[${i}].name`, true)
      text(subject['namespace'], `subjects[${i}].namespace`, false)
      text(subject['apiGroup'], `subjects[${i}].apiGroup`, false)
    }
  }
}

function checkSelectors(aggregation: Record<string, unknown>, fail: (field: string, must: string) => never): void {
  const path = 'aggregationRule.clusterRoleSelectors'
  const selectors = aggregation['clusterRoleSelectors'] ?? []
  if (!Array.isArray(selectors)) throw fail(path, 'a list')
  for (const [i, selector] of selectors.entries()) {
    if (!isRecord(selector)) throw fail(`${path}[${i}]`, 'an object')
    const labels = selector['matchLabels'] ?? {}
    if (!isRecord(labels) || !Object.values(labels).every((v) => typeof v === 'string'))
      fail(`${path}[${i}].matchLabels`, 'strings by name')
    const expressions = selector['matchExpressions'] ?? []
    if (!Array.isArray(expressions) || !expressions.every(isExpression))
      fail(`${path}[${i}].matchExpressions`, 'a list of key, operator (In, NotIn, Exists, DoesNotExist) and values')
  }
}

function isExpression(value: unknown): boolean {
  if (!isRecord(value) || typeof value['key'] !== 'string') return false
  const values = value['values'] ?? []
  return (
    ['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(String(value['operator'])) &&
    Array.isArray(values) &&
    values.every((v) => typeof v === 'string')
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
