import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { validateAnnotations, validateLabels } from '../validation/meta.ts'
import { validatePodAnnotations } from './pod/annotations.ts'
import { defaultClaimSpec, defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { semanticEqual } from './pod/equality.ts'
import { intOrPercent, intOrPercentValue, nonNegative, notMoreThan100Percent, oneOf } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import type { ClaimSpec, IntOrString, PodTemplateSpec } from './pod/types.ts'
import {
  containerColumns,
  countCell,
  mustSelect,
  SCALE,
  STATUS,
  selectsTemplate,
  templateMismatch,
  templateOf,
  validateCollisionCount,
  validateCounts,
  validateLastingPods,
  validateWorkloadSelector,
  type WorkloadSpec,
  withoutController,
  workloadSpec,
  workloadWarnings,
} from './workload-template.ts'

type StatefulSetSpec = WorkloadSpec & {
  podManagementPolicy?: string
  updateStrategy?: { type?: string; rollingUpdate?: { partition?: number; maxUnavailable?: IntOrString } }
  persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string; whenScaled?: string }
  ordinals?: { start?: number }
  volumeClaimTemplates?: { apiVersion?: string; kind?: string; spec?: ClaimSpec; status?: { phase?: string } }[]
}

function defaults(object: KubeObject): void {
  const spec = (object['spec'] ??= {}) as StatefulSetSpec
  dropNulls(spec)
  dropNulls(object['status'])
  defaultPodTemplate(spec.template)
  spec.podManagementPolicy ||= 'OrderedReady'
  spec.updateStrategy ??= {}
  if (!spec.updateStrategy.type) {
    spec.updateStrategy.type = 'RollingUpdate'
    spec.updateStrategy.rollingUpdate ??= {}
  }
  if (spec.updateStrategy.type === 'RollingUpdate' && spec.updateStrategy.rollingUpdate != null)
    spec.updateStrategy.rollingUpdate.partition ??= 0
  spec.persistentVolumeClaimRetentionPolicy ??= {}
  spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= 'Retain'
  spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= 'Retain'
  spec.replicas ??= 1
  spec.revisionHistoryLimit ??= 10
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion = 'v1'
    claim.kind = 'PersistentVolumeClaim'
    defaultClaimSpec(claim.spec)
    claim.status ??= {}
    claim.status.phase ||= 'Pending'
  }
}

const RETENTION = ['Retain', 'Delete']

function validate(object: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = workloadSpec<StatefulSetSpec>(object)
  const policy = spec.podManagementPolicy ?? ''
  if (policy === '') errors.push(fieldError.required('spec.podManagementPolicy'))
  else if (policy !== 'OrderedReady' && policy !== 'Parallel')
    errors.push(fieldError.invalid('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'"))
  validateUpdateStrategy(spec, errors)
  const retention = spec.persistentVolumeClaimRetentionPolicy
  for (const field of ['whenDeleted', 'whenScaled'] as const)
    if (retention != null)
      oneOf(retention[field], RETENTION, `spec.persistentVolumeClaimRetentionPolicy.${field}`, errors)
  nonNegative(spec.replicas, 'spec.replicas', errors)
  nonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  nonNegative(spec.ordinals?.start, 'spec.ordinals.start', errors)
  validateWorkloadSelector(spec, 'statefulset', errors)
  if (mustSelect(spec.selector) && !selectsTemplate(spec.selector, spec.template))
    errors.push(templateMismatch(spec.template, 'spec.template'))
  validateTemplate(spec.template, errors)
  validateLastingPods(spec.template, 'StatefulSet', 'spec.template', errors)
  return errors
}

/** Mounts may refer to the claim templates, so the pod's spec as such is not checked here, nor is it by Kubernetes. */
function validateTemplate(template: PodTemplateSpec | undefined, errors: FieldError[]): void {
  const { labels, annotations } = template?.metadata ?? {}
  errors.push(...validateLabels(labels, 'spec.template.labels'))
  errors.push(...validateAnnotations(annotations, 'spec.template.annotations'))
  validatePodAnnotations(annotations, template?.spec ?? {}, 'spec.template.annotations', errors)
}

function validateUpdateStrategy(spec: StatefulSetSpec, errors: FieldError[]): void {
  const path = 'spec.updateStrategy'
  const { type = '', rollingUpdate } = spec.updateStrategy ?? {}
  if (type === '') errors.push(fieldError.required(path))
  else if (type === 'OnDelete') {
    if (rollingUpdate != null)
      errors.push(
        fieldError.invalid(`${path}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'"),
      )
  } else if (type !== 'RollingUpdate')
    errors.push(fieldError.invalid(path, spec.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'"))
  else if (rollingUpdate != null) {
    nonNegative(rollingUpdate.partition, `${path}.rollingUpdate.partition`, errors)
    const max = rollingUpdate.maxUnavailable
    if (max == null) return
    const at = `${path}.rollingUpdate.maxUnavailable`
    intOrPercent(max, at, errors)
    if (intOrPercentValue(max) === 0) errors.push(fieldError.invalid(at, max, 'cannot be 0'))
    notMoreThan100Percent(max, at, errors)
  }
}

const UPDATABLE = [
  'replicas',
  'template',
  'updateStrategy',
  'minReadySeconds',
  'ordinals',
  'persistentVolumeClaimRetentionPolicy',
]

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const errors = validate(object)
  const masked: Record<string, unknown> = { ...object['spec'] }
  for (const field of UPDATABLE) masked[field] = old['spec']?.[field]
  if (!semanticEqual(masked, old['spec']))
    errors.push(
      fieldError.forbidden(
        'spec',
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
      ),
    )
  return errors
}

const COUNTS = [
  'replicas',
  'readyReplicas',
  'currentReplicas',
  'updatedReplicas',
  'availableReplicas',
  'observedGeneration',
  'collisionCount',
]
const OVER_REPLICAS = 'cannot be greater than status.replicas'

function validateStatus(object: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateCounts(object['status'], COUNTS, errors, [
    ['readyReplicas', 'replicas', OVER_REPLICAS],
    ['currentReplicas', 'replicas', OVER_REPLICAS],
    ['updatedReplicas', 'replicas', OVER_REPLICAS],
    ['availableReplicas', 'replicas', OVER_REPLICAS],
    ['availableReplicas', 'readyReplicas', 'cannot be greater than status.readyReplicas'],
  ])
  validateCollisionCount(object, old, errors)
  return errors
}

export const statefulSetKind: ResourceDefinition = {
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  singular: 'statefulset',
  shortNames: ['sts'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.apps.v1.StatefulSet',
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
    ageColumn,
    ...containerColumns(templateOf),
  ],
  createWarning: withoutController('StatefulSet'),
  strategy: {
    nameFormat: 'dns-label',
    defaults,
    prepareForCreate: (object) => {
      object['status'] = { replicas: 0, availableReplicas: 0 }
    },
    validate: onCreate(validate),
    validateUpdate: (object, old, { subresource }) =>
      subresource === 'status' ? validateStatus(object, old) : validateUpdate(object, old),
    hasGeneration: true,
    warnings: (object) => workloadWarnings(object, object, 'Pod names and hostnames'),
  },
}
