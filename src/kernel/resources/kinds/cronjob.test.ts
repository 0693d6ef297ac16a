import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { cronJobKind } from './cronjob.ts'
import { isTimeZone, scheduleProblem } from './cronjob-schedule.ts'
import { cells, created, createErrors, object, template, updated } from './pod/cases.ts'

type Fields = Record<string, unknown>
const cronJob = (spec: Fields = {}, metadata: Fields = {}): KubeObject =>
  object(
    'batch/v1',
    'CronJob',
    {
      spec: {
        schedule: '*/5 * * * *',
        jobTemplate: { spec: { template: template({ restartPolicy: 'OnFailure' }) } },
        ...spec,
      },
    },
    metadata,
  )

describe('schedules', () => {
  const good = [
    '* * * * *',
    '*/5 0-6,12 1 jan-mar MON',
    '0 0 ? * 0-6/2',
    '5/15 * * * *',
    '@hourly',
    '@every 1h30m',
    'TZ=Europe/Berlin 0 0 * * *',
    '  0 0  * * * ',
  ]
  for (const schedule of good) it(`takes ${schedule}`, () => assert.equal(scheduleProblem(schedule), undefined))
  const bad: [string, string][] = [
    ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
    ['* * * * * *', 'expected exactly 5 fields, found 6: [* * * * * *]'],
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['* * * * 7', 'end of range (7) above maximum (6): 7'],
    ['5-2 * * * *', 'beginning of range (5) beyond end of range (2): 5-2'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
    ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
    ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
    ['@fortnightly', 'unrecognized descriptor: @fortnightly'],
    ['@every soon', 'failed to parse duration @every soon: time: invalid duration "soon"'],
    ['TZ=Moon/Sea 0 0 * * *', 'provided bad location Moon/Sea: unknown time zone Moon/Sea'],
  ]
  for (const [schedule, problem] of bad)
    it(`refuses ${schedule}`, () => assert.equal(scheduleProblem(schedule), problem))

  it('knows time zones by their own names', () => {
    assert.deepEqual(['UTC', 'Europe/Berlin', 'Asia/Calcutta', 'europe/berlin', 'Moon/Sea', '+01:00'].map(isTimeZone), [
      true,
      true,
      true,
      false,
      false,
      false,
    ])
  })
})

describe('cron jobs', () => {
  it('defaults', () => {
    const { jobTemplate, ...spec } = created(cronJobKind, cronJob())['spec']
    assert.deepEqual(spec, {
      schedule: '*/5 * * * *',
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    })
    assert.equal(jobTemplate.spec.template.spec.dnsPolicy, 'ClusterFirst')
    assert.equal(jobTemplate.spec.backoffLimit, undefined)
  })

  const cases: [string, Fields, string[], Fields?][] = [
    ['a minimal one', {}, []],
    ['no schedule', { schedule: '' }, ['spec.schedule: Required value']],
    [
      'a zone in the schedule',
      { schedule: 'TZ=UTC 0 0 * * *' },
      [
        'spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
      ],
    ],
    ['a zone', { timeZone: 'Europe/Berlin' }, []],
    [
      'an unknown zone',
      { timeZone: 'Moon/Sea' },
      ['spec.timeZone: Invalid value: "Moon/Sea": unknown time zone Moon/Sea'],
    ],
    [
      'a zone with steps back',
      { timeZone: '../UTC' },
      ['spec.timeZone: Invalid value: "../UTC": unknown time zone ../UTC'],
    ],
    [
      'the local zone',
      { timeZone: 'Local' },
      [
        'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
      ],
    ],
    [
      'numbers and policies',
      { concurrencyPolicy: 'Race', startingDeadlineSeconds: -1, failedJobsHistoryLimit: -1 },
      [
        'spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0',
        'spec.concurrencyPolicy: Unsupported value: "Race": supported values: "Allow", "Forbid", "Replace"',
        'spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'a selector',
      {
        jobTemplate: {
          spec: { selector: {}, manualSelector: true, template: template({ restartPolicy: 'Always' }) },
        },
      },
      [
        'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        'spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated',
        'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
      ],
    ],
    [
      'a long name',
      {},
      [`metadata.name: Invalid value: "${'a'.repeat(53)}": must be no more than 52 characters`],
      { name: 'a'.repeat(53) },
    ],
  ]
  for (const [name, spec, errors, metadata] of cases)
    it(name, () => assert.deepEqual(createErrors(cronJobKind, cronJob(spec, metadata)), errors))

  it('a stored schedule keeps its zone, but not beside timeZone', () => {
    const old = created(cronJobKind, cronJob({ schedule: 'TZ=UTC 0 0 * * *' }))
    assert.deepEqual(updated(cronJobKind, old, (o) => (o['spec'].suspend = true)).errors, [])
    assert.deepEqual(updated(cronJobKind, old, (o) => (o['spec'].timeZone = 'UTC')).errors, [
      'spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule',
    ])
  })

  it('table', () => {
    const made = created(cronJobKind, cronJob({ timeZone: 'UTC' }))
    made['status'] = { active: [{}], lastScheduleTime: '2025-12-31T23:55:00Z' }
    assert.deepEqual(cells(cronJobKind, made), {
      Name: 'web',
      Schedule: '*/5 * * * *',
      Timezone: 'UTC',
      Suspend: 'False',
      Active: 1,
      'Last Schedule': '5m',
      Age: '<unknown>',
      Containers: 'web',
      Images: 'nginx:1',
      Selector: '<none>',
    })
  })
})
