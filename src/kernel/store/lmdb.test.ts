import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { restoreBackup } from './backup.ts'
import { openLmdbStore } from './lmdb.ts'
import { plain } from './model.ts'
import { CompactedError, type Operation, type Store, type StoreError } from './store.ts'
import { storeSuite } from './suite.ts'
import { Recorder } from './suite-watch.ts'

storeSuite(
  'lmdb',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-store-'))
    const store = await openLmdbStore({ directory, autoCompact: false })
    return {
      store,
      dispose: async () => {
        await store.close()
        await rm(directory, { recursive: true })
      },
    }
  },
  { histories: 8, workers: 16, steps: 60 },
)

const put = (key: string, text: string): Operation => ({ type: 'put', key, value: Buffer.from(text) })
const write = async (store: Store, ...success: Operation[]): Promise<number> =>
  (await store.txn({ compare: [], success })).revision
const everything = { key: '', prefix: true }

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const parent = await mkdtemp(join(tmpdir(), 'rampart-store-'))
  try {
    await use(join(parent, 'data'))
  } finally {
    await rm(parent, { recursive: true })
  }
}

/** A small file system of its own; undefined where this process may not mount one. */
function mountSmall(directory: string): (() => void) | undefined {
  if (process.getuid?.() !== 0) return undefined
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return () => execFileSync('umount', [directory])
}

describe('lmdb: on disk', () => {
  it('keeps state and history over a restart, in files for the owner alone', () =>
    inDirectory(async (directory) => {
      let store = await openLmdbStore({ directory })
      const first = await write(store, put('/a', '1'), put('/empty', ''))
      await write(store, put('/a', '2'), { type: 'delete', key: '/empty' })
      const last = await write(store, put('/é', '3'))
      const now = (await store.range(everything)).kvs.map(plain)
      await store.close()
      assert.equal((await stat(directory)).mode & 0o777, 0o700)
      for (const file of await readdir(directory)) {
        assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600, file)
      }
      store = await openLmdbStore({ directory })
      assert.equal(await store.revision(), last)
      assert.deepEqual((await store.range(everything)).kvs.map(plain), now)
      const old = await store.range({ ...everything, revision: first })
      assert.deepEqual(
        old.kvs.map((kv) => [kv.key, Buffer.from(kv.value).toString()]),
        [
          ['/a', '1'],
          ['/empty', ''],
        ],
      )
      const recorder = new Recorder(store, { ...everything, fromRevision: first })
      await recorder.reached(store, last)
      assert.deepEqual(
        recorder.events.map(({ type, kv, previous }) => [type, kv.key, kv.value, previous?.value]),
        [
          ['put', '/a', '1', undefined],
          ['put', '/empty', '', undefined],
          ['put', '/a', '2', '1'],
          ['delete', '/empty', '', ''],
          ['put', '/é', '3', undefined],
        ],
      )
      await store.close()
    }))

  it('keeps its revision and its compaction over a restart, even when all is deleted', () =>
    inDirectory(async (directory) => {
      let store = await openLmdbStore({ directory })
      await write(store, put('/a', '1'), put('/b', '1'))
      const last = await write(store, { type: 'delete', key: '/', prefix: true })
      await store.compact(last)
      await store.close()
      store = await openLmdbStore({ directory })
      assert.equal(await store.revision(), last)
      await assert.rejects(store.range({ key: '/a', revision: last - 1 }), CompactedError)
      assert.equal((await store.range(everything)).count, 0)
      assert.equal(await write(store, put('/a', '2')), last + 1)
      await store.close()
    }))

  it('compacts by itself, and its file stops growing', () =>
    inDirectory(async (directory) => {
      const store = await openLmdbStore({ directory, autoCompact: { keepRevisions: 100 } })
      const text = 'x'.repeat(3000)
      const sizes: number[] = []
      for (let round = 0; round < 10; round++) {
        for (let i = 0; i < 20; i++) {
          await Promise.all(Array.from({ length: 20 }, (_, who) => write(store, put(`/${who}`, text))))
        }
        sizes.push((await stat(join(directory, 'data.mdb'))).size)
      }
      const revision = await store.revision()
      await assert.rejects(store.range({ key: '/1', revision: revision - 400 }), CompactedError)
      assert.equal((await store.range({ ...everything, revision: revision - 100 })).count, 20)
      // 4,000 writes of 3 kB are 12 MB; the 100 to 210 revisions that are kept need a fraction of it.
      assert.ok(sizes.at(-1)! < 6e6, `${sizes}`)
      assert.equal(sizes.at(-1), sizes.at(4), `${sizes}`)
      await store.close()
    }))

  it('compacts by time', () =>
    inDirectory(async (directory) => {
      const store = await openLmdbStore({ directory, autoCompact: { keepMilliseconds: 50 } })
      const first = await write(store, put('/a', '1'))
      await write(store, put('/a', '2'))
      const gone = async (): Promise<boolean> =>
        store.range({ key: '/a', revision: first }).then(
          () => false,
          (error) => error instanceof CompactedError,
        )
      for (let i = 0; !(await gone()); i++) {
        assert.ok(i < 500)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      assert.equal((await store.range({ key: '/a' })).count, 1)
      await store.close()
    }))

  it('refuses more writes than it may hold, in memory or at all', () =>
    inDirectory(async (directory) => {
      const store = await openLmdbStore({ directory, maxBytes: 100_000, maxPendingBytes: 50_000 })
      const text = 'x'.repeat(10_000)
      const burst = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => write(store, put(`/${i}`, text))))
      const codes = burst.map((one) => (one.status === 'rejected' ? (one.reason as StoreError).code : 'written'))
      assert.deepEqual(codes, [...Array(4).fill('written'), ...Array(4).fill('unavailable')])
      const fill = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) await write(store, put('/again', text))
      }
      await assert.rejects(fill(), { code: 'no-space' })
      await write(store, { type: 'delete', key: '/again' })
      await store.compact(await store.revision())
      await write(store, put('/again', text))
      await store.close()
    }))
})

