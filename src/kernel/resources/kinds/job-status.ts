import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { parseIndexes } from './job-indexes.ts'
import { isIndexed, type JobSpec, type JobStatus } from './job-types.ts'
import { semanticEqual } from './pod/equality.ts'
import { nonNegative } from './pod/formats.ts'

/** What may be written into a job's status (pkg/apis/batch/validation, ValidateJobStatusUpdate). */

const COUNTS = ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const

export const hasJobCondition = (status: JobStatus | undefined, type: string): boolean =>
  status?.conditions?.find((c) => c.type === type)?.status === 'True'

export function validateJobStatus(job: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = (old['spec'] ?? {}) as JobSpec
  const status = (job['status'] ?? {}) as JobStatus
  const before = (old['status'] ?? {}) as JobStatus
  for (const field of COUNTS) nonNegative(status[field], `status.${field}`, errors)
  validateUncounted(status, errors)
  // Kubernetes holds old objects to these rules only where the writer touches what they are about.
  if (!semanticEqual(status.conditions, before.conditions)) validateConditions(status, before, spec, errors)
  validateTimes(status, before, spec, errors)
  if (isFinished(status) && !isFinished(before)) validateFinished(status, errors)
  validateIndexLists(status, before, spec, errors)
  if ((status.ready ?? 0) > (status.active ?? 0) && status.ready !== before.ready)
    errors.push(fieldError.invalid('status.ready', status.ready, 'cannot set more ready pods than active'))
  for (const field of ['failed', 'succeeded'] as const)
    if ((status[field] ?? 0) < (before[field] ?? 0))
      errors.push(fieldError.invalid(`status.${field}`, status[field] ?? 0, `cannot decrease the ${field} counter`))
  return errors
}

const isFinished = (status: JobStatus): boolean =>
  hasJobCondition(status, 'Complete') || hasJobCondition(status, 'Failed')

function validateUncounted(status: JobStatus, errors: FieldError[]): void {
  const seen = new Set<string>()
  for (const list of ['succeeded', 'failed'] as const)
    status.uncountedTerminatedPods?.[list]?.forEach((uid, i) => {
      const at = `status.uncountedTerminatedPods.${list}[${i}]`
      if (uid === '') errors.push(fieldError.invalid(at, uid, 'must not be empty'))
      else if (seen.has(uid)) errors.push(fieldError.duplicate(at, uid))
      seen.add(uid)
    })
}

const TERMINAL = ['Failed', 'Complete', 'FailureTarget', 'SuccessCriteriaMet']

function validateConditions(status: JobStatus, before: JobStatus, spec: JobSpec, errors: FieldError[]): void {
  const refuse = (why: string): void => {
    errors.push(fieldError.invalid('status.conditions', status.conditions ?? [], why))
  }
  const now = (type: string): boolean => hasJobCondition(status, type)
  if (now('Complete') && now('Failed')) refuse('cannot set Complete=True and Failed=true conditions')
  if (now('Complete') && now('FailureTarget')) refuse('cannot set Complete=True and FailureTarget=true conditions')
  if (now('Failed') && !now('FailureTarget'))
    refuse('cannot set Failed=True condition without the FailureTarget=true condition')
  if (now('SuccessCriteriaMet') && now('Failed'))
    refuse('cannot set SuccessCriteriaMet=True and Failed=true conditions')
  if (now('SuccessCriteriaMet') && now('FailureTarget'))
    refuse('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions')
  if (now('Complete') && !now('SuccessCriteriaMet'))
    refuse(
      spec.successPolicy == null
        ? 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition'
        : 'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True',
    )
  for (const type of TERMINAL)
    if (hasJobCondition(before, type) && !now(type))
      refuse(
        type === 'SuccessCriteriaMet'
          ? 'cannot disable the SuccessCriteriaMet=True condition'
          : `cannot disable the terminal ${type}=True condition`,
      )
}

function validateTimes(status: JobStatus, before: JobStatus, spec: JobSpec, errors: FieldError[]): void {
  const { completionTime, startTime } = status
  const at = 'status.completionTime'
  const complete = hasJobCondition(status, 'Complete')
  const changed = (completionTime ?? '') !== (before.completionTime ?? '')
  if (changed || complete !== hasJobCondition(before, 'Complete')) {
    if (completionTime && !complete)
      errors.push(
        fieldError.invalid(at, completionTime, 'cannot set completionTime when there is no Complete=True condition'),
      )
    if (!completionTime && complete)
      errors.push(fieldError.required(at, 'completionTime is required for Complete jobs'))
  }
  if (changed && startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime))
    errors.push(fieldError.invalid(at, completionTime, 'completionTime cannot be set before startTime'))
  if (changed && completionTime && before.completionTime)
    errors.push(fieldError.invalid(at, completionTime, 'completionTime cannot be mutated'))
  if (before.startTime && before.startTime !== startTime && !spec.suspend)
    errors.push(fieldError.required('status.startTime', 'startTime cannot be removed for unsuspended job'))
}

function validateFinished(status: JobStatus, errors: FieldError[]): void {
  for (const field of ['active', 'terminating'] as const)
    if ((status[field] ?? 0) > 0)
      errors.push(fieldError.invalid(`status.${field}`, status[field], `${field}>0 is invalid for finished job`))
  if (!status.startTime) errors.push(fieldError.required('status.startTime', 'startTime is required for finished job'))
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {}
  if (succeeded.length + failed.length > 0)
    errors.push(
      fieldError.invalid(
        'status.uncountedTerminatedPods',
        status.uncountedTerminatedPods,
        'uncountedTerminatedPods needs to be empty for finished job',
      ),
    )
}

function validateIndexLists(status: JobStatus, before: JobStatus, spec: JobSpec, errors: FieldError[]): void {
  const check = (field: 'completedIndexes' | 'failedIndexes', refusal: string | undefined): void => {
    const text = status[field]
    if (!text || text === before[field]) return
    const parsed = parseIndexes(text, spec.completions ?? Number.MAX_SAFE_INTEGER)
    if ('error' in parsed)
      errors.push(fieldError.invalid(`status.${field}`, text, `error parsing ${field}: ${parsed.error}`))
    if (refusal !== undefined) errors.push(fieldError.invalid(`status.${field}`, text, refusal))
  }
  check(
    'completedIndexes',
    isIndexed(spec) ? undefined : 'cannot set non-empty completedIndexes when non-indexed completion mode',
  )
  check(
    'failedIndexes',
    spec.backoffLimitPerIndex == null
      ? 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'
      : undefined,
  )
}
