import type { KubeObject } from '../../api/object.ts'
import type { LabelSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { validateConditions } from '../validation/conditions.ts'
import { validateLabelSelector } from '../validation/meta.ts'
import { dropNulls } from './pod/defaults.ts'
import { intOrPercent, notMoreThan100Percent, oneOfIfSet } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import type { IntOrString } from './pod/types.ts'
import { countCell, STATUS, validateCounts } from './workload-template.ts'

type Spec = {
  minAvailable?: IntOrString
  maxUnavailable?: IntOrString
  selector?: LabelSelector
  unhealthyPodEvictionPolicy?: string
}
const specOf = (budget: KubeObject): Spec => (budget['spec'] ?? {}) as Spec

function validate(budget: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(budget)
  if (spec.minAvailable != null && spec.maxUnavailable != null)
    errors.push(fieldError.invalid('spec', spec, 'minAvailable and maxUnavailable cannot be both set'))
  for (const field of ['minAvailable', 'maxUnavailable'] as const) {
    if (spec[field] == null) continue
    intOrPercent(spec[field], `spec.${field}`, errors)
    notMoreThan100Percent(spec[field], `spec.${field}`, errors)
  }
  errors.push(...validateLabelSelector(spec.selector, 'spec.selector'))
  oneOfIfSet(
    spec.unhealthyPodEvictionPolicy,
    ['AlwaysAllow', 'IfHealthyBudget'],
    'spec.unhealthyPodEvictionPolicy',
    errors,
  )
  return errors
}

function validateStatus(budget: KubeObject): FieldError[] {
  const errors = validateConditions(budget['status']?.conditions, 'status.conditions')
  const counts = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods']
  validateCounts(budget['status'], counts, errors)
  return errors
}

const given = (value: IntOrString | undefined): string => (value == null ? 'N/A' : String(value))

export const podDisruptionBudgetKind: ResourceDefinition = {
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
  singular: 'poddisruptionbudget',
  shortNames: ['pdb'],
  namespaced: true,
  schema: 'io.k8s.api.policy.v1.PodDisruptionBudget',
  subresources: [STATUS],
  columns: [
    nameColumn,
    column('Min Available', 'string', 'How many pods must stay.', (budget) => given(specOf(budget).minAvailable)),
    column('Max Unavailable', 'string', 'How many pods may be missing.', (budget) =>
      given(specOf(budget).maxUnavailable),
    ),
    column(
      'Allowed Disruptions',
      'integer',
      'How many pods may be evicted now.',
      countCell('status', 'disruptionsAllowed'),
    ),
    ageColumn,
  ],
  strategy: {
    allowUnconditionalUpdate: false,
    defaults: (budget) => {
      budget['spec'] ??= {}
      dropNulls(budget['spec'])
      dropNulls(budget['status'])
    },
    prepareForCreate: (budget) => {
      budget['status'] = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 }
    },
    validate: onCreate(validate),
    validateUpdate: (budget, _old, { subresource }) =>
      subresource === 'status' ? validateStatus(budget) : validate(budget),
    hasGeneration: true,
  },
}