describe('lmdb: full disk', () => {
  it('fails writes as one, goes on reading, and goes on writing once there is space', async (test) => {
    const parent = await mkdtemp(join(tmpdir(), 'rampart-full-'))
    const unmount = mountSmall(parent)
    if (unmount === undefined) {
      await rm(parent, { recursive: true })
      test.skip('needs the right to mount a small file system')
      return
    }
    try {
      const directory = join(parent, 'data')
      const logged: string[] = []
      let store = await openLmdbStore({
        directory,
        autoCompact: false,
        log: (level, text) => logged.push(`${level} ${text}`),
      })
      const recorder = new Recorder(store, everything)
      const text = 'x'.repeat(20_000)
      const written: string[] = []
      let updates = 0
      const noSpace = { name: 'StoreError', code: 'no-space' }
      const fill = async (): Promise<void> => {
        for (let i = 0; i < 400; i++) {
          const keys = [1, 2, 3].map((j) => `/k/${i}-${j}`)
          const results = await Promise.allSettled([...keys, '/same'].map((key) => write(store, put(key, text))))
          const lost = results.filter((one) => one.status === 'rejected')
          if (lost.length > 0) {
            assert.equal(lost.length, 4, 'one group, one fate')
            throw lost[0]!.reason
          }
          written.push(...keys)
          updates++
        }
      }
      // LMDB's binding writes the commit's error to stderr as well.
      await assert.rejects(fill(), noSpace)
      const keysNow = async (): Promise<string[]> =>
        (await store.range({ key: '/k/', prefix: true, keysOnly: true })).kvs.map((kv) => kv.key)
      const revision = await store.revision()
      assert.equal(revision, written.length + updates + 1)
      assert.equal((await store.range({ key: '/same' })).kvs[0]!.version, updates)
      assert.deepEqual(await keysNow(), written.toSorted())
      assert.equal((await store.range({ key: written[0]! })).kvs[0]!.value.length, text.length)
      await assert.rejects(write(store, put('/more', text)), noSpace)
      await assert.rejects(store.health(), noSpace)
      const failed = await store.txn({ compare: [{ key: '/no', version: 1 }], success: [put('/more', text)] })
      assert.deepEqual([failed.succeeded, failed.revision], [false, revision])

      const same = { key: '/same', version: updates }
      assert.ok((await store.txn({ compare: [same], success: [{ type: 'get', key: '/same' }] })).succeeded)

      // Space is made within the store.
      const deleted = await write(store, { type: 'delete', key: '/k/', prefix: true })
      assert.equal(deleted, revision + 1)
      await store.compact(deleted)
      assert.equal(await write(store, put('/more', text)), deleted + 1)
      await store.health()
      assert.deepEqual(logged, [
        'error the disk is full: writes fail until there is space',
        'info the disk has space again',
      ])

      // Space is taken and given back by someone else.
      await writeFile(join(parent, 'ballast'), Buffer.alloc(8 << 20)).catch(() => {})
      await assert.rejects(fill(), noSpace)
      await rm(join(parent, 'ballast'))
      execFileSync('mount', ['-o', 'remount,size=16m', parent])
      await write(store, put('/last', text))
      await store.health()
      const last = await store.revision()
      await recorder.reached(store, last)
      assert.deepEqual(recorder.violations, [])
      assert.deepEqual(
        [...new Set(recorder.events.map(({ kv }) => kv.modRevision))],
        Array.from({ length: last - 1 }, (_, i) => i + 2),
      )
      const state = (await store.range(everything)).kvs.map(plain)
      await store.close()
      store = await openLmdbStore({ directory })
      assert.deepEqual((await store.range(everything)).kvs.map(plain), state)
      await store.close()
    } finally {
      unmount()
      await rm(parent, { recursive: true })
    }
  })
})

