import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { semanticEqual } from './pod/equality.ts'
import { nonNegative } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import { validateReplicaStatus } from './replicationcontroller.ts'
import {
  containerColumns,
  countCell,
  mustSelect,
  SCALE,
  STATUS,
  selectorColumn,
  selectsTemplate,
  templateMismatch,
  templateOf,
  validateLastingTemplate,
  validateWorkloadSelector,
  type WorkloadSpec,
  withoutController,
  workloadSpec,
  workloadWarnings,
} from './workload-template.ts'

function defaults(object: KubeObject): void {
  const spec = (object['spec'] ??= {}) as WorkloadSpec
  dropNulls(spec)
  dropNulls(object['status'])
  defaultPodTemplate(spec.template)
  spec.replicas ??= 1
}

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = workloadSpec(object)
  nonNegative(spec.replicas, 'spec.replicas', errors)
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateReplicaTemplate(spec, errors)
  return errors
}

/** Selector and template, as ReplicaSets and Deployments have them (Kubernetes says "deployment" of both). */
export function validateReplicaTemplate(spec: WorkloadSpec, errors: FieldError[]): void {
  validateWorkloadSelector(spec, 'deployment', errors)
  if (mustSelect(spec.selector) && !selectsTemplate(spec.selector, spec.template))
    errors.push(templateMismatch(spec.template, 'spec.template'))
  validateLastingTemplate(spec.template, 'ReplicaSet', 'spec.template', errors)
}

/** In apps/v1 a selector is for ever. */
export function validateSameSelector(object: KubeObject, old: KubeObject): FieldError[] {
  const selector = workloadSpec(object).selector
  return semanticEqual(selector, workloadSpec(old).selector)
    ? []
    : [fieldError.invalid('spec.selector', selector, IMMUTABLE)]
}

export const replicaSetKind: ResourceDefinition = {
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.apps.v1.ReplicaSet',
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
    selectorColumn,
  ],
  selectableFields: { 'status.replicas': (object) => String(countCell('status', 'replicas')(object)) },
  createWarning: withoutController('ReplicaSet'),
  strategy: {
    defaults,
    prepareForCreate: (object) => {
      object['status'] = { replicas: 0 }
    },
    validate: onCreate(validate),
    validateUpdate: (object, old, { subresource }) =>
      subresource === 'status'
        ? validateReplicaStatus(object)
        : [...validate(object), ...validateSameSelector(object, old)],
    hasGeneration: true,
    warnings: (object, old) => workloadWarnings(object, old, 'Pod names and hostnames'),
  },
}
