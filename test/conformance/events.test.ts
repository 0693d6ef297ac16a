/** test/e2e/instrumentation/{core_events,events}.go: one set of events behind two APIs. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { call, get, namespace, patch, post, put, refused, remove, TABLE, watch } from './server.ts'

const newEvent = (ns: string, name: string, label = 'testevent-constant'): KubeObject => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name, labels: { [label]: 'true' } },
  regarding: { namespace: ns },
  eventTime: '2017-09-19T13:49:16.000000Z',
  note: `This is ${name}`,
  action: 'Do',
  reason: 'Test',
  type: 'Normal',
  reportingController: 'test-controller',
  reportingInstance: 'test-node',
})
const coreEvent = (ns: string, name: string, label = 'testevent-constant'): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name, labels: { [label]: 'true' } },
  message: 'This is a test event',
  reason: 'Test',
  type: 'Normal',
  count: 1,
  involvedObject: { namespace: ns },
})

const APIS = [
  { api: 'events.k8s.io', root: '/apis/events.k8s.io/v1', make: newEvent, text: 'note' },
  { api: 'core', root: '/api/v1', make: coreEvent, text: 'message' },
] as const

const withoutVersion = ({
  metadata: { resourceVersion: _, managedFields: __, ...metadata },
  ...rest
}: KubeObject): object => ({
  ...rest,
  metadata,
})
const names = (list: KubeObject): string[] => list['items'].map((e: KubeObject) => e.metadata.name)

describe('Events', () => {
  for (const { api, root, make, text } of APIS) {
    test(`${api}: an event can be fetched, patched, deleted, and listed`, async () => {
      const ns = await namespace('events')
      const events = `${root}/namespaces/${ns}/events`
      await post(events, make(ns, 'event-test'))
      const all = await get(`${root}/events`, { labelSelector: 'testevent-constant=true' })
      assert.ok(all['items'].some((e: KubeObject) => e.metadata.namespace === ns))
      const before = await get(`${events}/event-test`)
      await patch(`${events}/event-test`, 'strategic', {
        series: { count: 4, lastObservedTime: '2017-09-19T13:49:16.000000Z' },
      })
      const patched = await get(`${events}/event-test`)
      assert.deepEqual(
        withoutVersion(patched),
        withoutVersion({ ...before, series: { count: 4, lastObservedTime: '2017-09-19T13:49:16.000000Z' } }),
      )
      const series = { count: 100, lastObservedTime: '2017-09-19T13:49:16.000000Z' }
      const updated = await put(`${events}/event-test`, { ...patched, series })
      assert.deepEqual(withoutVersion(await get(`${events}/event-test`)), withoutVersion({ ...before, series }))
      assert.equal(updated.kind, 'Event')
      const deleted = await remove(`${events}/event-test`)
      assert.equal(deleted['status'], 'Success')
      assert.deepEqual(names(await get(events)), [])
    })

    test(`${api}: should delete a collection of events`, async () => {
      const ns = await namespace('events')
      const events = `${root}/namespaces/${ns}/events`
      for (const i of [1, 2, 3]) await post(events, make(ns, `test-event-${i}`, 'testevent-set'))
      await post(events, make(ns, 'other'))
      assert.equal((await get(events, { labelSelector: 'testevent-set=true' }))['items'].length, 3)
      await remove(events, { query: { labelSelector: 'testevent-set=true' } })
      assert.deepEqual(names(await get(events)), ['other'])
    })

    test(`${api}: lists and watches as events of its own version`, async () => {
      const ns = await namespace('events')
      const events = `${root}/namespaces/${ns}/events`
      const version = root.replace(/^\/apis?\//, '')
      const { metadata } = await get(events)
      const stream = await watch(events, { query: { resourceVersion: metadata.resourceVersion! } })
      await post(`/apis/events.k8s.io/v1/namespaces/${ns}/events`, newEvent(ns, 'new'))
      await post(`/api/v1/namespaces/${ns}/events`, coreEvent(ns, 'old'))
      const seen = await stream.take(2)
      stream.stop()
      assert.deepEqual(
        seen.map((e) => [e.type, e.object.apiVersion, e.object.metadata.name, e.object[text]]),
        [
          ['ADDED', version, 'new', 'This is new'],
          ['ADDED', version, 'old', 'This is a test event'],
        ],
      )
      const list = await get(events)
      assert.deepEqual([list.kind, list.apiVersion, names(list)], ['EventList', version, ['new', 'old']])
      const table = (await call('GET', events, { accept: TABLE })).body
      assert.deepEqual(
        table['rows'].map((row: { cells: unknown[] }) => [row.cells[1], row.cells[2], row.cells[6]]),
        [
          ['Normal', 'Test', 'This is new'],
          ['Normal', 'Test', 'This is a test event'],
        ],
      )
    })
  }

  test('field selectors use the words of their API', async () => {
    const ns = await namespace('events')
    await post(`/apis/events.k8s.io/v1/namespaces/${ns}/events`, newEvent(ns, 'new'))
    await post(`/api/v1/namespaces/${ns}/events`, { ...coreEvent(ns, 'old'), source: { component: 'kubelet' } })
    const rows: [string, string, string[]][] = [
      ['/api/v1', 'source=test-controller', ['new']],
      ['/api/v1', 'source=kubelet', ['old']],
      ['/api/v1', 'reportingComponent=test-controller', ['new']],
      ['/api/v1', `involvedObject.namespace=${ns},type!=Warning`, ['new', 'old']],
      ['/apis/events.k8s.io/v1', 'reportingController=test-controller', ['new']],
      ['/apis/events.k8s.io/v1', `regarding.namespace=${ns},reason=Test`, ['new', 'old']],
    ]
    for (const [root, fieldSelector, expected] of rows)
      assert.deepEqual(names(await get(`${root}/namespaces/${ns}/events`, { fieldSelector })), expected, fieldSelector)
    const unknown = await call('GET', `/apis/events.k8s.io/v1/namespaces/${ns}/events`, {
      query: { fieldSelector: 'source=x' },
    })
    refused(unknown, 400, 'BadRequest', /field label not supported: source/)
  })

  test('what one API writes the other reads, and each by its own rules', async () => {
    const ns = await namespace('events')
    const [modern, core] = [`/apis/events.k8s.io/v1/namespaces/${ns}/events`, `/api/v1/namespaces/${ns}/events`]
    await post(core, {
      ...coreEvent(ns, 'old'),
      source: { component: 'kubelet', host: 'n1' },
      firstTimestamp: '2020-01-01T00:00:00Z',
    })
    const shown = await get(`${modern}/old`)
    assert.deepEqual(
      [
        shown['note'],
        shown['deprecatedSource'],
        shown['deprecatedFirstTimestamp'],
        shown['deprecatedCount'],
        shown['regarding'],
      ],
      ['This is a test event', { component: 'kubelet', host: 'n1' }, '2020-01-01T00:00:00Z', 1, { namespace: ns }],
    )
    assert.equal(shown['message'], undefined)
    await post(modern, newEvent(ns, 'new'))
    const through = await get(`${core}/new`)
    assert.deepEqual(
      [through['message'], through['reportingComponent'], through['involvedObject'], through['source']],
      ['This is new', 'test-controller', { namespace: ns }, {}],
    )
    const rules: [string, object, RegExp][] = [
      ['POST', { ...newEvent(ns, 'x'), type: 'Odd' }, /type: Invalid value: "": has invalid value: Odd/],
      ['POST', { ...newEvent(ns, 'x'), deprecatedCount: 1 }, /count: Invalid value: "": needs to be unset/],
      [
        'POST',
        { ...newEvent(ns, 'x'), series: { count: 1, lastObservedTime: '2017-09-19T13:49:16.000000Z' } },
        /series\.count/,
      ],
      ['PUT', { ...newEvent(ns, 'new'), note: 'other' }, /message: Invalid value: "other": field is immutable/],
    ]
    for (const [method, body, message] of rules)
      refused(await call(method, method === 'PUT' ? `${modern}/new` : modern, { body }), 422, 'Invalid', message)
    await patch(`${core}/new`, 'merge', { message: 'patched' })
    assert.equal((await get(`${modern}/new`))['note'], 'patched')
    await remove(modern)
    assert.deepEqual(names(await get(core)), [])
  })
})
