import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, formatLabels, nameColumn } from '../printing.ts'
import { validateLabelSelector } from '../validation/meta.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { intOrPercent, intOrPercentValue, nonNegative, notMoreThan100Percent } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import type { IntOrString } from './pod/types.ts'
import { validateSameSelector } from './replicaset.ts'
import {
  containerColumns,
  countCell,
  isEmptySelector,
  STATUS,
  selectorColumn,
  selectsTemplate,
  templateMismatch,
  templateOf,
  validateCollisionCount,
  validateCounts,
  validateLastingTemplate,
  type WorkloadSpec,
  withoutController,
  workloadSpec,
  workloadWarnings,
} from './workload-template.ts'

type RollingUpdate = { maxUnavailable?: IntOrString; maxSurge?: IntOrString }
type DaemonSetSpec = WorkloadSpec & { updateStrategy?: { type?: string; rollingUpdate?: RollingUpdate } }

function defaults(object: KubeObject): void {
  const spec = (object['spec'] ??= {}) as DaemonSetSpec
  dropNulls(spec)
  dropNulls(object['status'])
  defaultPodTemplate(spec.template)
  spec.updateStrategy ??= {}
  spec.updateStrategy.type ||= 'RollingUpdate'
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {}
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1
    spec.updateStrategy.rollingUpdate.maxSurge ??= 0
  }
  spec.revisionHistoryLimit ??= 10
}

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = workloadSpec<DaemonSetSpec>(object)
  const { selector, template } = spec
  errors.push(...validateLabelSelector(selector, 'spec.selector'))
  // Without a selector nothing is selected: Kubernetes has no other error for it.
  if (!selectsTemplate(selector, template)) errors.push(templateMismatch(template, 'spec.template'))
  if (selector != null && isEmptySelector(selector))
    errors.push(fieldError.invalid('spec.selector', selector, 'empty selector is invalid for daemonset'))
  validateLastingTemplate(template, 'DaemonSet', 'spec.template', errors)
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateUpdateStrategy(spec, errors)
  nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
  return errors
}

function validateUpdateStrategy(spec: DaemonSetSpec, errors: FieldError[]): void {
  const { type = '', rollingUpdate } = spec.updateStrategy ?? {}
  const path = 'spec.updateStrategy.rollingUpdate'
  if (type === 'OnDelete') return
  if (type !== 'RollingUpdate')
    errors.push(
      fieldError.notSupported('spec.updateStrategy', spec.updateStrategy ?? {}, ['RollingUpdate', 'OnDelete']),
    )
  else if (rollingUpdate == null) errors.push(fieldError.required(path))
  else validateRollingUpdate(rollingUpdate, path, errors)
}

/** Either some pods may be missing or some may be too many, not both and not neither. */
function validateRollingUpdate(update: RollingUpdate, path: string, errors: FieldError[]): void {
  for (const field of ['maxUnavailable', 'maxSurge'] as const) intOrPercent(update[field], `${path}.${field}`, errors)
  for (const field of ['maxUnavailable', 'maxSurge'] as const)
    notMoreThan100Percent(update[field], `${path}.${field}`, errors)
  const unavailable = intOrPercentValue(update.maxUnavailable) !== 0
  const surge = intOrPercentValue(update.maxSurge) !== 0
  if (unavailable && surge)
    errors.push(
      fieldError.invalid(`${path}.maxSurge`, update.maxSurge, 'may not be set when maxUnavailable is non-zero'),
    )
  if (!unavailable && !surge)
    errors.push(fieldError.required(`${path}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
}

const COUNTS = [
  'currentNumberScheduled',
  'numberMisscheduled',
  'desiredNumberScheduled',
  'numberReady',
  'observedGeneration',
  'updatedNumberScheduled',
  'numberAvailable',
  'numberUnavailable',
  'collisionCount',
]

function validateStatus(object: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateCounts(object['status'], COUNTS, errors)
  validateCollisionCount(object, old, errors)
  return errors
}

export const daemonSetKind: ResourceDefinition = {
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  singular: 'daemonset',
  shortNames: ['ds'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.apps.v1.DaemonSet',
  subresources: [STATUS],
  columns: [
    nameColumn,
    column('Desired', 'integer', 'How many nodes should run the pod.', countCell('status', 'desiredNumberScheduled')),
    column('Current', 'integer', 'How many of them run it.', countCell('status', 'currentNumberScheduled')),
    column('Ready', 'integer', 'On how many the pod is ready.', countCell('status', 'numberReady')),
    column(
      'Up-to-date',
      'integer',
      'On how many it has the current template.',
      countCell('status', 'updatedNumberScheduled'),
    ),
    column(
      'Available',
      'integer',
      'On how many it has been ready for long enough.',
      countCell('status', 'numberAvailable'),
    ),
    column('Node Selector', 'string', 'Labels of the nodes that run the pod.', (object) =>
      formatLabels(templateOf(object)?.spec?.nodeSelector),
    ),
    ageColumn,
    ...containerColumns(templateOf),
    selectorColumn,
  ],
  createWarning: withoutController('DaemonSet'),
  strategy: {
    defaults,
    prepareForCreate: (object) => {
      object['status'] = {
        currentNumberScheduled: 0,
        desiredNumberScheduled: 0,
        numberMisscheduled: 0,
        numberReady: 0,
      }
    },
    validate: onCreate(validate),
    validateUpdate: (object, old, { subresource }) =>
      subresource === 'status'
        ? validateStatus(object, old)
        : [...validate(object), ...validateSameSelector(object, old)],
    hasGeneration: true,
    warnings: (object, old) => workloadWarnings(object, old, 'Pod names and hostnames'),
  },
}
