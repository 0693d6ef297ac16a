import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { jobKind } from './job.ts'
import { parseIndexes } from './job-indexes.ts'
import { cells, created, createErrors, object, template, updated } from './pod/cases.ts'

type Fields = Record<string, unknown>
const job = (spec: Fields = {}, metadata: Fields = {}): KubeObject =>
  object('batch/v1', 'Job', { spec: { template: template({ restartPolicy: 'Never' }, {}), ...spec } }, metadata)
const GENERATED = {
  'controller-uid': 'u-1',
  'job-name': 'web',
  'batch.kubernetes.io/controller-uid': 'u-1',
  'batch.kubernetes.io/job-name': 'web',
}

describe('creation of jobs', () => {
  it('fills the spec, and makes selector and labels from the uid', () => {
    const made = created(jobKind, job())
    const { template: pods, ...spec } = made['spec']
    assert.deepEqual(spec, {
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': 'u-1' } },
    })
    assert.deepEqual(pods.metadata.labels, GENERATED)
    assert.deepEqual(made['status'], {})
  })
  it('other defaults follow from what is given', () => {
    const queue = created(jobKind, job({ parallelism: 3 }))['spec']
    assert.equal(queue.completions, undefined)
    const indexed = created(
      jobKind,
      job({
        completionMode: 'Indexed',
        completions: 3,
        backoffLimitPerIndex: 1,
        podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] },
      }),
    )['spec']
    assert.equal(indexed.backoffLimit, 2147483647)
    assert.equal(indexed.podReplacementPolicy, 'Failed')
    assert.equal(indexed.podFailurePolicy.rules[0].onPodConditions[0].status, 'True')
    assert.deepEqual(
      created(jobKind, job({ template: template({ restartPolicy: 'Never' }, { a: 'b' }) })).metadata.labels,
      { a: 'b' },
    )
  })
  it('a selector of the user needs manualSelector', () => {
    const manual = { manualSelector: true, selector: { matchLabels: { a: 'b' } } }
    const pods = template({ restartPolicy: 'Never' }, { a: 'b' })
    assert.deepEqual(createErrors(jobKind, job({ ...manual, template: pods })), [])
    assert.deepEqual(created(jobKind, job({ ...manual, template: pods }))['spec'].template.metadata.labels, { a: 'b' })
    const { errors, expected } = {
      errors: createErrors(jobKind, job({ selector: { matchLabels: { a: 'b' } }, template: pods })),
      expected: [
        'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u-1"}}: `selector` not auto-generated',
      ],
    }
    assert.deepEqual(errors, expected)
  })
})