describe('lmdb: damaged files', () => {
  const rows: [string, (file: string) => Promise<void>, RegExp][] = [
    ['not a store file', (file) => writeFile(file, Buffer.alloc(100_000, 'x')), /not a store file/],
    ['an empty page', (file) => writeFile(file, Buffer.alloc(8192)), /not a store file/],
    ['a few bytes', (file) => writeFile(file, 'x'), /too short/],
    ['cut short by most', (file) => truncate(file, 16_384), /cut short|cannot be read/],
    [
      'overwritten first page',
      async (file) => {
        const bytes = await readFile(file)
        bytes.fill(0xff, 0, 4096)
        await writeFile(file, bytes)
      },
      /first pages are overwritten/,
    ],
  ]
  for (const [what, damage, message] of rows) {
    it(`says what is wrong: ${what}`, () =>
      inDirectory(async (directory) => {
        const store = await openLmdbStore({ directory })
        for (let i = 0; i < 200; i++) await write(store, put(`/${i}`, 'x'.repeat(1000)))
        await store.close()
        await damage(join(directory, 'data.mdb'))
        await assert.rejects(openLmdbStore({ directory }), { name: 'StoreError', code: 'corrupt', message })
        // The folder is free again.
        await rm(join(directory, 'data.mdb'))
        await (await openLmdbStore({ directory })).close()
      }))
  }

  it('does not give out a value that is not what was written', () =>
    inDirectory(async (directory) => {
      let store = await openLmdbStore({ directory })
      await write(store, put('/good', 'good'), put('/bad', 'a value that will be changed'))
      await store.close()
      const file = join(directory, 'data.mdb')
      const bytes = await readFile(file)
      for (let at = bytes.indexOf('that will be'); at >= 0; at = bytes.indexOf('that will be')) bytes[at] = 0x54
      await writeFile(file, bytes)
      store = await openLmdbStore({ directory })
      await assert.rejects(store.range({ key: '/bad' }), { code: 'corrupt', message: /value of \/bad .* is damaged/ })
      assert.equal((await store.range({ key: '/good' })).count, 1)
      await store.close()
    }))
})

describe('lmdb: restore', () => {
  it('brings back a backup, with revisions that were never given out', () =>
    inDirectory(async (directory) => {
      const file = `${directory}.backup`
      let store = await openLmdbStore({ directory })
      await write(store, put('/a', '1'), put('/b', 'x'))
      for (let i = 0; i < 50; i++) await write(store, put('/a', `${i}`), put(`/k/${i}`, 'y'.repeat(i * 1000)))
      await write(store, { type: 'delete', key: '/b' })
      const state = (await store.range(everything)).kvs.map(plain)
      const { revision } = await store.backup(file)
      await write(store, put('/lost', '1'))
      await store.close()
      await assert.rejects(restoreBackup(file, directory), { name: 'StoreError', message: /not empty/ })

      const target = `${directory}.restored`
      await mkdir(target)
      const restored = await restoreBackup(file, target)
      assert.deepEqual(restored, { revision: revision + 100_000_000, count: state.length })
      store = await openLmdbStore({ directory: target })
      assert.deepEqual((await store.range(everything)).kvs.map(plain), state)
      assert.equal(await store.revision(), restored.revision)
      // Whoever watched the store that was lost must start afresh.
      const stale = await new Recorder(store, { ...everything, fromRevision: revision + 2 }).end()
      assert.ok(stale instanceof CompactedError)
      assert.equal(await write(store, put('/new', '1')), restored.revision + 1)
      await store.close()
      store = await openLmdbStore({ directory: target })
      assert.equal((await store.range(everything)).count, state.length + 1)
      await store.close()

      const exact = await restoreBackup(file, `${directory}.exact`, { bumpRevision: 0 })
      assert.equal(exact.revision, revision)
    }))

  it('leaves nothing behind when the backup is damaged', () =>
    inDirectory(async (directory) => {
      const store = await openLmdbStore({ directory })
      await write(store, put('/a', '1'))
      const file = `${directory}.backup`
      await store.backup(file)
      await store.close()
      const bytes = await readFile(file)
      bytes[40]! ^= 1
      await writeFile(file, bytes)
      const before = await readdir(join(directory, '..'))
      await assert.rejects(restoreBackup(file, `${directory}.restored`), { code: 'corrupt' })
      await assert.rejects(restoreBackup(`${file}.missing`, `${directory}.restored`), { code: 'ENOENT' })
      assert.deepEqual(await readdir(join(directory, '..')), before)
    }))
})
