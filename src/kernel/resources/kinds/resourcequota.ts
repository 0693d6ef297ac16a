import type { KubeObject } from '../../api/object.ts'
import { canonicalQuantity } from '../../api/quantity.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { dropNulls } from './pod/defaults.ts'
import { onCreate } from './pod/on-create.ts'
import { isStandardQuotaResource, quotaResourceName } from './pod/resource-names.ts'
import { canonicalizeResourceList, resourceQuantity } from './pod/resources.ts'
import type { ResourceList } from './pod/types.ts'
import { STATUS } from './workload-template.ts'

type ScopeRequirement = { scopeName?: string; operator?: string; values?: string[] }
type Spec = { hard?: ResourceList; scopes?: string[]; scopeSelector?: { matchExpressions?: ScopeRequirement[] } }
type Status = { hard?: ResourceList; used?: ResourceList }

const specOf = (quota: KubeObject): Spec => (quota['spec'] ?? {}) as Spec
const statusOf = (quota: KubeObject): Status => (quota['status'] ?? {}) as Status

const SCOPES = [
  'Terminating',
  'NotTerminating',
  'BestEffort',
  'NotBestEffort',
  'PriorityClass',
  'CrossNamespacePodAffinity',
]
const COMPUTE: ReadonlySet<string> = new Set([
  'cpu',
  'memory',
  'limits.cpu',
  'limits.memory',
  'requests.cpu',
  'requests.memory',
])
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
]

function defaults(quota: KubeObject): void {
  const spec = (quota['spec'] ??= {}) as Spec
  dropNulls(spec)
  canonicalizeResourceList(spec.hard)
  const status = quota['status'] as Status | undefined
  dropNulls(status)
  if (status == null) return
  canonicalizeResourceList(status.hard)
  canonicalizeResourceList(status.used)
}

function validateAmounts(list: ResourceList | undefined, path: string, errors: FieldError[]): void {
  for (const name in list) {
    const at = `${path}[${name}]`
    quotaResourceName(name, at, errors)
    resourceQuantity(name, list[name]!, at, errors)
  }
}

/** Best-effort pods request nothing, so that only their number can be limited. */
function appliesTo(scope: string, resource: string): boolean {
  switch (scope) {
    case 'Terminating':
    case 'NotTerminating':
    case 'NotBestEffort':
    case 'PriorityClass':
    case 'CrossNamespacePodAffinity':
      return resource === 'pods' || COMPUTE.has(resource)
    case 'BestEffort':
      return resource === 'pods'
    default:
      return true
  }
}

function validate(quota: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(quota)
  validateAmounts(spec.hard, 'spec.hard', errors)
  const resources = Object.keys(spec.hard ?? {}).filter(isStandardQuotaResource)
  const scopes = spec.scopes ?? []
  for (const scope of scopes) {
    if (!SCOPES.includes(scope)) errors.push(fieldError.invalid('spec.scopes', scopes, 'unsupported scope'))
    for (const resource of resources)
      if (!appliesTo(scope, resource))
        errors.push(fieldError.invalid('spec.scopes', scopes, 'unsupported scope applied to resource'))
  }
  refuseConflicts(scopes, 'spec.scopes', scopes, errors)
  if (spec.scopeSelector != null) validateScopeSelector(spec, resources, errors)
  return errors
}

function refuseConflicts(scopes: readonly string[], path: string, shown: unknown, errors: FieldError[]): void {
  for (const pair of CONFLICTS)
    if (pair.every((scope) => scopes.includes(scope)))
      errors.push(fieldError.invalid(path, shown, 'conflicting scopes'))
}

const EXISTS_ONLY =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"

function validateScopeSelector(spec: Spec, resources: readonly string[], errors: FieldError[]): void {
  const path = 'spec.scopeSelector.matchExpressions'
  const requirements = spec.scopeSelector?.matchExpressions ?? []
  for (const { scopeName = '', operator = '', values = [] } of requirements) {
    if (!SCOPES.includes(scopeName))
      errors.push(fieldError.invalid(`${path}.scopeName`, scopeName, 'unsupported scope'))
    for (const resource of resources)
      if (!appliesTo(scopeName, resource))
        errors.push(fieldError.invalid(path, spec.scopeSelector, 'unsupported scope applied to resource'))
    if (SCOPES.includes(scopeName) && scopeName !== 'PriorityClass' && operator !== 'Exists')
      errors.push(fieldError.invalid(`${path}.operator`, operator, EXISTS_ONLY))
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        errors.push(
          fieldError.required(
            `${path}.values`,
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
          ),
        )
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.push(
          fieldError.invalid(
            `${path}.values`,
            values,
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
          ),
        )
    } else errors.push(fieldError.invalid(`${path}.operator`, operator, 'not a valid selector operator'))
  }
  refuseConflicts(
    requirements.map((r) => r.scopeName ?? ''),
    path,
    spec.scopes ?? [],
    errors,
  )
}

function validateStatus(quota: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateAmounts(statusOf(quota).hard, 'status.hard', errors)
  validateAmounts(statusOf(quota).used, 'status.used', errors)
  return errors
}

function validateUpdate(quota: KubeObject, old: KubeObject): FieldError[] {
  const errors = validate(quota)
  const now = [...new Set(specOf(quota).scopes)].sort()
  const before = [...new Set(specOf(old).scopes)].sort()
  if (now.join() !== before.join())
    errors.push(fieldError.invalid('spec.scopes', specOf(quota).scopes ?? [], IMMUTABLE))
  return errors
}

/** `cpu: 1/2, memory: 1Gi/4Gi`: used and allowed, of limits or of everything else. */
const usageCell =
  (limits: boolean) =>
  (quota: KubeObject): string => {
    const { hard = {}, used = {} } = statusOf(quota)
    return Object.keys(hard)
      .sort()
      .filter((name) => name.startsWith('limits.') === limits)
      .map((name) => `${name}: ${canonicalQuantity(used[name]) ?? '0'}/${canonicalQuantity(hard[name]) ?? '0'}`)
      .join(', ')
  }

export const resourceQuotaKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  singular: 'resourcequota',
  shortNames: ['quota'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.ResourceQuota',
  subresources: [STATUS],
  columns: [
    nameColumn,
    column('Request', 'string', 'What is requested or counted, and how much of it is allowed.', usageCell(false)),
    column('Limit', 'string', 'What is limited, and how much of it is allowed.', usageCell(true)),
    ageColumn,
  ],
  strategy: {
    defaults,
    prepareForCreate: (quota) => {
      quota['status'] = {}
    },
    validate: onCreate(validate),
    validateUpdate: (quota, old, { subresource }) =>
      subresource === 'status' ? validateStatus(quota) : validateUpdate(quota, old),
  },
}