describe('validation of jobs', () => {
  const cases: [string, Fields, string[], Fields?][] = [
    ['a minimal job', {}, []],
    [
      'pods that never end',
      { template: template({}, {}) },
      ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ],
    [
      'numbers',
      { parallelism: -1, completions: -1, backoffLimit: -1, ttlSecondsAfterFinished: -1 },
      [
        'spec.parallelism: Invalid value: -1: must be greater than or equal to 0',
        'spec.completions: Invalid value: -1: must be greater than or equal to 0',
        'spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0',
        'spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'indexed without completions',
      { completionMode: 'Indexed', parallelism: 100001 },
      [
        'spec.completions: Required value: when completion mode is Indexed',
        'spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed',
      ],
    ],
    [
      'what needs indexes',
      { maxFailedIndexes: 1, successPolicy: { rules: [] } },
      [
        'spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified',
        'spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode',
        'spec.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode',
      ],
    ],
    [
      'many completions',
      { completionMode: 'Indexed', completions: 200000, backoffLimitPerIndex: 1, parallelism: 20000 },
      [
        'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
        'spec.parallelism: Invalid value: 20000: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index',
      ],
    ],
    [
      'a long name of an indexed job',
      { completionMode: 'Indexed', completions: 1000 },
      [
        `metadata.name: Invalid value: "${'a'.repeat(61)}": will not able to create pod with invalid DNS label: ${'a'.repeat(61)}-999`,
      ],
      { name: 'a'.repeat(61) },
    ],
    [
      'failure policy',
      {
        podFailurePolicy: {
          rules: [
            { action: 'Explode' },
            { action: 'FailIndex', onExitCodes: { operator: 'In', values: [3, 0, 3], containerName: 'x' } },
            { action: 'Ignore', onPodConditions: [{ type: 'a b', status: 'Maybe' }] },
          ],
        },
        podReplacementPolicy: 'TerminatingOrFailed',
        template: template({ restartPolicy: 'OnFailure' }, {}),
      },
      [
        'spec.podFailurePolicy.rules[0].action: Unsupported value: "Explode": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
        'spec.podFailurePolicy.rules[0]: Invalid value: {"action":"Explode"}: specifying one of OnExitCodes and OnPodConditions is required',
        'spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        'spec.podFailurePolicy.rules[1].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template',
        'spec.podFailurePolicy.rules[1].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
        'spec.podFailurePolicy.rules[1].onExitCodes.values[2]: Duplicate value: 3',
        'spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: [3,0,3]: must be ordered',
        "spec.podFailurePolicy.rules[2].onPodConditions[0].type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        'spec.podFailurePolicy.rules[2].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
      ],
    ],
    [
      'success policy',
      {
        completionMode: 'Indexed',
        completions: 5,
        successPolicy: { rules: [{}, { succeededIndexes: '0,2-7' }, { succeededIndexes: '0-1', succeededCount: 3 }] },
      },
      [
        'spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified',
        'spec.successPolicy.rules[1].succeededIndexes: Invalid value: "0,2-7": error parsing succeededIndexes: too large index: "7"',
        'spec.successPolicy.rules[2].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)',
      ],
    ],
    [
      'managedBy',
      { managedBy: 'nobody' },
      ['spec.managedBy: Invalid value: "nobody": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
  ]
  for (const [name, spec, errors, metadata] of cases)
    it(name, () => assert.deepEqual(createErrors(jobKind, job(spec, metadata)), errors))
})

describe('updates of jobs', () => {
  const immutable = (field: string, value: unknown): string =>
    `spec.${field}: Invalid value: ${JSON.stringify(value)}: field is immutable`
  const cases: [string, Fields, (o: KubeObject) => void, (o: KubeObject) => string[]][] = [
    ['parallelism and suspension', {}, (o) => Object.assign(o['spec'], { parallelism: 5, suspend: true }), () => []],
    ['completions', {}, (o) => (o['spec'].completions = 5), () => [immutable('completions', 5)]],
    [
      'completions of an indexed job, in tandem',
      { completionMode: 'Indexed', completions: 2 },
      (o) => Object.assign(o['spec'], { completions: 5, parallelism: 5 }),
      () => [],
    ],
    [
      'completions of an indexed job, alone',
      { completionMode: 'Indexed', completions: 2 },
      (o) => (o['spec'].completions = 5),
      () => ['spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism'],
    ],
    [
      'the template',
      {},
      (o) => (o['spec'].template.spec.containers[0].image = 'x:2'),
      (o) => [immutable('template', o['spec'].template)],
    ],
    [
      'where the pods of a waiting job will run',
      { suspend: true },
      (o) => {
        o['spec'].template.spec.nodeSelector = { a: 'b' }
        o['spec'].template.metadata.annotations = { a: 'b' }
      },
      () => [],
    ],
    [
      'where the pods of a started job run',
      {},
      (o) => (o['spec'].template.spec.nodeSelector = { a: 'b' }),
      (o) => [immutable('template', o['spec'].template)],
    ],
    ['the mode', {}, (o) => (o['spec'].completionMode = 'Indexed'), () => [immutable('completionMode', 'Indexed')]],
  ]
  for (const [name, spec, change, errors] of cases)
    it(name, () => {
      const result = updated(jobKind, created(jobKind, job(spec)), change)
      assert.deepEqual(result.errors, errors(result.object))
    })
})

describe('status of jobs', () => {
  const condition = (...types: string[]): Fields[] => types.map((type) => ({ type, status: 'True' }))
  const write = (before: Fields, status: Fields): string[] => {
    const old = created(jobKind, job())
    old['status'] = before
    return updated(jobKind, old, (o) => (o['status'] = status), 'status').errors
  }
  const start = '2026-01-01T00:00:00Z'
  const end = '2026-01-01T00:01:00Z'
  const cases: [string, Fields, Fields, string[]][] = [
    ['started', {}, { active: 1, ready: 1, startTime: start }, []],
    [
      'complete',
      { startTime: start },
      { startTime: start, completionTime: end, succeeded: 1, conditions: condition('SuccessCriteriaMet', 'Complete') },
      [],
    ],
    [
      'complete without an end',
      { startTime: start },
      { startTime: start, conditions: condition('SuccessCriteriaMet', 'Complete') },
      ['status.completionTime: Required value: completionTime is required for Complete jobs'],
    ],
    [
      'an end without completion, before the start',
      { startTime: end },
      { startTime: end, completionTime: start },
      [
        `status.completionTime: Invalid value: "${start}": cannot set completionTime when there is no Complete=True condition`,
        `status.completionTime: Invalid value: "${start}": completionTime cannot be set before startTime`,
      ],
    ],
    [
      'failed while pods run',
      { startTime: start },
      { startTime: start, active: 1, conditions: condition('FailureTarget', 'Failed') },
      ['status.active: Invalid value: 1: active>0 is invalid for finished job'],
    ],
    [
      'failed out of the blue',
      {},
      { startTime: start, conditions: condition('Failed') },
      [
        'status.conditions: Invalid value: [{"type":"Failed","status":"True"}]: cannot set Failed=True condition without the FailureTarget=true condition',
      ],
    ],
    [
      'counters that go back',
      { failed: 2, succeeded: 2 },
      { failed: 1, succeeded: 1, ready: 2, active: 1 },
      [
        'status.ready: Invalid value: 2: cannot set more ready pods than active',
        'status.failed: Invalid value: 1: cannot decrease the failed counter',
        'status.succeeded: Invalid value: 1: cannot decrease the succeeded counter',
      ],
    ],
    [
      'indexes of a job that has none',
      {},
      { completedIndexes: '0' },
      [
        'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode',
      ],
    ],
  ]
  for (const [name, before, status, errors] of cases) it(name, () => assert.deepEqual(write(before, status), errors))
})

describe('the table of jobs', () => {
  const row = (spec: Fields, status: Fields = {}): unknown[] => {
    const made = created(jobKind, job(spec))
    made['status'] = status
    return Object.values(cells(jobKind, made)).slice(1, 4)
  }
  const conditions = (type: string): Fields => ({ conditions: [{ type, status: 'True' }] })
  const cases: [string, unknown[], unknown[]][] = [
    ['new', row({}), ['Running', '0/1', '']],
    ['running', row({ completions: 3 }, { startTime: '2025-12-31T23:58:00Z', succeeded: 1 }), ['Running', '1/3', '2m']],
    ['a queue', row({ parallelism: 4 }), ['Running', '0/1 of 4', '']],
    [
      'done',
      row(
        {},
        {
          ...conditions('Complete'),
          succeeded: 1,
          startTime: '2025-12-31T23:00:00Z',
          completionTime: '2025-12-31T23:00:05Z',
        },
      ),
      ['Complete', '1/1', '5s'],
    ],
    ['failed', row({}, conditions('Failed')).slice(0, 1), ['Failed']],
    ['suspended', row({}, conditions('Suspended')).slice(0, 1), ['Suspended']],
  ]
  for (const [name, actual, expected] of cases) it(name, () => assert.deepEqual(actual, expected))
  it('selectable', () => {
    assert.equal(jobKind.selectableFields!['status.successful']!({ ...job(), status: { succeeded: 2 } }), '2')
  })
})

describe('parseIndexes', () => {
  const cases: [string, ReturnType<typeof parseIndexes>][] = [
    ['', { count: 0 }],
    ['0', { count: 1 }],
    ['0,2-4', { count: 4 }],
    [
      '1-2-3',
      {
        error: `the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`,
      },
    ],
    ['x', { error: 'cannot convert string to integer for index: "x"' }],
    ['1-', { error: 'cannot convert string to integer for index: ""' }],
    ['10', { error: 'too large index: "10"' }],
    ['3-2', { error: 'non-increasing order, previous: 3, current: 2' }],
    ['3,1', { error: 'non-increasing order, previous: 3, current: 1' }],
  ]
  for (const [text, expected] of cases) it(`'${text}'`, () => assert.deepEqual(parseIndexes(text, 10), expected))
})
