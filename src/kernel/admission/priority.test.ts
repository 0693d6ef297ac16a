import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { podPriority } from './priority.ts'
import { definitionFor, makeLookup, makeRequest, object, run } from './request.fixture.ts'

const GROUP = 'scheduling.k8s.io'
const CLASSES = definitionFor('priorityclasses', 'PriorityClass', GROUP, false)

const priorityClass = (name: string, value: number, fields: object = {}): KubeObject => ({
  apiVersion: `${GROUP}/v1`,
  kind: 'PriorityClass',
  metadata: { name },
  value,
  ...fields,
})
const lookupOf = (...classes: KubeObject[]) =>
  makeLookup(...classes.map((c): [string, string, KubeObject] => [GROUP, 'priorityclasses', c]))

const high = priorityClass('high', 1000, { preemptionPolicy: 'Never' })
const usual = priorityClass('usual', 7, { globalDefault: true })
const lower = priorityClass('lower', 3, { globalDefault: true })

for (const [what, classes, spec, expected] of [
  ['no class', [], {}, { priority: 0, preemptionPolicy: 'PreemptLowerPriority' }],
  [
    'its class',
    [high],
    { priorityClassName: 'high' },
    { priorityClassName: 'high', priority: 1000, preemptionPolicy: 'Never' },
  ],
  [
    'the default class',
    [high, usual],
    {},
    { priorityClassName: 'usual', priority: 7, preemptionPolicy: 'PreemptLowerPriority' },
  ],
  [
    'the lowest of two defaults',
    [usual, lower],
    {},
    { priorityClassName: 'lower', priority: 3, preemptionPolicy: 'PreemptLowerPriority' },
  ],
  [
    'a system class',
    [],
    { priorityClassName: 'system-node-critical', priority: 2_000_001_000 },
    { priorityClassName: 'system-node-critical', priority: 2_000_001_000, preemptionPolicy: 'PreemptLowerPriority' },
  ],
] as const)
  test(`Priority: ${what}`, async () => {
    const pod = object('Pod', 'web', { spec: { ...spec } })
    const step = podPriority(lookupOf(...classes))
    await run(step, makeRequest({ object: pod }))
    assert.deepEqual(pod['spec'], expected)
    await run(step, makeRequest({ object: pod }))
    assert.deepEqual(pod['spec'], expected, 'a second run changes nothing')
  })

for (const [what, spec, why] of [
  ['an unknown class', { priorityClassName: 'ghost' }, 'no PriorityClass with name ghost was found'],
  [
    'a number of its own',
    { priority: 5 },
    'the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name',
  ],
  [
    'a policy of its own',
    { preemptionPolicy: 'Never' },
    'the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name',
  ],
] as const)
  test(`Priority: refuses ${what}`, async () => {
    const request = makeRequest({ object: object('Pod', 'web', { spec: { ...spec } }) })
    await assert.rejects(run(podPriority(lookupOf()), request), {
      code: 403,
      message: `pods "web" is forbidden: ${why}`,
    })
  })

test('Priority: an update without the fields keeps them', async () => {
  const pod = object('Pod', 'web', { spec: {} })
  const oldObject = object('Pod', 'web', { spec: { priority: 9, preemptionPolicy: 'Never' } })
  await run(podPriority(lookupOf(usual)), makeRequest({ operation: 'UPDATE', object: pod, oldObject }))
  assert.deepEqual(pod['spec'], { priority: 9, preemptionPolicy: 'Never' })
})

for (const [what, operation, name, refused] of [
  ['a second default', 'CREATE', 'another', true],
  ['making another the default', 'UPDATE', 'another', true],
  ['the default itself', 'UPDATE', 'usual', false],
] as const)
  test(`Priority: ${what}`, async () => {
    const outcome = run(
      podPriority(lookupOf(usual)),
      makeRequest({ operation, definition: CLASSES, object: priorityClass(name, 1, { globalDefault: true }) }),
    )
    if (!refused) return await outcome
    await assert.rejects(outcome, {
      message: `priorityclasses.scheduling.k8s.io "${name}" is forbidden: PriorityClass usual is already marked as default. Only one default can exist`,
    })
  })
