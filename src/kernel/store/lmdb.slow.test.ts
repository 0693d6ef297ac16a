import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openLmdbStore } from './lmdb.ts'
import { CompactedError, type Store } from './store.ts'
import { seeded } from './suite-history.ts'
import { Recorder } from './suite-watch.ts'

type Acknowledged = { revision: number; key: string; value: string }

function startWriter(directory: string, seed: number): { child: ChildProcess; output: () => string } {
  const script = join(import.meta.dirname, 'crash-writer.ts')
  const child = spawn(process.execPath, [script, directory, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  return { child, output: () => text }
}

async function until(done: () => boolean, what: string): Promise<void> {
  for (let i = 0; !done(); i++) {
    if (i > 1000) throw new Error(`waited too long for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

const shown = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes).toString()
  return `${Number.parseInt(text, 10)}:${text.length}`
}

/** What was acknowledged must be what the store holds, at its revision where history reaches, and in the end state. */
async function check(store: Store, acknowledged: Acknowledged[]): Promise<void> {
  const newest = new Map<string, Acknowledged>()
  for (const entry of acknowledged) {
    if (entry.revision > (newest.get(entry.key)?.revision ?? 0)) newest.set(entry.key, entry)
    try {
      const { kvs } = await store.range({ key: entry.key, revision: entry.revision })
      assert.equal(kvs[0] === undefined ? '-' : shown(kvs[0].value), entry.value, `revision ${entry.revision}`)
      if (kvs[0] !== undefined) assert.equal(kvs[0].modRevision, entry.revision)
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
    }
  }
  for (const { key, revision, value } of newest.values()) {
    const [kv] = (await store.range({ key })).kvs
    // A write that was not yet acknowledged may have come after; nothing older may stand there.
    if (kv === undefined || kv.modRevision !== revision) {
      const later = kv === undefined ? undefined : kv.modRevision
      assert.ok(later === undefined || later > revision, `${key} at ${later} is older than ${revision}`)
      if (later === undefined && value !== '-') await checkDeleted(store, key, revision)
    } else assert.equal(shown(kv.value), value)
  }
}

async function checkDeleted(store: Store, key: string, after: number): Promise<void> {
  const from = await oldestReadable(store, key, after)
  // The writer compacts too: what was deleted below the oldest revision that can be read is rightly absent there.
  if (from > after && (await store.range({ key, revision: from })).kvs.length === 0) return
  const recorder = new Recorder(store, { key, fromRevision: from + 1 })
  await recorder.reached(store, await store.revision())
  assert.equal(recorder.events.at(-1)?.type, 'delete', `${key} of ${after} is gone without a deletion`)
  recorder.watch.cancel()
}

/** `revision`, or the revision up to which history was compacted when that is later. */
async function oldestReadable(store: Store, key: string, revision: number): Promise<number> {
  try {
    // One below: a watch from the compacted revision itself is refused, while a read of it is answered.
    await store.range({ key, revision: Math.max(1, revision - 1) })
    return revision
  } catch (error) {
    if (!(error instanceof CompactedError)) throw error
    return Math.max(revision, error.compactRevision)
  }
}

describe('lmdb: killed at random moments', () => {
  it('keeps what was acknowledged, never goes back, and watches go on', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-kill-'))
    const random = seeded(7)
    try {
      let revision = 1
      let total = 0
      for (let round = 0; round < 12; round++) {
        const { child, output } = startWriter(directory, round)
        await until(() => output().includes('\n'), 'the writer')
        const opened = Number(/^opened (\d+)/.exec(output())![1])
        assert.ok(opened >= revision, `opened at ${opened} after ${revision}`)
        await new Promise((resolve) => setTimeout(resolve, random() * 300))
        child.kill('SIGKILL')
        await once(child, 'close')
        // The last line may be cut off; it was then not told.
        const lines = output().split('\n').slice(1, -1)
        const acknowledged = lines.map((line): Acknowledged => {
          const [at, key, value] = line.split(' ')
          return { revision: Number(at), key: key!, value: value! }
        })
        total += acknowledged.length
        const store = await openLmdbStore({ directory, autoCompact: false })
        try {
          const now = await store.revision()
          const highest = acknowledged.reduce((most, entry) => Math.max(most, entry.revision), opened)
          assert.ok(now >= highest, `revision ${now} is behind ${highest}`)
          await check(store, acknowledged)
          // A watch from where a watcher of the dead process stood sees every revision since, and new ones.
          const recorder = new Recorder(store, {
            key: '/',
            prefix: true,
            fromRevision: Math.max(highest - 50, opened) + 1,
          })
          const put = { type: 'put', key: `/round/${round}`, value: Buffer.from('x') } as const
          revision = (await store.txn({ compare: [], success: [put] })).revision
          assert.equal(revision, now + 1)
          await recorder.reached(store, revision)
          assert.deepEqual(recorder.violations, [])
          const from = Math.max(highest - 50, opened) + 1
          assert.deepEqual(
            recorder.events.map(({ kv }) => kv.modRevision),
            Array.from({ length: revision - from + 1 }, (_, i) => from + i),
          )
        } finally {
          await store.close()
        }
      }
      assert.ok(total > 1000, `${total} writes were acknowledged`)
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it('locks its folder against a second process, which is told who has it, until the first is killed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-lock-'))
    const { child, output } = startWriter(directory, 1)
    try {
      await until(() => output().includes('\n'), 'the writer')
      await assert.rejects(openLmdbStore({ directory }), {
        name: 'StoreError',
        code: 'locked',
        message: `${directory} is in use by crash-writer, process ${child.pid} (running)`,
      })
      child.kill('SIGKILL')
      await once(child, 'close')
      const store = await openLmdbStore({ directory })
      await assert.rejects(openLmdbStore({ directory }), { code: 'locked', message: /this very process/ })
      await store.close()
      await (await openLmdbStore({ directory })).close()
    } finally {
      child.kill('SIGKILL')
      await rm(directory, { recursive: true })
    }
  })

  it('gives the folder to one of many that start at once', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rampart-lock-'))
    const script = `
      import { lockDirectory } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}
      try {
        await lockDirectory(${JSON.stringify(directory)}, 'one of many')
        process.stdout.write('mine')
        setInterval(() => {}, 1000)
      } catch (error) {
        process.stdout.write(error.code + ' ' + error.message)
      }`
    const children = Array.from({ length: 6 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      return { child, text: () => text }
    })
    try {
      await until(() => children.every(({ text }) => text() !== ''), 'all six')
      const winners = children.filter(({ text }) => text() === 'mine')
      assert.equal(winners.length, 1)
      for (const { text } of children) {
        if (text() !== 'mine')
          assert.match(text(), new RegExp(`^locked .*process ${winners[0]!.child.pid} \\(running\\)`))
      }
    } finally {
      for (const { child } of children) child.kill('SIGKILL')
      await rm(directory, { recursive: true })
    }
  })
})
