import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BackupReader } from './backup.ts'
import { restoreBackupInto } from './backup-into.ts'
import { type Plain, plain } from './model.ts'
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type Operation,
  type RangeRequest,
  type Store,
  type StoreError,
  type TxnRequest,
} from './store.ts'
import { checkRandomHistory } from './suite-history.ts'
import { Recorder } from './suite-watch.ts'

export type StoreUnderTest = {
  store: Store
  dispose: () => Promise<void>
}

export type SuiteOptions = {
  /** Random histories to check, and their size. */
  histories: number
  workers: number
  steps: number
}

const value = (text: string): Buffer => Buffer.from(text)
const put = (key: string, text = key): Operation => ({ type: 'put', key, value: value(text) })
const show = (kv: KeyValue): string => `${kv.key}=${Buffer.from(kv.value)}@v${kv.version}`

/** What every store must do. `make` gives an empty one. */
export function storeSuite(name: string, make: () => Promise<StoreUnderTest>, options: SuiteOptions): void {
  describe(`${name}: store`, () => {
    const withStore = async (use: (store: Store) => Promise<void>): Promise<void> => {
      const { store, dispose } = await make()
      try {
        await use(store)
      } finally {
        await dispose()
      }
    }
    const write = async (store: Store, ...success: Operation[]): Promise<number> =>
      (await store.txn({ compare: [], success })).revision

    describe('transactions', () => {
      // Each row starts from: /a written twice, /b written and deleted, /c/1 and /c/2 written once.
      type Row = {
        name: string
        request: (revisions: { a: number; c: number }) => TxnRequest
        succeeded: boolean
        results: string[][]
        after: string[]
      }
      const start = ['/a=2@v2', '/c/1=c1@v1', '/c/2=c2@v1']
      const rows: Row[] = [
        {
          name: 'create when absent',
          request: () => ({ compare: [{ key: '/n', modRevision: 0 }], success: [put('/n', 'x')] }),
          succeeded: true,
          results: [[]],
          after: [...start, '/n=x@v1'],
        },
        {
          name: 'create fails when present, and gets it',
          request: () => ({
            compare: [{ key: '/a', modRevision: 0 }],
            success: [put('/a', 'x')],
            failure: [{ type: 'get', key: '/a' }],
          }),
          succeeded: false,
          results: [['/a=2@v2']],
          after: start,
        },
        {
          name: 'failure without operations',
          request: () => ({ compare: [{ key: '/a', modRevision: 0 }], success: [put('/a', 'x')] }),
          succeeded: false,
          results: [],
          after: start,
        },
        {
          name: 'update at the right revision',
          request: ({ a }) => ({ compare: [{ key: '/a', modRevision: a }], success: [put('/a', 'x')] }),
          succeeded: true,
          results: [['/a=2@v2']],
          after: ['/a=x@v3', '/c/1=c1@v1', '/c/2=c2@v1'],
        },
        {
          name: 'update at a wrong revision',
          request: ({ a }) => ({ compare: [{ key: '/a', modRevision: a - 1 }], success: [put('/a', 'x')] }),
          succeeded: false,
          results: [],
          after: start,
        },
        {
          name: 'version compared',
          request: () => ({ compare: [{ key: '/a', version: 2 }], success: [{ type: 'delete', key: '/a' }] }),
          succeeded: true,
          results: [['/a=2@v2']],
          after: ['/c/1=c1@v1', '/c/2=c2@v1'],
        },
        {
          name: 'a deleted key is absent',
          request: () => ({ compare: [{ key: '/b', version: 0 }], success: [put('/b', 'x')] }),
          succeeded: true,
          results: [[]],
          after: ['/a=2@v2', '/b=x@v1', '/c/1=c1@v1', '/c/2=c2@v1'],
        },
        {
          name: 'all comparisons must hold',
          request: ({ a, c }) => ({
            compare: [
              { key: '/a', modRevision: a },
              { key: '/c/1', modRevision: c + 1 },
            ],
            success: [put('/n')],
          }),
          succeeded: false,
          results: [],
          after: start,
        },
        {
          name: 'several operations in order',
          request: () => ({
            compare: [],
            success: [
              { type: 'get', key: '/a' },
              put('/a', 'x'),
              { type: 'get', key: '/a' },
              { type: 'delete', key: '/c/', prefix: true },
              { type: 'get', key: '/c/1' },
              put('/d', ''),
            ],
          }),
          succeeded: true,
          results: [['/a=2@v2'], ['/a=2@v2'], ['/a=x@v3'], ['/c/1=c1@v1', '/c/2=c2@v1'], [], []],
          after: ['/a=x@v3', '/d=@v1'],
        },
        {
          name: 'deleting what is not there',
          request: () => ({ compare: [], success: [{ type: 'delete', key: '/b' }] }),
          succeeded: true,
          results: [[]],
          after: start,
        },
        {
          name: 'deleting everything',
          request: () => ({ compare: [], success: [{ type: 'delete', key: '', prefix: true }] }),
          succeeded: true,
          results: [start],
          after: [],
        },
      ]
      for (const row of rows) {
        it(row.name, () =>
          withStore(async (store) => {
            await write(store, put('/a', '1'), put('/b', 'b'))
            const a = await write(store, put('/a', '2'), { type: 'delete', key: '/b' })
            const c = await write(store, put('/c/1', 'c1'), put('/c/2', 'c2'))
            const result = await store.txn(row.request({ a, c }))
            assert.equal(result.succeeded, row.succeeded)
            assert.deepEqual(
              result.results.map(({ kvs }) => kvs.map(show)),
              row.results,
            )
            const now = await store.range({ key: '', prefix: true })
            assert.deepEqual(now.kvs.map(show), row.after)
            const changed = JSON.stringify(row.after) !== JSON.stringify(start)
            assert.equal(result.revision, changed ? c + 1 : c)
            assert.equal(now.revision, result.revision)
            assert.equal(await store.revision(), result.revision)
          }),
        )
      }

      it('counts create and mod revisions', () =>
        withStore(async (store) => {
          const first = await write(store, put('/k'))
          const second = await write(store, put('/other'))
          const third = await write(store, put('/k', 'again'))
          assert.deepEqual([second, third], [first + 1, first + 2])
          const [kv] = (await store.range({ key: '/k' })).kvs
          assert.deepEqual(plain(kv!), {
            key: '/k',
            value: 'again',
            createRevision: first,
            modRevision: third,
            version: 2,
          })
          await write(store, { type: 'delete', key: '/k' })
          const again = await write(store, put('/k'))
          const [reborn] = (await store.range({ key: '/k' })).kvs
          assert.deepEqual([reborn!.createRevision, reborn!.version], [again, 1])
        }))

      it('keeps any bytes, and large values', () =>
        withStore(async (store) => {
          const large = Buffer.alloc(1_000_000, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
          await store.txn({ compare: [], success: [{ type: 'put', key: '/large', value: large }] })
          assert.ok(large.equals((await store.range({ key: '/large' })).kvs[0]!.value))
        }))

      const bad: [string, Operation[], StoreError['code']][] = [
        ['an empty key', [put('', 'x')], 'internal'],
        ['half a surrogate pair', [put('/\ud800', 'x')], 'internal'],
        ['one key put twice', [put('/x', '1'), put('/y'), put('/x', '2')], 'internal'],
        ['one key put and deleted', [put('/x/1'), { type: 'delete', key: '/x', prefix: true }], 'internal'],
        ['too much', [{ type: 'put', key: '/x', value: Buffer.alloc(1.5 * 2 ** 20) }], 'too-large'],
      ]
      for (const [what, success, code] of bad) {
        it(`refuses ${what}`, () =>
          withStore(async (store) => {
            const revision = await store.revision()
            await assert.rejects(store.txn({ compare: [], success }), { name: 'StoreError', code })
            assert.equal(await store.revision(), revision)
          }))
      }
    })

    describe('ranges', () => {
      const keys = ['/a', '/a/1', '/a/2', '/aa', '/b', '/z', '/é', '/ÿ', '/\uffee', '/\u{10000}', '/😀']
      let underTest: StoreUnderTest
      let revision: number
      before(async () => {
        underTest = await make()
        for (const key of [...keys].reverse()) revision = await write(underTest.store, put(key))
        await write(underTest.store, put('/a/1', 'new'), { type: 'delete', key: '/b' }, put('/later'))
      })
      after(() => underTest.dispose())

      const now = keys.filter((key) => key !== '/b').toSpliced(4, 0, '/later')
      const rows: [string, (revision: number) => RangeRequest, string[], { more?: boolean; count?: number }?][] = [
        ['one key', () => ({ key: '/a' }), ['/a']],
        ['an absent key', () => ({ key: '/nope' }), []],
        ['a deleted key', () => ({ key: '/b' }), []],
        ['everything, in the order of bytes', () => ({ key: '', prefix: true }), now],
        ['a prefix', () => ({ key: '/a', prefix: true }), ['/a', '/a/1', '/a/2', '/aa']],
        ['a range without its end', () => ({ key: '/a/1', end: '/aa' }), ['/a/1', '/a/2']],
        ['a range beyond the basic plane', () => ({ key: '/\uffee', end: '/😀' }), ['/\uffee', '/\u{10000}']],
        ['a range upside down', () => ({ key: '/b', end: '/a' }), []],
        ['a limit', () => ({ key: '/a', prefix: true, limit: 2 }), ['/a', '/a/1'], { more: true, count: 4 }],
        ['a limit that is just enough', () => ({ key: '/a/', prefix: true, limit: 2 }), ['/a/1', '/a/2']],
        ['an older revision', (at) => ({ key: '/a/', end: '/c', revision: at }), ['/a/1', '/a/2', '/aa', '/b']],
        ['a still older one', (at) => ({ key: '/a', prefix: true, revision: at - 1 }), ['/a/1', '/a/2', '/aa']],
        [
          'a page at an older revision',
          (at) => ({ key: '/aa', end: '/z', revision: at, limit: 1 }),
          ['/aa'],
          { more: true, count: 2 },
        ],
        ['only the count', () => ({ key: '/a', prefix: true, countOnly: true }), [], { count: 4 }],
        ['only the count, limited', () => ({ key: '/a', prefix: true, countOnly: true, limit: 1 }), [], { count: 4 }],
      ]
      for (const [what, request, expected, { more = false, count = expected.length } = {}] of rows) {
        it(what, async () => {
          const result = await underTest.store.range(request(revision))
          assert.deepEqual(
            result.kvs.map((kv) => kv.key),
            expected,
          )
          assert.deepEqual([result.more, result.count, result.revision], [more, count, revision + 1])
        })
      }

      it('gives the values of the revision asked for', async () => {
        const { store } = underTest
        assert.equal(show((await store.range({ key: '/a/1' })).kvs[0]!), '/a/1=new@v2')
        assert.equal(show((await store.range({ key: '/a/1', revision })).kvs[0]!), '/a/1=/a/1@v1')
      })

      it('leaves out values', async () => {
        const { kvs } = await underTest.store.range({ key: '/a/1', keysOnly: true })
        assert.deepEqual([kvs[0]!.value.length, kvs[0]!.version], [0, 2])
      })

      it('refuses a future revision', async () => {
        await assert.rejects(underTest.store.range({ key: '/a', revision: revision + 2 }), (error) => {
          assert.ok(error instanceof FutureRevisionError)
          assert.match(error.message, new RegExp(`${revision + 2}.*${revision + 1}`))
          return true
        })
      })

      it('reads many keys with large values in pages, all at one revision', () =>
        withStore(async (store) => {
          const body = 'x'.repeat(20_000)
          for (let first = 0; first < 900; first += 50) {
            const keys = Array.from({ length: 50 }, (_, i) => `/many/${String(first + i).padStart(4, '0')}`)
            await write(store, ...keys.map((key) => put(key, body)))
          }
          const reading = store.range({ key: '/many/', prefix: true })
          const writing = write(store, put('/many/9999'), { type: 'delete', key: '/many/0899' })
          const { kvs, count, revision } = await reading
          await writing
          assert.deepEqual([kvs.length, count], [900, 900])
          const old = await store.range({ key: '/many/', prefix: true, revision, keysOnly: true })
          assert.deepEqual(
            kvs.map((kv) => kv.key),
            old.kvs.map((kv) => kv.key),
          )
        }))
    })

    describe('compaction', () => {
      it('forgets what came before, and keeps what stands', () =>
        withStore(async (store) => {
          const first = await write(store, put('/a', '1'), put('/gone'), put('/old', 'old'))
          await write(store, { type: 'delete', key: '/gone' })
          const middle = await write(store, put('/a', '2'))
          const last = await write(store, put('/a', '3'))
          await store.compact(middle)
          const at = async (revision: number): Promise<string[]> =>
            (await store.range({ key: '', prefix: true, revision })).kvs.map(show)
          assert.deepEqual(await at(middle), ['/a=2@v2', '/old=old@v1'])
          assert.deepEqual(await at(last), ['/a=3@v3', '/old=old@v1'])
          for (const revision of [first, middle - 1]) {
            await assert.rejects(store.range({ key: '/a', revision }), (error) => {
              assert.ok(error instanceof CompactedError)
              assert.equal(error.compactRevision, middle)
              return true
            })
          }
          await assert.rejects(store.compact(middle), CompactedError)
          await assert.rejects(store.compact(first), CompactedError)
          await assert.rejects(store.compact(last + 1), FutureRevisionError)
          await store.compact(last)
          assert.deepEqual(await at(last), ['/a=3@v3', '/old=old@v1'])
          await write(store, put('/gone', 'back'))
          assert.deepEqual(await at(0), ['/a=3@v3', '/gone=back@v1', '/old=old@v1'])
        }))

      it('ends a watch from before', () =>
        withStore(async (store) => {
          const first = await write(store, put('/a', '1'))
          const second = await write(store, put('/a', '2'))
          const third = await write(store, put('/a', '3'))
          await store.compact(second)
          for (const fromRevision of [first, second]) {
            const error = await new Recorder(store, { key: '/a', fromRevision }).end()
            assert.ok(error instanceof CompactedError, String(error))
            assert.equal(error.compactRevision, second)
          }
          const recorder = new Recorder(store, { key: '/a', fromRevision: third })
          await recorder.reached(store, third)
          assert.deepEqual(
            recorder.events.map((event) => event.kv.value),
            ['3'],
          )
          recorder.watch.cancel()
        }))

      it('does not disturb watches that are up to date', () =>
        withStore(async (store) => {
          const recorder = new Recorder(store, { key: '/a' })
          for (let round = 1; round <= 20; round++) {
            const revision = await write(store, put('/a', `${round}`))
            if (round % 3 === 0) await store.compact(revision)
            if (round % 5 === 0) await write(store, { type: 'delete', key: '/a' })
          }
          await recorder.reached(store, await store.revision())
          const expected = Array.from({ length: 20 }, (_, i) => ((i + 1) % 5 ? [`${i + 1}`] : [`${i + 1}`, ''])).flat()
          assert.deepEqual(
            recorder.events.map((event) => event.kv.value),
            expected,
          )
          assert.deepEqual(recorder.violations, [])
          recorder.watch.cancel()
        }))
    })

    describe('watches', () => {
      it('tells puts, updates and deletions, with what was there before', () =>
        withStore(async (store) => {
          const recorder = new Recorder(store, { key: '/w/', prefix: true })
          const first = await write(store, put('/w/1', 'a'), put('/other'))
          await write(store, put('/w/1', 'b'))
          const last = await write(store, { type: 'delete', key: '/w/', prefix: true })
          await recorder.reached(store, last)
          const kv = (text: string, modRevision: number, version: number): object => ({
            key: '/w/1',
            value: text,
            createRevision: version === 0 ? 0 : first,
            modRevision,
            version,
          })
          assert.deepEqual(recorder.events, [
            { type: 'put', kv: kv('a', first, 1), previous: undefined },
            { type: 'put', kv: kv('b', first + 1, 2), previous: kv('a', first, 1) },
            { type: 'delete', kv: kv('', last, 0), previous: kv('b', first + 1, 2) },
          ])
          recorder.watch.cancel()
        }))

      it('brings all events of a transaction at once', () =>
        withStore(async (store) => {
          const recorder = new Recorder(store, { key: '/', prefix: true })
          const keys = Array.from({ length: 60 }, (_, i) => `/k${String(i).padStart(2, '0')}`)
          const revision = await write(store, ...keys.map((key) => put(key)))
          await recorder.reached(store, revision)
          assert.deepEqual(
            recorder.deliveries.filter(({ events }) => events > 0),
            [{ revision, events: 60 }],
          )
          recorder.watch.cancel()
        }))

      it('starts at a future revision', () =>
        withStore(async (store) => {
          const revision = await store.revision()
          const recorder = new Recorder(store, { key: '/a', fromRevision: revision + 3 })
          for (let i = 1; i <= 4; i++) await write(store, put('/a', `${i}`))
          await recorder.reached(store, revision + 4)
          assert.deepEqual(
            recorder.events.map((event) => event.kv.value),
            ['3', '4'],
          )
          recorder.watch.cancel()
        }))

      it('stops at once when cancelled', () =>
        withStore(async (store) => {
          const other = new Recorder(store, { key: '/a' })
          const live = new Recorder(store, { key: '/a' })
          const behind = new Recorder(store, { key: '/a', fromRevision: 1 })
          live.watch.cancel()
          behind.watch.cancel()
          const revision = await write(store, put('/a'))
          await other.reached(store, revision)
          for (const cancelled of [live, behind]) {
            assert.deepEqual([cancelled.events, cancelled.ended], [[], undefined])
          }
          other.watch.cancel()
        }))

      it('tells progress when there are no events', () =>
        withStore(async (store) => {
          const recorder = new Recorder(store, { key: '/quiet' })
          const revision = await write(store, put('/loud'))
          await recorder.reached(store, revision)
          assert.deepEqual(recorder.events, [])
          assert.ok(recorder.deliveries.every(({ events }) => events === 0))
          recorder.watch.cancel()
        }))

      it('ends only the watch whose listener throws', () =>
        withStore(async (store) => {
          let ended: Error | undefined
          store.watch(
            { key: '/a' },
            {
              onEvents: () => {
                throw new Error('listener')
              },
              onEnd: (error) => {
                ended = error
              },
            },
          )
          const recorder = new Recorder(store, { key: '/a' })
          const revision = await write(store, put('/a'))
          await recorder.reached(store, revision)
          assert.equal(ended?.message, 'listener')
          recorder.watch.cancel()
        }))
    })

    describe('random concurrent histories', () => {
      for (let seed = 1; seed <= options.histories; seed++) {
        it(`seed ${seed}`, () => withStore((store) => checkRandomHistory(store, { ...options, seed })))
      }
      it('two on one store, with a compaction between', () =>
        withStore(async (store) => {
          await checkRandomHistory(store, { ...options, seed: 1001 })
          await store.compact(await store.revision())
          await checkRandomHistory(store, { ...options, seed: 1002 })
        }))
    })

    describe('backup', () => {
      it('holds everything at one revision, while writers go on', () =>
        withStore(async (store) => {
          const directory = await mkdtemp(join(tmpdir(), 'rampart-backup-'))
          try {
            for (let i = 0; i < 300; i++) await write(store, put(`/k/${i}`, `v${i}`))
            await write(store, { type: 'delete', key: '/k/7' })
            const file = join(directory, 'backup')
            let writing = true
            const writer = (async () => {
              for (let i = 0; writing; i++) await write(store, put(`/k/${i % 300}`, `later ${i}`))
            })()
            const { revision, bytes } = await store.backup(file)
            writing = false
            await writer
            const info = await stat(file)
            assert.deepEqual([info.size, info.mode & 0o777], [bytes, 0o600])
            const expected = (await store.range({ key: '', prefix: true, revision })).kvs.map(plain)
            const reader = await BackupReader.open(file)
            const found: Plain[] = []
            for await (const entry of reader.entries()) found.push(plain(entry))
            await reader.close()
            assert.equal(reader.revision, revision)
            assert.ok(found.every((kv, i) => i === 0 || kv.modRevision >= found[i - 1]!.modRevision))
            found.sort((a, b) => (a.key < b.key ? -1 : 1))
            assert.deepEqual(found, expected)
            const good = await readFile(file)
            for (const damage of [
              good.subarray(0, -1),
              good.subarray(0, 20),
              Buffer.alloc(0),
              Buffer.concat([good, Buffer.from('x')]),
              flipped(good, good.length >> 1),
              flipped(good, 20),
              flipped(good, good.length - 3),
            ]) {
              await writeFile(file, damage)
              await assert.rejects(BackupReader.open(file), { name: 'StoreError', code: 'corrupt' })
            }
          } finally {
            await rm(directory, { recursive: true })
          }
        }))
    })

    it('takes a backup back, key by key, when it is empty', () =>
      withStore((store) =>
        withStore(async (target) => {
          const directory = await mkdtemp(join(tmpdir(), 'rampart-backup-'))
          try {
            const file = join(directory, 'backup')
            for (let i = 0; i < 250; i++) await write(store, put(`/k/${i % 230}`, `v${i}`))
            await write(store, put('/large', 'x'.repeat(900_000)), put('/empty', ''))
            await store.backup(file)
            const { count } = await restoreBackupInto(target, file)
            const contents = async (of: Store): Promise<string[]> =>
              (await of.range({ key: '', prefix: true })).kvs.map((kv) => `${kv.key}=${Buffer.from(kv.value)}`)
            assert.equal(count, 232)
            assert.deepEqual(await contents(target), await contents(store))
            await assert.rejects(restoreBackupInto(target, file), { name: 'StoreError', message: /holds 232 keys/ })
          } finally {
            await rm(directory, { recursive: true })
          }
        }),
      ))

    it('is healthy, and refuses everything once closed', () =>
      withStore(async (store) => {
        await store.health()
        const recorder = new Recorder(store, { key: '/a' })
        await store.close()
        const isClosed = { name: 'StoreError', code: 'closed' }
        assert.equal(((await recorder.end()) as StoreError).code, 'closed')
        await assert.rejects(store.txn({ compare: [], success: [put('/a')] }), isClosed)
        await assert.rejects(store.range({ key: '/a' }), isClosed)
        await assert.rejects(store.revision(), isClosed)
        await assert.rejects(store.compact(1), isClosed)
        await assert.rejects(store.health(), isClosed)
        const late = await new Recorder(store, { key: '/a' }).end()
        assert.equal((late as StoreError).code, 'closed')
        await store.close()
      }))
  })
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1
  return copy
}
