import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, formatLabels, nameColumn } from '../printing.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { nonNegative } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import type { PodTemplateSpec } from './pod/types.ts'
import {
  containerColumns,
  countCell,
  SCALE,
  STATUS,
  selectsTemplate,
  templateMismatch,
  templateOf,
  validateCounts,
  validateLastingTemplate,
  withoutController,
  workloadWarnings,
} from './workload-template.ts'

/** A ReplicationController's selector is a plain map of labels. */
type Spec = {
  replicas?: number
  minReadySeconds?: number
  selector?: Record<string, string>
  template?: PodTemplateSpec
}
const specOf = (object: KubeObject): Spec => (object['spec'] ?? {}) as Spec

function defaults(object: KubeObject): void {
  const spec = (object['spec'] ??= {}) as Spec
  dropNulls(spec)
  dropNulls(object['status'])
  defaultPodTemplate(spec.template)
  spec.replicas ??= 1
  const labels = spec.template?.metadata?.labels
  if (labels === undefined) return
  if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
  if (Object.keys(object.metadata.labels ?? {}).length === 0) object.metadata.labels = { ...labels }
}

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(object)
  const selector = spec.selector ?? {}
  const selects = Object.keys(selector).length > 0
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  if (!selects) errors.push(fieldError.required('spec.selector'))
  nonNegative(spec.replicas, 'spec.replicas', errors)
  if (spec.template == null) {
    errors.push(fieldError.required('spec.template'))
    return errors
  }
  if (selects && !selectsTemplate({ matchLabels: selector }, spec.template))
    errors.push(templateMismatch(spec.template, 'spec.template'))
  validateLastingTemplate(spec.template, 'ReplicationController', 'spec.template', errors)
  return errors
}

export const REPLICA_COUNTS: readonly string[] = [
  'replicas',
  'fullyLabeledReplicas',
  'readyReplicas',
  'availableReplicas',
  'observedGeneration',
]
const OVER_REPLICAS = 'cannot be greater than status.replicas'
export const REPLICA_LIMITS: readonly (readonly [string, string, string])[] = [
  ['fullyLabeledReplicas', 'replicas', OVER_REPLICAS],
  ['readyReplicas', 'replicas', OVER_REPLICAS],
  ['availableReplicas', 'replicas', OVER_REPLICAS],
  ['availableReplicas', 'readyReplicas', 'cannot be greater than readyReplicas'],
]

export function validateReplicaStatus(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateCounts(object['status'], REPLICA_COUNTS, errors, REPLICA_LIMITS)
  return errors
}

export const replicationControllerKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'ReplicationController',
  plural: 'replicationcontrollers',
  singular: 'replicationcontroller',
  shortNames: ['rc'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.ReplicationController',
  subresources: [SCALE, STATUS],
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.spec.selector',
  },
  columns: [
    nameColumn,
    column('Desired', 'integer', 'How many pods there should be.', countCell('spec', 'replicas')),
    column('Current', 'integer', 'How many pods there are.', countCell('status', 'replicas')),
    column('Ready', 'integer', 'How many pods are ready.', countCell('status', 'readyReplicas')),
    ageColumn,
    ...containerColumns(templateOf),
    column(
      'Selector',
      'string',
      'Labels of the pods that belong to the controller.',
      (object) => formatLabels(specOf(object).selector),
      1,
    ),
  ],
  selectableFields: { 'status.replicas': (object) => String(countCell('status', 'replicas')(object)) },
  createWarning: withoutController('ReplicationController'),
  strategy: {
    defaults,
    prepareForCreate: (object) => {
      object['status'] = { replicas: 0 }
    },
    validate: onCreate(validate),
    validateUpdate: (object, _old, { subresource }) =>
      subresource === 'status' ? validateReplicaStatus(object) : validate(object),
    hasGeneration: true,
    warnings: (object, old) => workloadWarnings(object, old, 'Pod names and hostnames'),
  },
}
