import type { KubeObject } from '../../api/object.ts'
import { compileLabelSelector, matchesSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { IMMUTABLE, validateLabelSelector } from '../validation/meta.ts'
import { dns1123Label, dns1123Subdomain, patternMessage } from '../validation/names.ts'
import { validatePodFailurePolicy, validateSuccessPolicy } from './job-policies.ts'
import { isIndexed, type JobSpec, type JobStatus } from './job-types.ts'
import { semanticEqual } from './pod/equality.ts'
import { invalidEach, nonNegative, oneOfIfSet } from './pod/formats.ts'
import { validatePodTemplateSpec } from './pod/template.ts'
import type { PodTemplateSpec } from './pod/types.ts'
import { selectsTemplate, templateMismatch } from './workload-template.ts'

/** pkg/apis/batch/validation, ValidateJob. */

const MAX_INDEXED_PARALLELISM = 100_000
const MAX_FAILED_INDEXES = 100_000
const MANY_COMPLETIONS = 100_000
const LIMIT_FOR_MANY = 10_000
const MANAGED_BY_MAX = 63
export const JOB_LABELS: readonly (readonly [label: string, of: 'uid' | 'name'])[] = [
  ['controller-uid', 'uid'],
  ['job-name', 'name'],
  ['batch.kubernetes.io/controller-uid', 'uid'],
  ['batch.kubernetes.io/job-name', 'name'],
]

const specOf = (job: KubeObject): JobSpec => (job['spec'] ?? {}) as JobSpec

export function validateJob(job: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(job)
  validateGeneratedSelector(job, spec, errors)
  validateSpecWithSelector(spec, errors)
  if (isIndexed(spec) && (spec.completions ?? 0) > 0) {
    const hostname = `${job.metadata.name ?? ''}-${spec.completions! - 1}`
    if (dns1123Label(hostname).length > 0)
      errors.push(
        fieldError.invalid(
          'metadata.name',
          job.metadata.name,
          `will not able to create pod with invalid DNS label: ${hostname}`,
        ),
      )
  }
  return errors
}

/** The selector and labels that the server made must be as it makes them, unless manualSelector is set. */
function validateGeneratedSelector(job: KubeObject, spec: JobSpec, errors: FieldError[]): void {
  if (spec.manualSelector === true || spec.selector == null) return
  if (!job.metadata.uid) errors.push(fieldError.required('metadata.uid'))
  const labels = spec.template?.metadata?.labels ?? {}
  const expected: Record<string, string> = {}
  for (const [label, of] of JOB_LABELS) {
    const value = job.metadata[of] ?? ''
    expected[label] = value
    const at = `spec.template.metadata.labels[${label}]`
    if (!Object.hasOwn(labels, label)) errors.push(fieldError.required(at, `must be '${value}'`))
    else if (labels[label] !== value) errors.push(fieldError.invalid(at, labels, `must be '${value}'`))
  }
  const selector = compileLabelSelector(spec.selector)
  if (selector !== undefined && !matchesSelector(selector, expected))
    errors.push(fieldError.invalid('spec.selector', spec.selector, '`selector` not auto-generated'))
}

function validateSpecWithSelector(spec: JobSpec, errors: FieldError[]): void {
  validateJobSpec(spec, 'spec', errors)
  if (spec.selector == null) errors.push(fieldError.required('spec.selector'))
  else errors.push(...validateLabelSelector(spec.selector, 'spec.selector'))
  if (!selectsTemplate(spec.selector, spec.template)) errors.push(templateMismatch(spec.template, 'spec.template'))
}

const COUNTS = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
  'backoffLimitPerIndex',
  'maxFailedIndexes',
] as const

/** The spec of a job, or of a cron job's template: everything but the selector. */
export function validateJobSpec(spec: JobSpec, path: string, errors: FieldError[]): void {
  for (const field of COUNTS) nonNegative(spec[field], `${path}.${field}`, errors)
  if (spec.maxFailedIndexes != null && spec.backoffLimitPerIndex == null)
    errors.push(fieldError.required(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  if (spec.managedBy != null) validateManagedBy(spec.managedBy, `${path}.managedBy`, errors)
  oneOfIfSet(spec.completionMode, ['NonIndexed', 'Indexed'], `${path}.completionMode`, errors)
  if (isIndexed(spec)) validateIndexed(spec, path, errors)
  else if (spec.completionMode == null || spec.completionMode === 'NonIndexed')
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const)
      if (spec[field] != null)
        errors.push(fieldError.invalid(`${path}.${field}`, spec[field], 'requires indexed completion mode'))
  if (spec.podFailurePolicy != null) validatePodFailurePolicy(spec, `${path}.podFailurePolicy`, errors)
  if (spec.successPolicy != null) {
    if (isIndexed(spec)) validateSuccessPolicy(spec, `${path}.successPolicy`, errors)
    else
      errors.push(fieldError.invalid(`${path}.successPolicy`, spec.successPolicy, 'requires indexed completion mode'))
  }
  const replacement = spec.podFailurePolicy == null ? ['Failed', 'TerminatingOrFailed'] : ['Failed']
  oneOfIfSet(spec.podReplacementPolicy, replacement, `${path}.podReplacementPolicy`, errors)
  validatePodTemplateSpec(spec.template, `${path}.template`, errors)
  validateRestartPolicy(spec, `${path}.template.spec.restartPolicy`, errors)
}

/** A job's pods end: they are never restarted for ever. */
function validateRestartPolicy(spec: JobSpec, path: string, errors: FieldError[]): void {
  const policy = spec.template?.spec?.restartPolicy ?? ''
  if (policy === 'Always' || policy === '') errors.push(fieldError.required(path, 'valid values: "OnFailure", "Never"'))
  else if (policy !== 'OnFailure' && policy !== 'Never')
    errors.push(fieldError.notSupported(path, policy, ['OnFailure', 'Never']))
  else if (spec.podFailurePolicy != null && policy !== 'Never')
    errors.push(fieldError.invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))
}

