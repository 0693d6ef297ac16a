import type { KubeObject } from '../../api/object.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, humanDuration, nameColumn } from '../printing.ts'
import { hasJobCondition, validateJobStatus } from './job-status.ts'
import type { JobSpec, JobStatus } from './job-types.ts'
import { JOB_LABELS, validateJob, validateJobUpdate } from './job-validation.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { MAX_INT32 } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import { podWarnings } from './pod/warnings.ts'
import { containerColumns, STATUS, selectorColumn, templateOf, withoutController } from './workload-template.ts'

const specOf = (job: KubeObject): JobSpec => (job['spec'] ?? {}) as JobSpec
const statusOf = (job: KubeObject): JobStatus => (job['status'] ?? {}) as JobStatus

function defaults(job: KubeObject): void {
  const spec = (job['spec'] ??= {}) as JobSpec
  dropNulls(spec)
  dropNulls(job['status'])
  defaultPodTemplate(spec.template)
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1
  spec.parallelism ??= 1
  spec.backoffLimit ??= spec.backoffLimitPerIndex == null ? 6 : MAX_INT32
  const labels = spec.template?.metadata?.labels
  if (labels !== undefined && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels }
  spec.completionMode ??= 'NonIndexed'
  spec.suspend ??= false
  spec.manualSelector ??= false
  for (const rule of spec.podFailurePolicy?.rules ?? [])
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True'
  spec.podReplacementPolicy ??= spec.podFailurePolicy == null ? 'TerminatingOrFailed' : 'Failed'
}

/**
 * Without manualSelector the server makes the selector from the job's uid, and the labels that it selects. A label
 * that is there already stays: validation says whether it is right.
 */
function generateSelector(job: KubeObject): void {
  const spec = specOf(job)
  if (spec.manualSelector === true) return
  spec.template ??= {}
  spec.template.metadata ??= {}
  const labels = (spec.template.metadata.labels ??= {})
  for (const [label, of] of JOB_LABELS) if (!Object.hasOwn(labels, label)) labels[label] = job.metadata[of] ?? ''
  spec.selector ??= {}
  spec.selector.matchLabels ??= {}
  const key = 'batch.kubernetes.io/controller-uid'
  if (!Object.hasOwn(spec.selector.matchLabels, key)) spec.selector.matchLabels[key] = job.metadata.uid ?? ''
}

function statusCell(job: KubeObject): string {
  const status = statusOf(job)
  if (hasJobCondition(status, 'Complete')) return 'Complete'
  if (hasJobCondition(status, 'Failed')) return 'Failed'
  if (job.metadata.deletionTimestamp != null) return 'Terminating'
  if (hasJobCondition(status, 'Suspended')) return 'Suspended'
  return hasJobCondition(status, 'FailureTarget') ? 'FailureTarget' : 'Running'
}

function completionsCell(job: KubeObject): string {
  const { completions, parallelism = 0 } = specOf(job)
  const succeeded = statusOf(job).succeeded ?? 0
  if (completions != null) return `${succeeded}/${completions}`
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`
}

function durationCell(job: KubeObject, now: number): string {
  const { startTime, completionTime } = statusOf(job)
  if (!startTime) return ''
  return humanDuration((completionTime ? Date.parse(completionTime) : now) - Date.parse(startTime))
}

export const jobKind: ResourceDefinition = {
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  plural: 'jobs',
  singular: 'job',
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.batch.v1.Job',
  subresources: [STATUS],
  columns: [
    nameColumn,
    column('Status', 'string', 'Whether the job runs, waits, or has ended and how.', statusCell),
    column('Completions', 'string', 'How many pods have succeeded, of how many.', completionsCell),
    column('Duration', 'string', 'Time from the start to the end, or until now.', durationCell),
    ageColumn,
    ...containerColumns(templateOf),
    selectorColumn,
  ],
  selectableFields: { 'status.successful': (job) => String(statusOf(job).succeeded ?? 0) },
  createWarning: withoutController('Job'),
  strategy: {
    defaults,
    prepareForCreate: (job) => {
      generateSelector(job)
      job['status'] = {}
    },
    validate: onCreate(validateJob),
    validateUpdate: (job, old, { subresource }) =>
      subresource === 'status' ? validateJobStatus(job, old) : validateJobUpdate(job, old),
    hasGeneration: true,
    warnings: (job) => podWarnings(specOf(job).template?.metadata, specOf(job).template?.spec ?? {}, 'spec.template.'),
  },
}
