import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openEtcdStore } from './etcd.ts'
import { EtcdServer, etcdInstalled } from './etcd-server.ts'
import { type Store, StoreError } from './store.ts'
import { storeSuite } from './suite.ts'
import { Recorder } from './suite-watch.ts'

const installed = await etcdInstalled()
const put = (store: Store, key: string, text: string): Promise<{ revision: number }> =>
  store.txn({ compare: [], success: [{ type: 'put', key, value: Buffer.from(text) }] })

describe('etcd', { skip: installed ? false : 'etcd or openssl is not installed' }, () => {
  let server: EtcdServer
  let names = 0
  const open = (prefix: string): Promise<Store> =>
    openEtcdStore({ endpoints: [server.endpoint], tls: server.tls, prefix, timeout: 5000 })

  before(async () => {
    // Speed matters here and not what outlives the machine.
    server = await EtcdServer.start({ tls: true, arguments: ['--unsafe-no-fsync'] })
  })
  after(() => server.dispose())

  storeSuite(
    'etcd',
    async () => {
      const store = await open(`/suite/${++names}`)
      return { store, dispose: () => store.close() }
    },
    { histories: 4, workers: 8, steps: 40 },
  )

  it('keeps stores with different prefixes apart', async () => {
    const [one, two] = await Promise.all([open('/one'), open('/one/two')])
    const recorder = new Recorder(two, { key: '', prefix: true })
    await put(one, '/a', 'one')
    await put(two, '/a', 'two')
    const { revision } = await put(one, '/b', 'one')
    await recorder.reached(two, revision)
    assert.deepEqual(
      recorder.events.map(({ kv }) => [kv.key, kv.value]),
      [['/a', 'two']],
    )
    recorder.watch.cancel()
    await Promise.all([one.close(), two.close()])
  })

  it('catches up from the past when nothing has happened since it was opened', async () => {
    const first = await open('/idle')
    const { revision } = await put(first, '/a', '1')
    await put(first, '/a', '2')
    await first.close()
    const second = await open('/idle')
    const recorder = new Recorder(second, { key: '/a', fromRevision: revision })
    await recorder.reached(second, await second.revision())
    const last = await put(second, '/a', '3')
    await recorder.reached(second, last.revision)
    assert.deepEqual(
      recorder.events.map(({ kv }) => kv.value),
      ['1', '2', '3'],
    )
    assert.deepEqual((await second.range({ key: '', prefix: true })).count, 1, 'the marker is not seen')
    recorder.watch.cancel()
    await second.close()
  })

  it('brings two clients the same events in the same order', async () => {
    const [one, two] = await Promise.all([open('/shared'), open('/shared')])
    const from = (await one.revision()) + 1
    const recorders = [one, two].map((store) => new Recorder(store, { key: '/', prefix: true, fromRevision: from }))
    await Promise.all(
      [one, two].map(async (store, who) => {
        for (let i = 0; i < 50; i++) await put(store, `/${i % 7}`, `${who}:${i}`)
      }),
    )
    const last = await one.revision()
    await Promise.all([recorders[0]!.reached(one, last), recorders[1]!.reached(two, last)])
    assert.equal(recorders[0]!.events.length, 100)
    assert.deepEqual(recorders[0]!.events, recorders[1]!.events)
    await Promise.all([one.close(), two.close()])
  })

  it('refuses without a client certificate, and plain http', async () => {
    const { endpoint, tls } = server
    const foreign = await EtcdServer.start({ tls: true })
    try {
      const as = (other: typeof tls): Promise<Store> =>
        openEtcdStore({ endpoints: [endpoint], tls: other, timeout: 1000 })
      // Not known to the server; and a server that the client does not know.
      await assert.rejects(as({ ...tls!, cert: foreign.tls!.cert, key: foreign.tls!.key }), { code: 'unavailable' })
      await assert.rejects(as({ ...tls!, ca: foreign.tls!.ca }), { code: 'unavailable' })
    } finally {
      await foreign.dispose()
    }
    const bad: [string[], RegExp][] = [
      [[], /no endpoints/],
      [['http://10.0.0.1:2379'], /plain http is for loopback/],
      [['https://127.0.0.1:2379'], /needs ca, cert and key/],
      [['127.0.0.1:2379'], /not of the form/],
      [['https://127.0.0.1'], /not of the form/],
    ]
    for (const [endpoints, message] of bad) {
      await assert.rejects(openEtcdStore({ endpoints, tls: undefined }), { name: 'TypeError', message })
    }
  })
})

