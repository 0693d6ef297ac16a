import { closeSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { open } from 'lmdb'
import type { Version } from './history.ts'
import { decodeRecord, encodeRecord, type RecordKey, recordKeyEncoder } from './record.ts'
import { StoreError } from './store.ts'

/** What one commit changes on disk, all of it or nothing. */
export type Commit = { written: Version[]; removed: Version[]; compactRevision?: number | undefined }

const formatVersion = 1
// A disk that does not answer for a minute is taken for dead: whether the commit survived is then unknown.
const commitTimeout = 60_000
const append = { append: true }

/** A read transaction of LMDB; `done` gives it back. */
export type Snapshot = { done: () => void }

// What is used of the library; its own declarations know neither custom key encoders nor file modes.
type Table<Key> = {
  getBinary: (key: Key, options?: { transaction: Snapshot }) => Buffer | undefined
  getStats: () => { entryCount: number }
  getRange: () => Iterable<{ key: Key; value: Buffer }>
  put: (key: Key, value: Uint8Array, options?: { append: boolean }) => Promise<boolean>
  putSync: (key: Key, value: Uint8Array) => void
  remove: (key: Key) => Promise<boolean>
}
type Root = Table<string> & {
  openDB: <Key>(options: { name: string; encoding: 'binary'; keyEncoder?: object }) => Table<Key>
  batch: (action: () => void) => Promise<boolean>
  resetReadTxn: () => void
  useReadTransaction: () => Snapshot
  close: () => Promise<void>
}

// Address space, not memory or disk; LMDB extends it by itself when it is used up.
const mapBytes = 2 ** 34

/**
 * The file `data.mdb`. Table `records` has one small record per version in the order of revisions, table `values` the
 * bytes under the same key: starting up reads the first alone, a write only ever appends to both (full pages, few of
 * them dirty), and a value is handed to LMDB as it came. Table `state` holds the format and the compact revision.
 */
export class LmdbFile {
  readonly #root: Root
  readonly #records: Table<RecordKey>
  readonly #values: Table<RecordKey>
  readonly #state: Table<string>
  compactRevision: number

  /** @throws StoreError 'corrupt' when the file is damaged or of another program. */
  constructor(directory: string) {
    const path = join(directory, 'data.mdb')
    checkMeta(path)
    try {
      // Without overlappingSync a commit is LMDB's own: pages, fdatasync, then the meta page through O_DSYNC; and only
      // then is it reported. eventTurnBatching off: what forms one commit is decided here, not by the event loop's turn.
      const options = {
        path,
        noSubdir: true,
        overlappingSync: false,
        eventTurnBatching: false,
        txnStartThreshold: 1,
        encoding: 'binary',
        mapSize: mapBytes,
        maxDbs: 4,
        permissionsMode: 0o600,
      } as const
      this.#root = open(options) as unknown as Root
      this.#records = this.#root.openDB({ name: 'records', encoding: 'binary', keyEncoder: recordKeyEncoder })
      this.#values = this.#root.openDB({ name: 'values', encoding: 'binary', keyEncoder: recordKeyEncoder })
      this.#state = this.#root.openDB({ name: 'state', encoding: 'binary' })
      const format = this.#state.getBinary('format')?.toString()
      if (format === undefined) this.#state.putSync('format', Buffer.from(String(formatVersion)))
      else if (format !== String(formatVersion)) {
        throw new StoreError('corrupt', `${path}: format ${format} is not one this version reads (${formatVersion})`)
      }
      this.compactRevision = Number(this.#state.getBinary('compactRevision')?.toString() ?? 0)
      if (!Number.isSafeInteger(this.compactRevision)) throw new StoreError('corrupt', `${path}: bad compact revision`)
    } catch (error) {
      throw error instanceof StoreError ? error : translate(error, path)
    }
  }

  /**
   * Every version on disk, in revision order.
   * @throws StoreError 'corrupt' when one is missing: all revisions after the compaction must be there, and as many
   * records as the table counts.
   */
  *load(): Generator<Version> {
    const damaged = (what: string, cause?: unknown): StoreError =>
      new StoreError('corrupt', `the store's records are damaged: ${what}`, { cause })
    let last = 0
    let count = 0
    const next = this.#records.getRange()[Symbol.iterator]()
    for (;;) {
      let version: Version
      try {
        const { value: entry, done } = next.next()
        if (done) break
        version = decodeRecord(entry.key, entry.value)
      } catch (error) {
        throw damaged((error as Error).message, error)
      }
      const { modRevision } = version
      if (modRevision < last) throw damaged(`revision ${modRevision} comes after ${last}`)
      const from = Math.max(last, this.compactRevision)
      if (modRevision > from + 1 && from > 0)
        throw damaged(`between revision ${from} and ${modRevision} some are missing`)
      last = modRevision
      count++
      yield version
    }
    const { entryCount } = this.#records.getStats()
    if (count !== entryCount) throw damaged(`${count} of ${entryCount} can be read`)
  }

  /**
   * The bytes of a version, in memory of their own.
   * @throws StoreError 'corrupt' when they are not those that were written.
   */
  value(version: Version, transaction?: Snapshot): Uint8Array {
    if (version.size === 0) return new Uint8Array(0)
    let value: Buffer | undefined
    try {
      value = this.#values.getBinary(version, transaction && { transaction })
    } catch (error) {
      throw new StoreError('corrupt', `value of ${version.key}: ${(error as Error).message}`, { cause: error })
    }
    if (value === undefined || value.length !== version.size || crc32(value) !== version.crc) {
      const what = value === undefined ? 'is missing' : 'is damaged'
      throw new StoreError('corrupt', `value of ${version.key} at revision ${version.modRevision} ${what} on disk`)
    }
    return value
  }

  /** A view of the file as it is now; hold it briefly: it keeps removed pages from being used again. */
  snapshot(): Snapshot {
    this.#root.resetReadTxn()
    return this.#root.useReadTransaction()
  }

  /** Resolves when the commit is on disk. One at a time; after StoreError 'no-space' nothing of it is. */
  async commit(commit: Commit): Promise<void> {
    const puts: Promise<boolean>[] = []
    const done = this.#root.batch(() => {
      for (const version of commit.written) {
        if (version.size > 0) {
          puts.push(this.#values.put(version, version.value!, append))
        }
        puts.push(this.#records.put(version, encodeRecord(version), append))
      }
      for (const version of commit.removed) {
        if (version.size > 0) this.#values.remove(version)
        this.#records.remove(version)
      }
      if (commit.compactRevision !== undefined) {
        this.#state.put('compactRevision', Buffer.from(String(commit.compactRevision)))
      }
    })
    puts.push(done)
    const results = await withTimeout(Promise.allSettled(puts))
    for (const result of results) {
      if (result.status === 'rejected') throw translate(await commitError(result.reason), 'commit')
      if (result.value === false) throw new StoreError('corrupt', 'a revision to be written is already on disk')
    }
  }

  close(): Promise<void> {
    return this.#root.close()
  }
}

async function commitError(reason: unknown): Promise<unknown> {
  const pending = (reason as { commitError?: Promise<never> }).commitError
  if (pending === undefined) return reason
  return pending.catch((error: unknown) => error)
}

async function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new StoreError('unavailable', `the disk has not confirmed a commit for ${commitTimeout / 1000} s`)),
      commitTimeout,
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

// Linux error numbers: ENOSPC, EDQUOT, EFBIG; LMDB's own: MDB_MAP_FULL, MDB_TXN_FULL and the corruption group.
const noSpace = new Set([28, 122, 27, -30792])
const corrupt = new Set([-30797, -30796, -30794, -30793, -30784, -30779])

function translate(error: unknown, what: string): StoreError {
  const { message, code } = error as { message: string; code?: number }
  const reason = `${what}: ${message}`
  if (typeof code === 'number' && noSpace.has(code)) return new StoreError('no-space', reason, { cause: error })
  if (/No space left|quota exceeded|File too large|MDB_MAP_FULL/i.test(message)) {
    return new StoreError('no-space', reason, { cause: error })
  }
  if (typeof code === 'number' && corrupt.has(code)) return new StoreError('corrupt', reason, { cause: error })
  if (/MDB_(INVALID|CORRUPTED|PAGE_NOTFOUND|VERSION_MISMATCH)/.test(message)) {
    return new StoreError('corrupt', reason, { cause: error })
  }
  return new StoreError('internal', reason, { cause: error })
}

/**
 * LMDB maps its file: touching a page that a truncated file lost would kill the process. So the meta pages (each a
 * 24-byte header, then magic, version, address, map size, two tables of 48 bytes, last page) are read here first. LMDB
 * never writes the last pages when they are free, so a file may rightly be short by some: those are put back as holes.
 */
function checkMeta(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined || size === 0) return
  const damaged = (what: string): StoreError =>
    new StoreError('corrupt', `${path}: ${what}; put a backup back with \`rampart restore\``)
  const readMeta = (at: number): { pageSize: number; lastPage: number; transaction: number } => {
    const bytes = Buffer.alloc(168)
    const descriptor = openSync(path, 'r')
    try {
      if (readSync(descriptor, bytes, 0, bytes.length, at) < bytes.length) throw damaged('too short to be a store')
    } finally {
      closeSync(descriptor)
    }
    if (bytes.readUInt32LE(24) !== 0xbeefc0de) throw damaged('not a store file, or its first pages are overwritten')
    return {
      pageSize: bytes.readUInt32LE(48),
      lastPage: Number(bytes.readBigUInt64LE(144)),
      transaction: Number(bytes.readBigUInt64LE(152)),
    }
  }
  const first = readMeta(0)
  if (first.pageSize < 512 || first.pageSize > 0x10000) throw damaged('its first page is overwritten')
  const second = readMeta(first.pageSize)
  const { lastPage } = first.transaction >= second.transaction ? first : second
  const needed = (lastPage + 1) * first.pageSize
  if (size >= needed) return
  if (size < needed / 2) throw damaged(`cut short: ${size} bytes are left of ${needed}`)
  truncateSync(path, needed)
}
