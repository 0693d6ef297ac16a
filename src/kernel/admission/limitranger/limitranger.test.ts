import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../api/object.ts'
import { makeLookup, makeRequest, object, run } from '../request.fixture.ts'
import { limitRanger } from './admission.ts'
import { podRequests } from './pod-resources.ts'
import type { LimitItem } from './types.ts'

const ranges = (...items: LimitItem[]) =>
  makeLookup(
    ...items.map((item, i): [string, string, KubeObject] => [
      '',
      'limitranges',
      object('LimitRange', `range-${i}`, { spec: { limits: [item] } }),
    ]),
  )
const container = (requests?: object, limits?: object, fields: object = {}): object => ({
  name: 'app',
  ...(requests || limits ? { resources: { ...(requests && { requests }), ...(limits && { limits }) } } : {}),
  ...fields,
})
const pod = (...containers: object[]): KubeObject => object('Pod', 'web', { spec: { containers } })

test('LimitRanger: defaults for what containers leave open', async () => {
  const web = pod(container({ cpu: '1' }), { ...container(), name: 'side' })
  web['spec'].initContainers = [{ ...container(), name: 'init' }]
  const lookup = ranges({
    type: 'Container',
    default: { cpu: '2', memory: '1Gi' },
    defaultRequest: { cpu: '500m', memory: '512Mi' },
  })
  await run(limitRanger(lookup), makeRequest({ object: web }))
  const filled = { requests: { cpu: '500m', memory: '512Mi' }, limits: { cpu: '2', memory: '1Gi' } }
  assert.deepEqual(
    web['spec'].containers.map((c: { resources: object }) => c.resources),
    [{ requests: { cpu: '1', memory: '512Mi' }, limits: { cpu: '2', memory: '1Gi' } }, filled],
  )
  assert.deepEqual(web['spec'].initContainers[0].resources, filled)
  assert.equal(
    web.metadata.annotations?.['kubernetes.io/limit-ranger'],
    'LimitRanger plugin set: memory request for container app; cpu, memory limit for container app; ' +
      'cpu, memory request for container side; cpu, memory limit for container side; ' +
      'cpu, memory request for init container init; cpu, memory limit for init container init',
  )
  const again = structuredClone(web)
  await run(limitRanger(lookup), makeRequest({ object: again }))
  assert.deepEqual(again, web, 'a second run changes nothing')
})

test('LimitRanger: nothing to do, nothing written', async () => {
  const web = pod(container())
  const before = structuredClone(web)
  await run(limitRanger(ranges()), makeRequest({ object: web }))
  await run(limitRanger(ranges({ type: 'Container' })), makeRequest({ object: web }))
  assert.deepEqual(web, before)
})

const cases: [what: string, item: LimitItem, containers: object[], why?: string][] = [
  ['within', { type: 'Container', min: { cpu: '1' }, max: { cpu: '2' } }, [container({ cpu: '1' }, { cpu: '2000m' })]],
  [
    'no request',
    { type: 'Container', min: { cpu: '1' } },
    [container()],
    'minimum cpu usage per Container is 1.  No request is specified',
  ],
  [
    'request below',
    { type: 'Container', min: { memory: '1Gi' } },
    [container({ memory: '1023Mi' })],
    'minimum memory usage per Container is 1Gi, but request is 1023Mi',
  ],
  [
    'limit below',
    { type: 'Container', min: { cpu: '1' } },
    [container({ cpu: '1' }, { cpu: '900m' })],
    'minimum cpu usage per Container is 1, but limit is 900m',
  ],
  [
    'no limit',
    { type: 'Container', max: { cpu: '1' } },
    [container({ cpu: '1' })],
    'maximum cpu usage per Container is 1.  No limit is specified',
  ],
  [
    'limit above',
    { type: 'Container', max: { cpu: '1' } },
    [container({ cpu: '1' }, { cpu: '1001m' })],
    'maximum cpu usage per Container is 1, but limit is 1001m',
  ],
  [
    'request above',
    { type: 'Container', max: { cpu: '1' } },
    [container({ cpu: '2' }, { cpu: '1' })],
    'maximum cpu usage per Container is 1, but request is 2',
  ],
  [
    'ratio',
    { type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
    [container({ cpu: '1' }, { cpu: '2500m' })],
    'cpu max limit to request ratio per Container is 2, but provided ratio is 2.500000',
  ],
  ['ratio kept', { type: 'Container', maxLimitRequestRatio: { cpu: '2' } }, [container({ cpu: '1' }, { cpu: '2' })]],
  [
    'ratio of nothing',
    { type: 'Container', maxLimitRequestRatio: { cpu: '2' } },
    [container({ cpu: '0' }, { cpu: '2' })],
    'cpu max limit to request ratio per Container is 2, but no request is specified or request is 0',
  ],
  [
    'sum of the pod',
    { type: 'Pod', max: { memory: '1Gi' } },
    [container({ memory: '600Mi' }, { memory: '600Mi' }), container({ memory: '600Mi' }, { memory: '600Mi' })],
    'maximum memory usage per Pod is 1Gi, but limit is 1200Mi',
  ],
  [
    'several',
    { type: 'Container', max: { cpu: '1', memory: '1Gi' } },
    [container(undefined, { cpu: '2' })],
    '[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi.  No limit is specified]',
  ],
]

for (const [what, item, containers, why] of cases)
  test(`LimitRanger: ${what}`, async () => {
    const outcome = run(limitRanger(ranges(item)), makeRequest({ object: pod(...containers) }))
    if (why === undefined) return await outcome
    await assert.rejects(outcome, { code: 403, message: `pods "web" is forbidden: ${why}` })
  })

test('LimitRanger: init containers count by their worst moment, sidecars all along', () => {
  const spec = {
    containers: [container({ cpu: '1', memory: '1Gi' })],
    initContainers: [
      container({ cpu: '500m' }, undefined, { restartPolicy: 'Always' }),
      container({ cpu: '3', memory: '512Mi' }),
    ],
  }
  assert.deepEqual(podRequests(spec), { cpu: '3500m', memory: '1Gi' })
})

test('LimitRanger: updates and other kinds are let be', () => {
  const step = limitRanger(ranges())
  assert.equal(step.handles(makeRequest({ operation: 'UPDATE' })), false)
  assert.equal(step.handles(makeRequest({ subresource: 'binding' })), false)
  assert.equal(step.handles(makeRequest()), true)
})
