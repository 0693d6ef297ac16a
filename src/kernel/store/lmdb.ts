import { chmodSync, mkdirSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { Log } from '../feature.ts'
import { syncDirectory, writeBackup } from './backup.ts'
import { History, Version } from './history.ts'
import { inRange } from './key-order.ts'
import { LmdbFile } from './lmdb-file.ts'
import { type DirectoryLock, lockDirectory } from './lock.ts'
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type RangeRequest,
  type RangeResult,
  type Store,
  StoreError,
  type TxnRequest,
  type TxnResult,
  type Watch,
  type WatchEvent,
  type WatchListener,
  type WatchRequest,
} from './store.ts'
import { checkTxn } from './txn.ts'
import { Watchers } from './watchers.ts'

export type AutoCompact = {
  /** Keep at most about this many revisions. */
  keepRevisions?: number
  /** Keep at least the revisions of this time, unless `keepRevisions` is less. */
  keepMilliseconds?: number
}

export type LmdbStoreOptions = {
  /** Made with mode 0700 when it is missing; belongs to the store alone. */
  directory: string
  /** Who holds the folder, in words: named to the second one that tries to open it. */
  owner?: string
  /** Keys and values of one transaction; default 1.5 MiB, as etcd. */
  maxRequestBytes?: number
  /** All that is kept, history included, beyond which puts fail with 'no-space'; default 8 GiB. */
  maxBytes?: number
  /** Writes waiting for the disk, beyond which more fail with 'unavailable'; default 64 MiB. */
  maxPendingBytes?: number
  /** Default: 25,000 revisions and 10 minutes; false: history is kept until `compact`. */
  autoCompact?: AutoCompact | false
  log?: Log
}

/** A transaction that was evaluated and waits until it, and all it may have read, is on disk. */
type Pending = {
  versions: Version[]
  /** What stood before each of `versions`. */
  previous: (KeyValue | undefined)[]
  bytes: number
  result: TxnResult
  resolve: (result: TxnResult) => void
  reject: (error: Error) => void
}

// One commit's limits: they bound how long writers behind it wait.
const commitBytes = 8 << 20
const commitRemovals = 500
// Few pages are copied at a time when there are hardly any.
const fullDiskRemovals = 8

/** @throws StoreError 'locked' when another process has the folder, 'corrupt' when its file is damaged. */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const { directory } = options
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const lock = await lockDirectory(directory, options.owner ?? 'a store')
  let file: LmdbFile | undefined
  try {
    file = new LmdbFile(directory)
    // A new file must not be lost with its name.
    await syncDirectory(directory)
    await syncDirectory(dirname(directory))
    return new LmdbStore(options, file, lock)
  } catch (error) {
    await file?.close()
    await lock.release()
    throw error
  }
}

/**
 * Transactions are evaluated in memory, in order of arrival, against all that was evaluated before; the writes then
 * go to disk in groups, one commit at a time, while the next group gathers. Reads and watches see what is durable.
 */
class LmdbStore implements Store {
  readonly #file: LmdbFile
  readonly #lock: DirectoryLock
  readonly #options: LmdbStoreOptions
  readonly #log: Log | undefined
  readonly #maxRequestBytes: number
  readonly #maxBytes: number
  readonly #maxPendingBytes: number
  readonly #autoCompact: AutoCompact | undefined
  readonly #history: History = new History()
  readonly #watchers: Watchers
  /** Revision of the last transaction that was evaluated, and of the last that is on disk. */
  #evaluated = 0
  #durable = 0
  #waiting: Pending[] = []
  #waitingBytes = 0
  #committing = false
  #flushScheduled = false
  /** Removed from memory by a compaction, still on disk. */
  #garbage: Version[] = []
  #compactionUnsaved = false
  #compactions: { resolve: () => void; reject: (error: Error) => void }[] = []
  #diskFull = false
  /** Set once the store cannot go on. */
  #failure: StoreError | undefined
  #closing: Promise<void> | undefined
  #idle: (() => void) | undefined
  #compactTimer: NodeJS.Timeout | undefined

