import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, formatLabelSelector, nameColumn, translateTimestampSince } from '../printing.ts'
import { isTimeZone, scheduleProblem } from './cronjob-schedule.ts'
import type { JobSpec } from './job-types.ts'
import { validateJobSpec } from './job-validation.ts'
import { defaultPodTemplate, dropNulls } from './pod/defaults.ts'
import { nonNegative, oneOf } from './pod/formats.ts'
import { onCreate } from './pod/on-create.ts'
import { podWarnings } from './pod/warnings.ts'
import { containerColumns, STATUS, withoutController } from './workload-template.ts'

type CronJobSpec = {
  schedule?: string
  timeZone?: string
  concurrencyPolicy?: string
  suspend?: boolean
  startingDeadlineSeconds?: number
  successfulJobsHistoryLimit?: number
  failedJobsHistoryLimit?: number
  jobTemplate?: { spec?: JobSpec }
}

const specOf = (cronJob: KubeObject): CronJobSpec => (cronJob['spec'] ?? {}) as CronJobSpec
const templateOf = (cronJob: KubeObject): JobSpec['template'] => specOf(cronJob).jobTemplate?.spec?.template

/** The job's name gets eleven characters more, and may have 63. */
const NAME_MAX = 52

function defaults(cronJob: KubeObject): void {
  const spec = (cronJob['spec'] ??= {}) as CronJobSpec
  dropNulls(spec)
  dropNulls(cronJob['status'])
  defaultPodTemplate(spec.jobTemplate?.spec?.template)
  for (const rule of spec.jobTemplate?.spec?.podFailurePolicy?.rules ?? [])
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True'
  spec.concurrencyPolicy ||= 'Allow'
  spec.suspend ??= false
  spec.successfulJobsHistoryLimit ??= 3
  spec.failedJobsHistoryLimit ??= 1
}

function validateCreate(cronJob: KubeObject): FieldError[] {
  const errors = validateSpec(specOf(cronJob), undefined)
  const name = cronJob.metadata.name ?? ''
  if (name.length > NAME_MAX)
    errors.push(fieldError.invalid('metadata.name', name, `must be no more than ${NAME_MAX} characters`))
  return errors
}

function validateSpec(spec: CronJobSpec, old: CronJobSpec | undefined): FieldError[] {
  const errors: FieldError[] = []
  if (!spec.schedule) errors.push(fieldError.required('spec.schedule'))
  else validateSchedule(spec.schedule, spec.timeZone, old?.schedule?.includes('TZ') ?? false, errors)
  nonNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds', errors)
  if (spec.timeZone != null && spec.timeZone !== old?.timeZone) validateTimeZone(spec.timeZone, errors)
  oneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], 'spec.concurrencyPolicy', errors)
  const job = spec.jobTemplate?.spec ?? {}
  validateJobSpec(job, 'spec.jobTemplate.spec', errors)
  if (job.selector != null)
    errors.push(fieldError.invalid('spec.jobTemplate.spec.selector', job.selector, '`selector` will be auto-generated'))
  if (job.manualSelector === true)
    errors.push(fieldError.notSupported('spec.jobTemplate.spec.manualSelector', true, ['nil', 'false']))
  nonNegative(spec.successfulJobsHistoryLimit, 'spec.successfulJobsHistoryLimit', errors)
  nonNegative(spec.failedJobsHistoryLimit, 'spec.failedJobsHistoryLimit', errors)
  return errors
}

/** `zoned`: the stored schedule has a time zone in it, from before timeZone was a field. */
function validateSchedule(schedule: string, timeZone: string | undefined, zoned: boolean, errors: FieldError[]): void {
  const refuse = (why: string): void => {
    errors.push(fieldError.invalid('spec.schedule', schedule, why))
  }
  const problem = scheduleProblem(schedule)
  if (problem !== undefined) refuse(problem)
  if (!schedule.includes('TZ')) return
  if (!zoned) refuse('cannot use TZ or CRON_TZ in schedule, use timeZone field instead')
  else if (timeZone != null) refuse('cannot use both timeZone field and TZ or CRON_TZ in schedule')
}

const ZONE_PART = /^[A-Za-z._0-9+-]{1,14}$/

function validateTimeZone(zone: string, errors: FieldError[]): void {
  const refuse = (why: string): void => {
    errors.push(fieldError.invalid('spec.timeZone', zone, why))
  }
  const strange = zone
    .split('/')
    .some((part) => part === '.' || part === '..' || part.startsWith('-') || !ZONE_PART.test(part))
  if (zone === '') refuse('timeZone must be nil or non-empty string')
  else if (strange) refuse(`unknown time zone ${zone}`)
  else if (zone.toLowerCase() === 'local')
    refuse('timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones')
  else if (!isTimeZone(zone)) refuse(`unknown time zone ${zone}`)
}

export const cronJobKind: ResourceDefinition = {
  group: 'batch',
  version: 'v1',
  kind: 'CronJob',
  plural: 'cronjobs',
  singular: 'cronjob',
  shortNames: ['cj'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.batch.v1.CronJob',
  subresources: [STATUS],
  columns: [
    nameColumn,
    column('Schedule', 'string', 'When jobs are started, in cron format.', (cronJob) => specOf(cronJob).schedule ?? ''),
    column('Timezone', 'string', 'Time zone of the schedule.', (cronJob) => specOf(cronJob).timeZone ?? '<none>'),
    column('Suspend', 'boolean', 'Whether no more jobs are started.', (cronJob) => {
      const { suspend } = specOf(cronJob)
      return suspend == null ? '<unset>' : suspend ? 'True' : 'False'
    }),
    column('Active', 'integer', 'How many jobs are running.', (cronJob) => cronJob['status']?.active?.length ?? 0),
    column('Last Schedule', 'string', 'Time since a job was last started.', (cronJob, now) => {
      const last: string | undefined = cronJob['status']?.lastScheduleTime
      return last ? translateTimestampSince(last, now) : '<none>'
    }),
    ageColumn,
    ...containerColumns(templateOf),
    column(
      'Selector',
      'string',
      'Labels of the pods that belong to the jobs.',
      (cronJob) => formatLabelSelector(specOf(cronJob).jobTemplate?.spec?.selector),
      1,
    ),
  ],
  createWarning: withoutController('CronJob'),
  strategy: {
    defaults,
    prepareForCreate: (cronJob) => {
      cronJob['status'] = {}
    },
    validate: onCreate(validateCreate),
    validateUpdate: (cronJob, old, { subresource }) =>
      subresource === 'status' ? [] : validateSpec(specOf(cronJob), specOf(old)),
    hasGeneration: true,
    warnings: (cronJob) =>
      podWarnings(templateOf(cronJob)?.metadata, templateOf(cronJob)?.spec ?? {}, 'spec.jobTemplate.spec.template.'),
  },
}
