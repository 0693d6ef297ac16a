import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { intOrPercent, intOrPercentValue, nonNegative, notMoreThan100Percent } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import type { IntOrString } from './pod/types.ts'
import { validateReplicaTemplate, validateSameSelector } from './replicaset.ts'
import {
  containerColumns,
  countCell,
  SCALE,
  STATUS,
  selectorColumn,
  templateOf,
  validateCollisionCount,
  validateCounts,
  type WorkloadSpec,
  withoutController,
  workloadSpec,
  workloadWarnings,
} from './workload-template.ts'

type RollingUpdate = { maxUnavailable?: IntOrString; maxSurge?: IntOrString }
type DeploymentSpec = WorkloadSpec & {
  strategy?: { type?: string; rollingUpdate?: RollingUpdate }
  progressDeadlineSeconds?: number
}

function defaults(object: KubeObject): void {
  const spec = (object['spec'] ??= {}) as DeploymentSpec
  dropNulls(spec)
  dropNulls(object['status'])
  defaultPodTemplate(spec.template)
  spec.replicas ??= 1
  spec.strategy ??= {}
  spec.strategy.type ||= 'RollingUpdate'
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {}
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%'
    spec.strategy.rollingUpdate.maxSurge ??= '25%'
  }
  spec.revisionHistoryLimit ??= 10
  spec.progressDeadlineSeconds ??= 600
}

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = workloadSpec<DeploymentSpec>(object)
  nonNegative(spec.replicas, 'spec.replicas', errors)
  validateReplicaTemplate(spec, errors)
  validateStrategy(spec, errors)
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  nonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
  const deadline = spec.progressDeadlineSeconds
  if (deadline == null) return errors
  nonNegative(deadline, 'spec.progressDeadlineSeconds', errors)
  if (deadline <= (spec.minReadySeconds ?? 0))
    errors.push(fieldError.invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
  return errors
}

function validateStrategy(spec: DeploymentSpec, errors: FieldError[]): void {
  const path = 'spec.strategy.rollingUpdate'
  const { type = '', rollingUpdate } = spec.strategy ?? {}
  switch (type) {
    case 'Recreate':
      if (rollingUpdate != null)
        errors.push(fieldError.forbidden(path, "may not be specified when strategy `type` is 'Recreate'"))
      break
    case 'RollingUpdate':
      if (rollingUpdate == null) errors.push(fieldError.required(path, 'this should be defaulted and never be nil'))
      else validateRollingUpdate(rollingUpdate, path, errors)
      break
    default:
      errors.push(fieldError.notSupported('spec.strategy', spec.strategy ?? {}, ['Recreate', 'RollingUpdate']))
  }
}

function validateRollingUpdate(update: RollingUpdate, path: string, errors: FieldError[]): void {
  const { maxUnavailable, maxSurge } = update
  intOrPercent(maxUnavailable, `${path}.maxUnavailable`, errors)
  intOrPercent(maxSurge, `${path}.maxSurge`, errors)
  if (intOrPercentValue(maxUnavailable) === 0 && intOrPercentValue(maxSurge) === 0)
    errors.push(fieldError.invalid(`${path}.maxUnavailable`, maxUnavailable ?? 0, 'may not be 0 when `maxSurge` is 0'))
  notMoreThan100Percent(maxUnavailable, `${path}.maxUnavailable`, errors)
}

const COUNTS = [
  'observedGeneration',
  'replicas',
  'updatedReplicas',
  'readyReplicas',
  'availableReplicas',
  'unavailableReplicas',
  'collisionCount',
]
const OVER_REPLICAS = 'cannot be greater than status.replicas'

function validateStatus(object: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateCounts(object['status'], COUNTS, errors, [
    ['updatedReplicas', 'replicas', OVER_REPLICAS],
    ['readyReplicas', 'replicas', OVER_REPLICAS],
    ['availableReplicas', 'replicas', OVER_REPLICAS],
    ['availableReplicas', 'readyReplicas', 'cannot be greater than readyReplicas'],
  ])
  validateCollisionCount(object, old, errors)
  return errors
}

export const deploymentKind: ResourceDefinition = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.apps.v1.Deployment',
  subresources: [SCALE, STATUS],
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.replicas',
    labelSelectorPath: '.spec.selector',
  },
  columns: [
    nameColumn,
    column(
      'Ready',
      'string',
      'How many of the wanted pods are ready.',
      (object) => `${countCell('status', 'readyReplicas')(object)}/${countCell('spec', 'replicas')(object)}`,
    ),
    column('Up-to-date', 'string', 'How many pods have the current template.', countCell('status', 'updatedReplicas')),
    column(
      'Available',
      'string',
      'How many pods have been ready for long enough.',
      countCell('status', 'availableReplicas'),
    ),
    ageColumn,
    ...containerColumns(templateOf),
    selectorColumn,
  ],
  createWarning: withoutController('Deployment'),
  strategy: {
    defaults,
    prepareForCreate: (object) => {
      object['status'] = {}
    },
    prepareForUpdate: ({ metadata }, old, { subresource }) => {
      if (subresource !== 'status') return
      if (old.metadata.labels === undefined) delete metadata.labels
      else metadata.labels = old.metadata.labels
    },
    resetFields: { status: [['spec'], ['metadata', 'labels']] },
    validate: onCreate(validate),
    validateUpdate: (object, old, { subresource }) =>
      subresource === 'status'
        ? validateStatus(object, old)
        : [...validate(object), ...validateSameSelector(object, old)],
    hasGeneration: true,
    generationCountsAnnotations: true,
    warnings: (object, old) => workloadWarnings(object, old, 'Pod names and hostnames'),
  },
}