function validateIndexed(spec: JobSpec, path: string, errors: FieldError[]): void {
  const { completions, parallelism, maxFailedIndexes } = spec
  const atMost = (field: 'parallelism' | 'maxFailedIndexes', max: number, why: string): void => {
    if ((spec[field] ?? 0) > max)
      errors.push(fieldError.invalid(`${path}.${field}`, spec[field], `must be less than or equal to ${max}${why}`))
  }
  if (completions == null) errors.push(fieldError.required(`${path}.completions`, 'when completion mode is Indexed'))
  atMost('parallelism', MAX_INDEXED_PARALLELISM, ' when completion mode is Indexed')
  if (completions != null && maxFailedIndexes != null && maxFailedIndexes > completions)
    errors.push(
      fieldError.invalid(`${path}.maxFailedIndexes`, maxFailedIndexes, 'must be less than or equal to completions'),
    )
  atMost('maxFailedIndexes', MAX_FAILED_INDEXES, '')
  if ((completions ?? 0) <= MANY_COMPLETIONS || spec.backoffLimitPerIndex == null) return
  const many = ` when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`
  if (maxFailedIndexes == null)
    errors.push(
      fieldError.required(
        `${path}.maxFailedIndexes`,
        `must be specified when completions is above ${MANY_COMPLETIONS}`,
      ),
    )
  if (parallelism != null) atMost('parallelism', LIMIT_FOR_MANY, many)
  atMost('maxFailedIndexes', LIMIT_FOR_MANY, many)
}

const URL_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
const urlPath = new RegExp(`^${URL_PATH}$`)

/** `example.com/controller`. */
function validateManagedBy(value: string, path: string, errors: FieldError[]): void {
  const slash = value.indexOf('/')
  if (value === '') errors.push(fieldError.required(path))
  else if (slash <= 0 || slash === value.length - 1)
    errors.push(fieldError.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  else {
    const host = value.slice(0, slash)
    invalidEach(errors, path, host, dns1123Subdomain(host))
    if (!urlPath.test(value.slice(slash + 1)))
      errors.push(fieldError.invalid(path, value.slice(slash + 1), patternMessage('Invalid path', URL_PATH)))
  }
  if (value.length > MANAGED_BY_MAX) errors.push(fieldError.tooLong(path, MANAGED_BY_MAX))
}

const IMMUTABLE_FIELDS = [
  'selector',
  'completionMode',
  'podFailurePolicy',
  'backoffLimitPerIndex',
  'managedBy',
  'successPolicy',
] as const

export function validateJobUpdate(job: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(job)
  const before = specOf(old)
  validateSpecWithSelector(spec, errors)
  validateCompletions(spec, before, errors)
  for (const field of IMMUTABLE_FIELDS)
    if (!semanticEqual(spec[field], before[field]))
      errors.push(fieldError.invalid(`spec.${field}`, spec[field], IMMUTABLE))
  const waiting = before.suspend === true && (old['status'] as JobStatus | undefined)?.startTime == null
  const template = waiting ? withoutSchedulingDirectives(spec.template) : spec.template
  const oldTemplate = waiting ? withoutSchedulingDirectives(before.template) : before.template
  if (!semanticEqual(template, oldTemplate)) errors.push(fieldError.invalid('spec.template', spec.template, IMMUTABLE))
  return errors
}

/** Indexed jobs may grow and shrink, completions and parallelism together. */
function validateCompletions(spec: JobSpec, before: JobSpec, errors: FieldError[]): void {
  if ((spec.completions ?? null) === (before.completions ?? null)) return
  if (!isIndexed(spec)) errors.push(fieldError.invalid('spec.completions', spec.completions, IMMUTABLE))
  else if (spec.completions != null && spec.completions !== spec.parallelism)
    errors.push(
      fieldError.invalid('spec.completions', spec.completions, 'can only be modified in tandem with spec.parallelism'),
    )
}

/** While a job waits to be started, where its pods will run may still change. */
function withoutSchedulingDirectives(template: PodTemplateSpec | undefined): object {
  const { labels: _labels, annotations: _annotations, ...metadata } = template?.metadata ?? {}
  const {
    nodeSelector: _nodeSelector,
    tolerations: _tolerations,
    schedulingGates: _gates,
    affinity,
    ...spec
  } = template?.spec ?? {}
  const { nodeAffinity: _nodeAffinity, ...others } = affinity ?? {}
  return { metadata, spec: { ...spec, affinity: others } }
}