  constructor(options: LmdbStoreOptions, file: LmdbFile, lock: DirectoryLock) {
    this.#options = options
    this.#file = file
    this.#lock = lock
    this.#log = options.log
    this.#maxRequestBytes = options.maxRequestBytes ?? 1.5 * 2 ** 20
    this.#maxBytes = options.maxBytes ?? 8 * 2 ** 30
    this.#maxPendingBytes = options.maxPendingBytes ?? 64 * 2 ** 20
    const auto = options.autoCompact ?? { keepRevisions: 25_000, keepMilliseconds: 600_000 }
    this.#autoCompact = auto === false ? undefined : auto
    this.#load()
    const store = this
    this.#watchers = new Watchers(
      {
        get revision() {
          return store.#durable
        },
        get compactRevision() {
          return store.#history.compactRevision
        },
        replay: (request, from, limit) => store.#replay(request, from, limit),
      },
      options.log,
    )
    this.#startAutoCompact()
  }

  revision(): Promise<number> {
    return this.#usable() ?? Promise.resolve(this.#durable)
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    await this.#usable()
    const revision = request.revision || this.#durable
    if (revision > this.#durable) throw new FutureRevisionError(revision, this.#durable)
    if (revision < this.#history.compactRevision) throw new CompactedError(this.#history.compactRevision)
    const limit = request.countOnly ? 0 : request.limit || Number.POSITIVE_INFINITY
    const kvs: KeyValue[] = []
    let count = 0
    this.#history.scan(request, revision, (version) => {
      if (count++ < limit) kvs.push(this.#keyValue(version, request.keysOnly === true))
      return false
    })
    return { revision: this.#durable, kvs, more: !request.countOnly && count > kvs.length, count }
  }

  txn(request: TxnRequest): Promise<TxnResult> {
    return new Promise((resolve, reject) => {
      const unusable = this.#closing === undefined ? this.#failure : closed()
      if (unusable !== undefined) throw unusable
      const pending = this.#evaluate(request, resolve, reject)
      if (pending.versions.length === 0 && this.#evaluated === this.#durable) {
        resolve(pending.result)
        return
      }
      this.#waiting.push(pending)
      this.#waitingBytes += pending.bytes
      this.#scheduleFlush()
    })
  }

  watch(request: WatchRequest, listener: WatchListener): Watch {
    if (this.#closing !== undefined) {
      setImmediate(() => listener.onEnd(closed()))
      return { cancel: () => {} }
    }
    return this.#watchers.add(request, listener)
  }

  requestProgress(): void {
    this.#watchers.requestProgress()
  }

  async compact(revision: number): Promise<void> {
    await this.#usable()
    if (revision > this.#durable) throw new FutureRevisionError(revision, this.#durable)
    if (revision <= this.#history.compactRevision) throw new CompactedError(this.#history.compactRevision)
    for (const version of this.#history.compact(revision)) this.#garbage.push(version)
    this.#compactionUnsaved = true
    await new Promise<void>((resolve, reject) => {
      this.#compactions.push({ resolve, reject })
      this.#scheduleFlush()
    })
  }

  async backup(file: string): Promise<{ revision: number; bytes: number }> {
    await this.#usable()
    const revision = this.#durable
    const versions: Version[] = []
    this.#history.scan({ key: '', prefix: true }, revision, (version) => {
      versions.push(version)
      return false
    })
    versions.sort((a, b) => a.modRevision - b.modRevision || a.sub - b.sub)
    const snapshot = this.#file.snapshot()
    try {
      const read = (version: Version): KeyValue => ({
        key: version.key,
        value: this.#file.value(version, snapshot),
        createRevision: version.createRevision,
        modRevision: version.modRevision,
        version: version.version,
      })
      return { revision, bytes: await writeBackup(file, revision, versions.values().map(read)) }
    } finally {
      snapshot.done()
    }
  }

  async health(): Promise<void> {
    await this.#usable()
    if (this.#diskFull) throw new StoreError('no-space', 'the disk is full: reads are served, writes fail')
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#compactTimer)
    if (this.#committing || this.#flushScheduled) await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#watchers.end(closed())
    // A disk that no longer answers would hold up closing for ever.
    const patience = this.#failure === undefined ? undefined : sleep(1000, undefined, { ref: false })
    await (patience === undefined ? this.#file.close() : Promise.race([this.#file.close(), patience]))
    await this.#lock.release()
  }

  /** A rejected promise when the store cannot serve. */
  #usable(): Promise<never> | undefined {
    if (this.#closing !== undefined) return Promise.reject(closed())
    return this.#failure && Promise.reject(this.#failure)
  }

  #load(): void {
    for (const version of this.#file.load()) {
      this.#history.append(version)
      this.#durable = version.modRevision
    }
    const { compactRevision } = this.#file
    // The last revision may have been a deletion that compaction removed.
    this.#durable = Math.max(this.#durable, compactRevision, 1)
    this.#evaluated = this.#durable
    // A compaction that was cut off left what it had not yet removed.
    if (compactRevision > 0) this.#garbage = this.#history.compact(compactRevision)
  }

  /** Decides a transaction against the state of all before it and gives it its revision. Throws before any change. */
  #evaluate(request: TxnRequest, resolve: Pending['resolve'], reject: Pending['reject']): Pending {
    const history = this.#history
    const succeeded = request.compare.every((compare) => {
      const live = history.live(compare.key)
      if ('version' in compare) return (live?.version ?? 0) === compare.version
      return (live?.modRevision ?? 0) === compare.modRevision
    })
    const bytes = checkTxn(request, this.#maxRequestBytes)
    const operations = succeeded ? request.success : (request.failure ?? [])
    const puts = operations.some((operation) => operation.type === 'put')
    if (puts) {
      if (history.bytes + bytes > this.#maxBytes) {
        throw new StoreError('no-space', `the store is full: ${history.bytes} of ${this.#maxBytes} bytes are used`)
      }
      if (this.#waitingBytes + bytes > this.#maxPendingBytes) {
        throw new StoreError('unavailable', `${this.#waitingBytes} bytes of writes already wait for the disk`)
      }
    }
    const revision = this.#evaluated + 1
    const versions: Version[] = []
    const previous: (KeyValue | undefined)[] = []
    const result: TxnResult = { succeeded, revision, results: [] }
    // All reads come before the first write below, so that an unreadable value leaves nothing half done.
    const found = operations.map((operation) => this.#found(operation))
    for (const [index, operation] of operations.entries()) {
      let kvs = found[index]!
      if (operation.type === 'get') {
        if (versions.length > 0) {
          const live = history.live(operation.key)
          kvs = live === undefined ? [] : [this.#keyValue(live, false)]
        }
      } else if (operation.type === 'put') {
        const before = kvs[0]
        const { key, value } = operation
        const version = new Version(
          key,
          revision,
          versions.length,
          before?.createRevision ?? revision,
          (before?.version ?? 0) + 1,
          value.length,
          crc32(value),
        )
        version.value = value
        history.append(version)
        versions.push(version)
        previous.push(before)
      } else {
        for (const before of kvs) {
          const version = new Version(before.key, revision, versions.length, 0, 0, 0, 0)
          history.append(version)
          versions.push(version)
          previous.push(before)
        }
      }
      result.results.push({ kvs })
    }
    if (versions.length > 0) this.#evaluated = revision
    else result.revision = this.#evaluated
    return { versions, previous, bytes, result, resolve, reject }
  }

  #found(operation: TxnRequest['success'][number]): KeyValue[] {
    const kvs: KeyValue[] = []
    if (operation.type === 'delete' && operation.prefix === true) {
      this.#history.scan({ key: operation.key, prefix: true }, this.#evaluated, (version) => {
        kvs.push(this.#keyValue(version, false))
        return false
      })
    } else {
      const live = this.#history.live(operation.key)
      if (live !== undefined) kvs.push(this.#keyValue(live, false))
    }
    return kvs
  }

  #keyValue(version: Version, keyOnly: boolean): KeyValue {
    return {
      key: version.key,
      value: keyOnly ? noBytes : (version.value ?? this.#file.value(version)),
      createRevision: version.createRevision,
      modRevision: version.modRevision,
      version: version.version,
    }
  }

  #event(version: Version, previous: KeyValue | undefined): WatchEvent {
    const event: WatchEvent = { type: version.version > 0 ? 'put' : 'delete', kv: this.#keyValue(version, false) }
    if (previous !== undefined) event.previous = previous
    return event
  }

  #replay(request: WatchRequest, from: number, limit: number): { events: WatchEvent[]; next: number } {
    const { log } = this.#history
    const events: WatchEvent[] = []
    const start = this.#history.position(from)
    let revision = 0
    for (let at = start; at < log.length; at++) {
      const version = log[at]!
      if (version.modRevision > this.#durable) break
      if (at - start >= limit && version.modRevision !== revision) return { events, next: version.modRevision }
      revision = version.modRevision
      if (!inRange(request, version.key)) continue
      const before = version.previous
      const previous = before !== undefined && before.version > 0 ? this.#keyValue(before, false) : undefined
      events.push(this.#event(version, previous))
    }
    return { events, next: this.#durable + 1 }
  }

  #scheduleFlush(): void {
    if (this.#committing || this.#flushScheduled) return
    this.#flushScheduled = true
    // Not at once: all that arrives in this turn of the event loop shares the commit.
    setImmediate(() => {
      this.#flushScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const group: Pending[] = []
    const written: Version[] = []
    let bytes = 0
    for (const pending of this.#waiting) {
      if (bytes > commitBytes) break
      group.push(pending)
      bytes += pending.bytes
      for (const version of pending.versions) written.push(version)
    }
    this.#waiting.splice(0, group.length)
    const removed = this.#garbage.slice(0, this.#diskFull ? fullDiskRemovals : commitRemovals)
    if (group.length === 0 && removed.length === 0 && !this.#compactionUnsaved) {
      this.#settle()
      return
    }
    // Deletions are tried: pages that LMDB has left over may do for them, and they are how space is made.
    if (this.#diskFull && written.some((version) => version.size > 0) && !this.#spaceFor(bytes)) {
      this.#failed(group, removed, new StoreError('no-space', 'the disk is full'))
      return
    }
    if (written.length === 0 && removed.length === 0 && !this.#compactionUnsaved) {
      this.#committed(group, written)
      return
    }
    const { compactRevision } = this.#history
    const saved = this.#compactionUnsaved
    this.#committing = true
    this.#file.commit({ written, removed, compactRevision: saved ? compactRevision : undefined }).then(
      () => {
        this.#committing = false
        if (saved && compactRevision === this.#history.compactRevision) this.#compactionUnsaved = false
        this.#garbage.splice(0, removed.length)
        // Space is back when the disk has it, or when a compaction has made it within the file.
        if (this.#diskFull && (this.#spaceFor(0) || (removed.length > 0 && this.#garbage.length === 0))) {
          this.#diskFull = false
          this.#log?.('info', 'the disk has space again')
        }
        this.#committed(group, written)
      },
      (error: StoreError) => {
        this.#committing = false
        // LMDB reports the short write of a disk that fills up as an I/O error.
        const full = error.code === 'internal' && !this.#spaceFor(bytes)
        this.#failed(group, removed, full ? new StoreError('no-space', 'the disk is full', { cause: error }) : error)
      },
    )
  }

  #committed(group: Pending[], written: Version[]): void {
    const last = written[written.length - 1]
    if (last !== undefined) this.#durable = last.modRevision
    let events: WatchEvent[] | undefined
    if (last !== undefined && this.#watchers.listening) {
      events = []
      for (const { versions, previous } of group) {
        for (let i = 0; i < versions.length; i++) events.push(this.#event(versions[i]!, previous[i]))
      }
    }
    for (const version of written) version.value = undefined
    for (const pending of group) {
      this.#waitingBytes -= pending.bytes
      pending.resolve(pending.result)
    }
    if (this.#waiting.length > 0) this.#flush()
    else this.#settle()
    if (events !== undefined) this.#watchers.publish(events, last!.modRevision)
    this.#compactByCount()
  }

  /** Nothing of a commit is on disk: everything evaluated since the last durable revision is taken back. */
  #failed(group: Pending[], removed: Version[], error: StoreError): void {
    if (error.code === 'no-space') {
      if (!this.#diskFull)
        this.#log?.('error', 'the disk is full: writes fail until there is space', { reason: error.message })
      this.#diskFull = true
    } else {
      // What is on disk is not known any more: only a restart can tell.
      this.#failure = error
      this.#log?.('error', 'the store failed and must be restarted', { reason: error.message })
    }
    const lost = [...group, ...this.#waiting]
    this.#waiting = []
    this.#waitingBytes = 0
    const { log } = this.#history
    while (log.length > 0 && log[log.length - 1]!.modRevision > this.#durable) this.#history.undo()
    this.#evaluated = this.#durable
    for (const pending of lost) pending.reject(error)
    if (removed.length > 0 || this.#compactionUnsaved) {
      for (const compaction of this.#compactions.splice(0)) compaction.reject(error)
    }
    if (this.#failure !== undefined) this.#watchers.end(this.#failure)
    this.#idle?.()
  }

  /** Nothing waits for the disk but, perhaps, what compaction left. */
  #settle(): void {
    if ((this.#garbage.length > 0 || this.#compactionUnsaved) && this.#closing === undefined) {
      this.#scheduleFlush()
      return
    }
    if (this.#garbage.length === 0) for (const compaction of this.#compactions.splice(0)) compaction.resolve()
    else for (const compaction of this.#compactions.splice(0)) compaction.reject(closed())
    this.#idle?.()
  }

  /** A full disk is asked before it is tried again, at three times the need: pages are copied, not overwritten. */
  #spaceFor(bytes: number): boolean {
    const { bavail, bsize } = statfsSync(this.#options.directory)
    return bavail * bsize > 3 * bytes + (1 << 20)
  }

  #startAutoCompact(): void {
    const keep = this.#autoCompact?.keepMilliseconds
    if (keep === undefined) return
    // Ten marks of the past: what is older than the oldest goes.
    const marks: number[] = []
    this.#compactTimer = setInterval(() => {
      marks.push(this.#durable)
      if (marks.length > 10) this.#compactTo(marks.shift()!)
    }, keep / 10)
    this.#compactTimer.unref()
  }

  #compactByCount(): void {
    const keep = this.#autoCompact?.keepRevisions
    if (keep === undefined) return
    // In steps of a tenth, so that the log is cut rarely.
    if (this.#durable - this.#history.compactRevision > keep * 1.1 + 100) this.#compactTo(this.#durable - keep)
  }

  #compactTo(revision: number): void {
    if (revision <= this.#history.compactRevision || this.#closing !== undefined || this.#failure) return
    this.compact(revision).catch((error: Error) => {
      if (this.#closing === undefined) this.#log?.('warn', 'compaction will be tried again', { reason: error.message })
    })
  }
}

const noBytes = new Uint8Array(0)
const closed = (): StoreError => new StoreError('closed', 'the store is closed')
