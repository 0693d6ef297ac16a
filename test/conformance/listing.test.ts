/** test/e2e/apimachinery/{chunking,table_conversion,watch,watchlist,crd_watch}.go and the resourceVersion rules. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import {
  call,
  customKind,
  get,
  namespace,
  PARTIAL,
  PARTIAL_LIST,
  patch,
  post,
  put,
  queryString,
  refused,
  remove,
  TABLE,
  watch,
} from './server.ts'

const template = (name: string): object => ({
  metadata: { name },
  template: { spec: { containers: [{ name: 'test', image: 'test2' }] } },
})
async function templates(prefix: string, count: number): Promise<string> {
  const path = `/api/v1/namespaces/${await namespace(prefix)}/podtemplates`
  await Promise.all(
    Array.from({ length: count }, (_, i) => post(path, template(`template-${String(i).padStart(4, '0')}`))),
  )
  return path
}
const names = (list: KubeObject): string[] => list['items'].map((o: KubeObject) => o.metadata.name)

describe('Servers with support for API chunking', () => {
  test('should return chunks of results for list calls', async () => {
    const path = await templates('chunking', 40)
    const seen: string[] = []
    let [query, version, left]: [Record<string, string | number>, string | undefined, number] = [
      { limit: 7 },
      undefined,
      40,
    ]
    for (;;) {
      const list = await get(path, query)
      const meta = list.metadata as { continue?: string; remainingItemCount?: number; resourceVersion: string }
      version ??= meta.resourceVersion
      assert.equal(meta.resourceVersion, version)
      seen.push(...names(list))
      left -= list['items'].length
      assert.equal(meta.remainingItemCount, left === 0 ? undefined : left)
      // What is written meanwhile is not in this list.
      if (seen.length === 7) await post(path, template('template-9999'))
      if (!meta.continue) break
      query = { limit: 7, continue: meta.continue }
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 40 }, (_, i) => `template-${String(i).padStart(4, '0')}`),
    )
    assert.equal((await get(path, { limit: 0 }))['items'].length, 41)
    const filtered = (await get(path, { limit: 5, fieldSelector: 'metadata.name!=x' })).metadata
    assert.equal('remainingItemCount' in filtered, false)
    refused(
      await call('GET', path, { query: { limit: 2, continue: 'bogus' } }),
      400,
      'BadRequest',
      /continue key is not valid/,
    )
  })

  test('should return chunks of table results for list calls, and of metadata', async () => {
    const path = await templates('chunking', 20)
    for (const version of ['v1', 'v1beta1']) {
      const accept = TABLE.replace('v=v1;', `v=${version};`)
      const one = (await call('GET', path, { accept, query: { limit: 2 } })).body
      assert.deepEqual([one.kind, one.apiVersion], ['Table', `meta.k8s.io/${version}`])
      assert.deepEqual(
        one['rows'].map((r: { cells: string[] }) => r.cells[0]),
        ['template-0000', 'template-0001'],
      )
      const { continue: token, resourceVersion } = one.metadata as { continue?: string; resourceVersion?: string }
      assert.ok(token && resourceVersion)
      const two = (await call('GET', path, { accept, query: { continue: token } })).body
      assert.equal(two['rows'][0].cells[0], 'template-0002')
      assert.equal(two['rows'].length, 18)
    }
    const metadata = (await call('GET', path, { accept: PARTIAL_LIST, query: { limit: 2 } })).body
    assert.deepEqual(
      [metadata.kind, metadata.apiVersion, metadata['items'].length],
      ['PartialObjectMetadataList', 'meta.k8s.io/v1', 2],
    )
    assert.deepEqual(Object.keys(metadata['items'][0]).sort(), ['apiVersion', 'kind', 'metadata'])
    assert.equal((metadata.metadata as { remainingItemCount?: number }).remainingItemCount, 18)
  })
})

describe('Table', () => {
  test('every kind that is listed has a table whose rows fit its columns', async () => {
    const lists: string[] = []
    const groups = [
      '/api/v1',
      ...(await get('/apis'))['groups'].flatMap((g: { versions: { groupVersion: string }[] }) =>
        g.versions.map((v) => `/apis/${v.groupVersion}`),
      ),
    ]
    for (const root of groups)
      for (const { name, verbs } of (await get(root))['resources'])
        if (verbs.includes('list') && !name.includes('/')) lists.push(`${root}/${name}`)
    assert.ok(lists.length > 25, String(lists.length))
    for (const path of lists) {
      const table = (await call('GET', path, { accept: TABLE })).body
      assert.equal(table.kind, 'Table', path)
      assert.ok(
        table['columnDefinitions'].some(
          (c: { name: string; format: string }) => c.name === 'Name' && c.format === 'name',
        ),
        path,
      )
      assert.ok(Array.isArray(table['rows']), path)
      assert.ok(table.metadata.resourceVersion, path)
      for (const row of table['rows']) {
        assert.equal(row.cells.length, table['columnDefinitions'].length, path)
        assert.equal(row.object.kind, 'PartialObjectMetadata', path)
      }
      const list = await get(path, { limit: 1 })
      assert.match(list.kind, /List$/, path)
      assert.ok(Array.isArray(list['items']), path)
    }
  })

  test('of one object, with and without the object in it', async () => {
    const ns = await namespace('tables')
    await post(`/api/v1/namespaces/${ns}/pods`, {
      metadata: { name: 'pod-1' },
      spec: { containers: [{ name: 'a', image: 'a' }] },
    })
    const path = `/api/v1/namespaces/${ns}/pods/pod-1`
    for (const [includeObject, kind] of [
      ['Metadata', 'PartialObjectMetadata'],
      ['Object', 'Pod'],
      ['None', undefined],
    ] as const) {
      const table = (await call('GET', path, { accept: TABLE, query: { includeObject } })).body
      assert.equal(table['columnDefinitions'][0].name, 'Name')
      assert.equal(table['rows'].length, 1)
      assert.equal(table['rows'][0].cells[0], 'pod-1')
      assert.equal(table['rows'][0].object?.kind, kind)
    }
    const partial = (await call('GET', path, { accept: PARTIAL })).body
    assert.deepEqual(
      [partial.kind, partial.metadata.name, partial['spec']],
      ['PartialObjectMetadata', 'pod-1', undefined],
    )
    const deleted = await call('DELETE', path, { accept: TABLE, query: { gracePeriodSeconds: 0 } })
    assert.equal(deleted.code, 200, deleted.text)
  })
})

const config = (name: string, label: string, data: Record<string, string> = {}): object => ({
  metadata: { name, labels: { 'watch-this-configmap': label } },
  data,
})

describe('Watchers', () => {
  const paths = async (): Promise<string> => `/api/v1/namespaces/${await namespace('watch')}/configmaps`

  test('should observe add, update, and delete watch notifications on configmaps', async () => {
    const path = await paths()
    const { metadata } = await get(path)
    const query = (label: string): Record<string, string> => ({
      resourceVersion: metadata.resourceVersion!,
      labelSelector: `watch-this-configmap in (${label})`,
    })
    const [a, b, both] = await Promise.all([
      watch(path, { query: query('A') }),
      watch(path, { query: query('B') }),
      watch(path, { query: query('A,B') }),
    ])
    await post(path, config('a', 'A'))
    await patch(`${path}/a`, 'merge', { data: { mutation: '1' } })
    await put(`${path}/a`, config('a', 'A', { mutation: '2' }))
    await remove(`${path}/a`)
    await post(path, config('b', 'B'))
    await remove(`${path}/b`)
    const seen = async (stream: typeof a, count: number): Promise<string[]> =>
      (await stream.take(count)).map((e) =>
        `${e.type} ${e.object.metadata.name} ${e.object['data']?.mutation ?? ''}`.trim(),
      )
    const ofA = ['ADDED a', 'MODIFIED a 1', 'MODIFIED a 2', 'DELETED a 2']
    assert.deepEqual(await seen(a, 4), ofA)
    assert.deepEqual(await seen(b, 2), ['ADDED b', 'DELETED b'])
    assert.deepEqual(await seen(both, 6), [...ofA, 'ADDED b', 'DELETED b'])
    for (const stream of [a, b, both]) stream.stop()
  })

  test('should be able to start watching from a specific resource version', async () => {
    const path = await paths()
    await post(path, config('a', 'A'))
    const first = await patch(`${path}/a`, 'merge', { data: { mutation: '1' } })
    await patch(`${path}/a`, 'merge', { data: { mutation: '2' } })
    await remove(`${path}/a`)
    const stream = await watch(path, { query: { resourceVersion: first.metadata.resourceVersion! } })
    const events = await stream.take(2)
    stream.stop()
    assert.deepEqual(
      events.map((e) => [e.type, e.object['data'].mutation]),
      [
        ['MODIFIED', '2'],
        ['DELETED', '2'],
      ],
    )
    assert.ok(BigInt(events[1]!.object.metadata.resourceVersion!) > BigInt(events[0]!.object.metadata.resourceVersion!))
  })

  test('should be able to restart watching from the last resource version observed', async () => {
    const path = await paths()
    const before = (await get(path)).metadata.resourceVersion!
    const first = await watch(path, { query: { resourceVersion: before } })
    await post(path, config('a', 'A'))
    await patch(`${path}/a`, 'merge', { data: { mutation: '1' } })
    const last = (await first.take(2))[1]!.object.metadata.resourceVersion!
    first.stop()
    await patch(`${path}/a`, 'merge', { data: { mutation: '2' } })
    const second = await watch(path, { query: { resourceVersion: last } })
    await remove(`${path}/a`)
    assert.deepEqual(
      (await second.take(2)).map((e) => e.type),
      ['MODIFIED', 'DELETED'],
    )
    second.stop()
  })

  test('should observe an object deletion if it stops meeting the requirements of the selector', async () => {
    const path = await paths()
    const stream = await watch(path, {
      query: { resourceVersion: (await get(path)).metadata.resourceVersion!, labelSelector: 'watch-this-configmap=A' },
    })
    await post(path, config('a', 'A'))
    await patch(`${path}/a`, 'merge', { data: { mutation: '1' } })
    const away = await patch(`${path}/a`, 'merge', { metadata: { labels: { 'watch-this-configmap': 'wrong' } } })
    await patch(`${path}/a`, 'merge', { data: { mutation: '2' } })
    await patch(`${path}/a`, 'merge', { metadata: { labels: { 'watch-this-configmap': 'A' } } })
    await remove(`${path}/a`)
    const events = await stream.take(5)
    stream.stop()
    assert.deepEqual(
      events.map((e) => [e.type, e.object['data']?.mutation]),
      [
        ['ADDED', undefined],
        ['MODIFIED', '1'],
        ['DELETED', '1'],
        ['ADDED', '2'],
        ['DELETED', '2'],
      ],
    )
    assert.equal(events[2]!.object.metadata.resourceVersion, away.metadata.resourceVersion)
  })

  test('should receive events on concurrent watches in same order', async () => {
    const path = await paths()
    let { resourceVersion } = (await get(path)).metadata
    const versions: string[] = []
    const streams: Awaited<ReturnType<typeof watch>>[] = []
    for (let i = 0; i < 20; i++) {
      streams.push(await watch(path, { query: { resourceVersion: resourceVersion! } }))
      resourceVersion = (await post(path, config(`c-${i}`, 'A'))).metadata.resourceVersion
      versions.push(resourceVersion!)
    }
    for (const [i, stream] of streams.entries()) {
      const events = await stream.take(20 - i)
      assert.deepEqual(
        events.map((e) => e.object.metadata.resourceVersion),
        versions.slice(i),
      )
      stream.stop()
    }
  })

  test('ends after timeoutSeconds, with a clean end of the stream', async () => {
    const path = await paths()
    const { metadata } = await get(path)
    const query = { timeoutSeconds: 1, allowWatchBookmarks: true, resourceVersion: metadata.resourceVersion! }
    const stream = await watch(path, { query })
    const last = await stream.next()
    assert.equal(last?.type, 'BOOKMARK')
    assert.equal(last?.object.kind, 'ConfigMap')
    assert.equal(await stream.next(), undefined)
  })

  test('of one name, and in the deprecated form of the path', async () => {
    const path = await paths()
    await post(path, config('a', 'A'))
    await post(path, config('b', 'B'))
    const old = path.replace('/api/v1/', '/api/v1/watch/')
    for (const stream of [
      await watch(path, { query: { fieldSelector: 'metadata.name=a' } }),
      await watch(`${old}/a`),
      await watch(old, { query: { labelSelector: 'watch-this-configmap=A' } }),
    ]) {
      const event = await stream.next()
      assert.deepEqual([event?.type, event?.object.metadata.name], ['ADDED', 'a'])
      stream.stop()
    }
    // With a name in the path it is a get, whatever `watch` says.
    assert.equal((await get(`${path}/a`, { watch: true })).kind, 'ConfigMap')
  })

  test('metadata and tables are watched as such', async () => {
    const path = await paths()
    await post(path, config('a', 'A'))
    const metadata = await watch(path, { accept: PARTIAL })
    const one = await metadata.next()
    metadata.stop()
    assert.deepEqual(
      [one?.object.kind, one?.object.metadata.name, one?.object['data']],
      ['PartialObjectMetadata', 'a', undefined],
    )
    // An event has no list: kube-apiserver sends the objects.
    const listed = await watch(path, { accept: PARTIAL_LIST })
    const whole = await listed.next()
    listed.stop()
    assert.deepEqual(
      [whole?.object.kind, whole?.object['data']],
      ['ConfigMap', one && (await get(`${path}/a`))['data']],
    )
    const tables = await watch(path, { accept: TABLE })
    const row = await tables.next()
    assert.deepEqual([row?.object.kind, row?.object['rows'][0].cells[0]], ['Table', 'a'])
    tables.stop()
  })

  test('custom resources: watch, deletecollection', async () => {
    const { path, group, kind } = await customKind({ namespaced: true, versions: [{ name: 'v1' }, { name: 'v2' }] })
    const ns = await namespace('crd-watch')
    const objects = path.replace('/v1/', `/v1/namespaces/${ns}/`)
    const stream = await watch(objects)
    const other = await watch(objects.replace('/v1/', '/v2/'))
    for (const name of ['name1', 'name2'])
      await post(objects, { apiVersion: `${group}/v1`, kind, metadata: { name, labels: { set: 'x' } }, num: 1 })
    await patch(`${objects}/name1`, 'merge', { num: 2 })
    const gone = await remove(objects, { query: { labelSelector: 'set=x' } })
    assert.equal(gone.kind, `${kind}List`)
    const types = async (s: typeof stream, version: string): Promise<string[]> =>
      (await s.take(5)).map((e) => {
        assert.equal(e.object.apiVersion, `${group}/${version}`)
        return `${e.type} ${e.object.metadata.name} ${e.object['num']}`
      })
    for (const [s, version] of [
      [stream, 'v1'],
      [other, 'v2'],
    ] as const) {
      const seen = await types(s, version)
      assert.deepEqual(seen.slice(0, 3), ['ADDED name1 1', 'ADDED name2 1', 'MODIFIED name1 2'])
      assert.deepEqual(seen.slice(3).sort(), ['DELETED name1 2', 'DELETED name2 1'])
      s.stop()
    }
    assert.deepEqual(names(await get(objects)), [])
  })
})

describe('API Streaming (aka. WatchList)', () => {
  const streaming = { sendInitialEvents: true, allowWatchBookmarks: true, resourceVersionMatch: 'NotOlderThan' }
  async function secrets(): Promise<string> {
    const path = `/api/v1/namespaces/${await namespace('watchlist')}/secrets`
    for (const i of [1, 2, 3, 4, 5])
      await post(path, { metadata: { name: `secret-${i}`, labels: { watchlist: 'true' } } })
    return path
  }

  test('the state comes first, then a bookmark that says so, then what happens', async () => {
    const path = await secrets()
    for (const accept of ['application/json', PARTIAL]) {
      const stream = await watch(path, { accept, query: { ...streaming, labelSelector: 'watchlist=true' } })
      const events = await stream.take(6)
      assert.deepEqual(
        events.map((e) => e.type),
        ['ADDED', 'ADDED', 'ADDED', 'ADDED', 'ADDED', 'BOOKMARK'],
      )
      const end = events[5]!.object
      assert.equal(end.metadata.annotations?.['k8s.io/initial-events-end'], 'true')
      const list = await get(path)
      assert.ok(BigInt(end.metadata.resourceVersion!) <= BigInt(list.metadata.resourceVersion!))
      await patch(`${path}/secret-1`, 'merge', { stringData: { foo: accept } })
      assert.equal((await stream.next())?.type, 'MODIFIED')
      stream.stop()
    }
  })

  test("doesn't support receiving resources as Tables", async () => {
    const path = await secrets()
    const table = await call('GET', path, { accept: TABLE, query: { watch: true, ...streaming } })
    refused(table, 406, 'NotAcceptable')
    const stream = await watch(path, { accept: `${TABLE},application/json`, query: streaming })
    assert.equal((await stream.next())?.object.kind, 'Secret')
    stream.stop()
  })

  const wrong: [Record<string, string | boolean>, RegExp][] = [
    [
      { sendInitialEvents: true, allowWatchBookmarks: true },
      /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan|resourceVersionMatch: Forbidden/,
    ],
    [
      { resourceVersionMatch: 'NotOlderThan', resourceVersion: '1' },
      /resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided/,
    ],
    [{ sendInitialEvents: true, allowWatchBookmarks: true, resourceVersionMatch: 'Exact' }, /resourceVersionMatch/],
  ]
  for (const [query, message] of wrong)
    test(`refuses ${queryString(query)}`, async () =>
      refused(await call('GET', '/api/v1/configmaps', { query: { watch: true, ...query } }), 422, 'Invalid', message))
})

describe('resourceVersion', () => {
  test('rules of lists', async () => {
    const path = `/api/v1/namespaces/${await namespace('rv')}/configmaps`
    const one = (await post(path, config('a', 'A'))).metadata.resourceVersion!
    const two = (await post(path, config('b', 'A'))).metadata.resourceVersion!
    const list = async (query: Record<string, string>): Promise<string[]> =>
      names(await get(path, { labelSelector: 'watch-this-configmap=A', ...query }))
    assert.deepEqual(await list({}), ['a', 'b'])
    assert.deepEqual(await list({ resourceVersion: '0' }), ['a', 'b'])
    assert.deepEqual(await list({ resourceVersion: one }), ['a', 'b'])
    assert.deepEqual(await list({ resourceVersion: one, resourceVersionMatch: 'NotOlderThan' }), ['a', 'b'])
    assert.deepEqual(await list({ resourceVersion: one, resourceVersionMatch: 'Exact' }), ['a'])
    assert.deepEqual(await list({ resourceVersion: one, limit: '5' }), ['a'])
    assert.equal(
      (await get(path, { resourceVersion: two, resourceVersionMatch: 'Exact' })).metadata.resourceVersion,
      two,
    )
    const rows: [Record<string, string>, number, string, RegExp][] = [
      [{ resourceVersion: 'x' }, 422, 'Invalid', /resourceVersion: Invalid value: "x"/],
      [
        { resourceVersionMatch: 'Exact' },
        422,
        'Invalid',
        /resourceVersionMatch is forbidden unless resourceVersion is provided/,
      ],
      [
        { resourceVersion: '0', resourceVersionMatch: 'Exact' },
        422,
        'Invalid',
        /resourceVersionMatch "exact" is forbidden for resourceVersion "0"|resourceVersionMatch/i,
      ],
      [{ resourceVersion: one, resourceVersionMatch: 'Odd' }, 422, 'Invalid', /Unsupported value: "Odd"/],
      [{ labelSelector: 'a in' }, 400, 'BadRequest', /unable to parse requirement/],
      [{ fieldSelector: 'data.x=1' }, 400, 'BadRequest', /field label not supported: data\.x/],
      [{ limit: 'x' }, 400, 'BadRequest', /./],
    ]
    for (const [query, code, reason, message] of rows)
      refused(await call('GET', path, { query }), code, reason, message)
    const future = await call('GET', path, {
      query: { resourceVersion: '999999999', resourceVersionMatch: 'NotOlderThan' },
    })
    refused(future, 504, 'Timeout', /Too large resource version: 999999999, current: \d+/)
    assert.equal(future.body['details'].causes[0].reason, 'ResourceVersionTooLarge')
  })

  test('of what is deleted and of dry runs', async () => {
    const path = `/api/v1/namespaces/${await namespace('rv')}/configmaps`
    const dry = await post(path, config('a', 'A'), { dryRun: 'All' })
    assert.equal(dry.metadata.resourceVersion, undefined)
    assert.ok(dry.metadata.uid)
    assert.equal((await call('GET', `${path}/a`)).code, 404)
    const real = await post(path, config('a', 'A'))
    const patched = await patch(`${path}/a`, 'merge', { data: { a: 'b' } }, { dryRun: 'All' })
    assert.deepEqual([patched['data'], patched.metadata.resourceVersion], [{ a: 'b' }, real.metadata.resourceVersion])
    await put(`${path}/a`, config('a', 'A', { x: 'y' }), { dryRun: 'All' })
    const deleted = await remove(`${path}/a`, { query: { dryRun: 'All' } })
    assert.equal(deleted['status'], 'Success')
    await remove(path, { query: { dryRun: 'All' } })
    assert.deepEqual((await get(`${path}/a`))['data'], undefined)
    const same = await patch(`${path}/a`, 'merge', {})
    assert.equal(same.metadata.resourceVersion, real.metadata.resourceVersion)
    refused(
      await call('POST', path, { body: config('z', 'A'), query: { dryRun: 'Some' } }),
      422,
      'Invalid',
      /dryRun: Unsupported value/,
    )
    refused(
      await call('PUT', `${path}/a`, { body: { ...config('a', 'A'), metadata: { name: 'a', resourceVersion: '1' } } }),
      409,
      'Conflict',
      /the object has been modified/,
    )
  })
})