describe('etcd that fails', { skip: installed ? false : 'etcd or openssl is not installed' }, () => {
  it('is restarted and killed under load: nothing acknowledged is lost, watches miss and repeat nothing', async () => {
    const server = await EtcdServer.start({ tls: false })
    const dead = 'http://127.0.0.1:1'
    const store = await openEtcdStore({ endpoints: [dead, server.endpoint], tls: undefined, timeout: 3000 })
    try {
      const first = await store.revision()
      const recorder = new Recorder(store, { key: '/', prefix: true, fromRevision: first + 1 })
      const acknowledged = new Map<number, string>()
      let stop = false
      const writer = async (who: number): Promise<void> => {
        for (let i = 0; !stop; i++) {
          try {
            const { revision } = await put(store, `/${who}`, `${who}:${i}`)
            acknowledged.set(revision, `${who}:${i}`)
          } catch (error) {
            assert.ok(error instanceof StoreError && error.code === 'unavailable', String(error))
          }
          await new Promise((resolve) => setTimeout(resolve, 2))
        }
      }
      const writers = Promise.all([0, 1, 2, 3].map(writer))
      for (const signal of ['SIGTERM', 'SIGKILL', 'SIGKILL'] as const) {
        await new Promise((resolve) => setTimeout(resolve, 400))
        await server.stop(signal)
        await server.start()
      }
      const progressed = acknowledged.size
      await recorder.until(() => acknowledged.size > progressed + 20, undefined, 'writes after the last restart')
      stop = true
      await writers
      const last = await store.revision()
      await recorder.reached(store, last)
      assert.deepEqual(recorder.violations, [])
      const seen = new Map(recorder.events.map(({ kv }) => [kv.modRevision, kv.value]))
      assert.equal(seen.size, recorder.events.length, 'no event twice')
      // One put is one revision, so a complete watch has no holes.
      assert.deepEqual(
        [...seen.keys()],
        Array.from({ length: last - first }, (_, i) => first + 1 + i),
      )
      for (const [revision, text] of acknowledged) assert.equal(seen.get(revision), text)
    } finally {
      await store.close()
      await server.dispose()
    }
  })

  it('ends watches whose events were compacted away while the connection was lost', async () => {
    const server = await EtcdServer.start({ tls: false })
    const [store, other] = await Promise.all(
      [1, 2].map(() => openEtcdStore({ endpoints: [server.endpoint], tls: undefined, prefix: '/p' })),
    )
    try {
      const recorder = new Recorder(store!, { key: '/', prefix: true })
      const { revision } = await put(store!, '/a', '1')
      await recorder.reached(store!, revision)
      // Stopping the whole process is the nearest thing to a lost connection that compaction can overtake.
      await other!.close()
      await server.stop('SIGTERM')
      await server.start()
      const third = await openEtcdStore({ endpoints: [server.endpoint], tls: undefined, prefix: '/p' })
      await put(third, '/a', '2')
      const last = await put(third, '/a', '3')
      await third.compact(last.revision)
      await third.close()
      // Whether the first store was connected again before the compaction is a race: it may see all, or be told.
      await recorder.until(() => recorder.ended !== undefined || recorder.events.length === 3, undefined, 'either')
      if (recorder.ended !== undefined) assert.equal(recorder.ended.error?.name, 'CompactedError')
      else assert.deepEqual(recorder.violations, [])
      const fresh = new Recorder(store!, { key: '/', prefix: true })
      const after = await put(store!, '/a', '4')
      await fresh.reached(store!, after.revision)
      assert.equal(fresh.events.at(-1)?.kv.value, '4')
    } finally {
      await store!.close()
      await server.dispose()
    }
  })

  it('says that the quota is used up', async () => {
    const server = await EtcdServer.start({
      tls: false,
      arguments: ['--quota-backend-bytes=2000000', '--unsafe-no-fsync'],
    })
    const store = await openEtcdStore({ endpoints: [server.endpoint], tls: undefined })
    try {
      const big = 'x'.repeat(500_000)
      const fill = async (): Promise<void> => {
        for (let i = 0; i < 200; i++) await put(store, `/${i}`, big)
      }
      await assert.rejects(fill(), { name: 'StoreError', code: 'no-space' })
      assert.equal((await store.range({ key: '/0' })).count, 1)
      await assert.rejects(store.health(), { name: 'StoreError', code: 'no-space' })
    } finally {
      await store.close()
      await server.dispose()
    }
  })

  it('says that nothing answers', async () => {
    const opening = openEtcdStore({ endpoints: ['http://127.0.0.1:1'], tls: undefined, timeout: 500 })
    await assert.rejects(opening, { name: 'StoreError', code: 'unavailable' })
  })
})
