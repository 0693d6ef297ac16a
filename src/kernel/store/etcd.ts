import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../feature.ts'
import { writeBackup } from './backup.ts'
import { EtcdClient, type EtcdClientOptions, type EtcdTls, type EtcdTlsSource } from './etcd-client.ts'
import {
  compactionRequest,
  compareTarget,
  type EtcdCompare,
  type EtcdKeyValue,
  type EtcdOperation,
  type EtcdOperationResponse,
  type EtcdRange,
  type EtcdRangeResponse,
  empty,
  rangeRequest,
  rangeResponse,
  statusResponse,
  txnRequest,
  txnResponse,
} from './etcd-messages.ts'
import { EtcdEvents, type KeySpace } from './etcd-watch.ts'
import { inRange } from './key-order.ts'
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type Operation,
  type OperationResult,
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

export type EtcdStoreOptions = {
  /** `https://host:port`, tried in order; `http://` only to loopback addresses. */
  endpoints: readonly string[]
  /** Put before every key, so that several stores can share one etcd; default none. */
  prefix?: string
  tls: EtcdTls | EtcdTlsSource | undefined
  /** Milliseconds for one call; default 10,000. */
  timeout?: number
  /** Keys and values of one transaction; default etcd's own 1.5 MiB. */
  maxRequestBytes?: number
  log?: Log
}

const pageBytes = 4 << 20
const firstPage = 500
const maxPage = 10_000
// A key of the store's own, first in its key space and hidden from reads. Writing it makes an event that tells a watch
// how far it is. (A WatchProgressRequest would do without the write, but etcd before 3.4.25 answers it ahead of events
// that are still on their way: etcd issue 15220.)
const marker = '\0marker'
const afterMarker = '\0marker\0'
const markerPatience = 200

/** @throws StoreError 'unavailable' when no endpoint answers; TypeError for bad options. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const clientOptions: EtcdClientOptions = { endpoints: options.endpoints, tls: options.tls }
  if (options.timeout !== undefined) clientOptions.timeout = options.timeout
  if (options.log !== undefined) clientOptions.log = options.log
  const client = new EtcdClient(clientOptions)
  try {
    const probe = { key: Buffer.from([0]), limit: 1, countOnly: true }
    const response = await client.call('/etcdserverpb.KV/Range', rangeRequest, rangeResponse, probe, true)
    const store = new EtcdStore(options, client, response.header?.revision ?? 0)
    const patience = options.timeout ?? 10_000
    const late = sleep(patience, undefined, { ref: false }).then(() => {
      throw new StoreError('unavailable', `etcd has not confirmed a watch for ${patience / 1000} s`)
    })
    await Promise.race([store.ready(), late]).catch(async (error: Error) => {
      await store.close()
      throw error
    })
    return store
  } catch (error) {
    client.close()
    throw error
  }
}

/**
 * One watch of the whole key space feeds all watches that are up to date; one that starts in the past gets a stream of
 * its own until it has caught up.
 */
class EtcdStore implements Store {
  readonly #client: EtcdClient
  readonly #prefix: string
  readonly #prefixBytes: number
  readonly #space: KeySpace
  readonly #maxRequestBytes: number
  readonly #log: Log | undefined
  readonly #watchers: Watchers
  readonly #catchingUp: Set<{ end: (error: Error) => void }> = new Set()
  #events: EtcdEvents
  /** The highest revision that any answer has shown. */
  #known: number
  #progress: Promise<void> | undefined
  #closed = false

  constructor(options: EtcdStoreOptions, client: EtcdClient, revision: number) {
    this.#client = client
    this.#prefix = options.prefix ?? ''
    this.#prefixBytes = Buffer.byteLength(this.#prefix)
    this.#maxRequestBytes = options.maxRequestBytes ?? 1.5 * 2 ** 20
    this.#log = options.log
    this.#known = revision
    this.#space = {
      start: this.#key(''),
      end: prefixEnd(Buffer.from(this.#prefix)),
      keyValue: (kv) => this.#keyValue(kv),
    }
    const store = this
    this.#watchers = new Watchers(
      {
        get revision() {
          return store.#events.delivered
        },
        compactRevision: 0,
        // Watches are added only when they are up to date.
        replay: () => {
          throw new StoreError('internal', 'a watch that is behind has no stream of its own')
        },
      },
      options.log,
    )
    this.#events = this.#follow(revision + 1)
  }

  /** Resolves when the common stream runs, so that no event after now can be missed. */
  ready(): Promise<void> {
    return this.#events.ready
  }

  async revision(): Promise<number> {
    return (await this.#range({ key: this.#space.start, limit: 1, countOnly: true })).header?.revision ?? 0
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    const { key, rangeEnd } = this.#bounds(request)
    const wanted = request.limit || Number.POSITIVE_INFINITY
    const base: Partial<EtcdRange> = { key, rangeEnd, keysOnly: request.keysOnly === true }
    if (request.countOnly) base.countOnly = true
    // A compaction between two pages of an answer about now is no error: it is read again from the start.
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pages(base, request.revision || 0, wanted)
      } catch (error) {
        if (error instanceof CompactedError && !request.revision && attempt < 4) continue
        throw await this.#explain(error, request.revision)
      }
    }
  }

  async txn(request: TxnRequest): Promise<TxnResult> {
    this.#usable()
    checkTxn(request, this.#maxRequestBytes)
    const response = await this.#client.call(
      '/etcdserverpb.KV/Txn',
      txnRequest,
      txnResponse,
      {
        compare: request.compare.map((compare) => this.#compare(compare)),
        success: request.success.map((operation) => this.#operation(operation)),
        failure: (request.failure ?? []).map((operation) => this.#operation(operation)),
      },
      false,
    )
    return {
      succeeded: response.succeeded,
      revision: this.#seen(response.header?.revision),
      results: response.responses.map((result) => this.#result(result)),
    }
  }

  watch(request: WatchRequest, listener: WatchListener): Watch {
    if (this.#closed) {
      setImmediate(() => listener.onEnd(closed()))
      return { cancel: () => {} }
    }
    const { delivered, lastEvent } = this.#events
    const from = request.fromRevision || this.#known + 1
    // What the common stream has passed without an event needs no catching up.
    const current = from > delivered || (lastEvent > 0 && from > lastEvent)
    if (current) return this.#watchers.add({ ...request, fromRevision: Math.max(from, delivered + 1) }, listener)
    return this.#catchUp(request, from, listener)
  }

  requestProgress(): void {
    this.#progress ??= this.#learnProgress().then(
      () => {
        this.#progress = undefined
        this.#watchers.requestProgress()
      },
      (error: Error) => {
        this.#progress = undefined
        if (!this.#closed) this.#log?.('warn', 'etcd did not tell its progress', { reason: error.message })
      },
    )
  }

  async compact(revision: number): Promise<void> {
    this.#usable()
    try {
      const argument = { revision, physical: true }
      await this.#client.call('/etcdserverpb.KV/Compact', compactionRequest, empty, argument, false)
    } catch (error) {
      throw await this.#explain(error, revision)
    }
  }

  /** A dump of the range in pages at one revision; etcd must not be compacted beyond it meanwhile. */
  async backup(file: string): Promise<{ revision: number; bytes: number }> {
    const { revision } = await this.range({ key: '', prefix: true, limit: 1, keysOnly: true })
    const bounds = this.#bounds({ key: '', prefix: true })
    try {
      return { revision, bytes: await writeBackup(file, revision, this.#entries(bounds, revision)) }
    } catch (error) {
      throw await this.#explain(error, revision)
    }
  }

  async health(): Promise<void> {
    this.#usable()
    await this.revision()
    const { errors, leader } = await this.#client.call(
      '/etcdserverpb.Maintenance/Status',
      empty,
      statusResponse,
      {},
      true,
    )
    if (leader === 0) throw new StoreError('unavailable', 'etcd has no leader')
    if (errors.some((error) => error.includes('NOSPACE'))) {
      throw new StoreError('no-space', 'etcd: its quota is used up (alarm NOSPACE): reads are served, writes fail')
    }
    if (errors.some((error) => error.includes('CORRUPT'))) throw new StoreError('corrupt', 'etcd: alarm CORRUPT')
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#events.close()
    for (const one of [...this.#catchingUp]) one.end(closed())
    this.#watchers.end(closed())
    this.#client.close()
  }

  #usable(): void {
    if (this.#closed) throw closed()
  }

  #seen(revision: number | undefined): number {
    if (revision !== undefined && revision > this.#known) this.#known = revision
    return revision ?? 0
  }

  async #range(request: Partial<EtcdRange>): Promise<EtcdRangeResponse> {
    this.#usable()
    const response = await this.#client.call('/etcdserverpb.KV/Range', rangeRequest, rangeResponse, request, true)
    this.#seen(response.header?.revision)
    return response
  }

  async #pages(base: Partial<EtcdRange>, revision: number, wanted: number): Promise<RangeResult> {
    const first = await this.#range({ ...base, revision, limit: base.countOnly ? 0 : Math.min(wanted, firstPage) })
    const kvs = first.kvs.map((kv) => this.#keyValue(kv))
    const current = first.header?.revision ?? 0
    let page = first
    let more = first.more
    while (more && kvs.length < wanted) {
      const limit = Math.min(nextPage(page.kvs), wanted - kvs.length)
      page = await this.#range({ ...base, key: after(page.kvs), revision: revision || current, limit })
      for (const kv of page.kvs) kvs.push(this.#keyValue(kv))
      more = page.more
    }
    return { revision: current, kvs, more, count: first.count }
  }

  async *#entries(bounds: { key: Uint8Array; rangeEnd: Uint8Array }, revision: number): AsyncGenerator<KeyValue> {
    let key = bounds.key
    let limit = firstPage
    for (;;) {
      const page = await this.#range({ key, rangeEnd: bounds.rangeEnd, revision, limit })
      for (const kv of page.kvs) yield this.#keyValue(kv)
      if (!page.more) return
      key = after(page.kvs)
      limit = nextPage(page.kvs)
    }
  }

  /** The common stream. When it loses events, every watch that relied on it ends, and it starts afresh. */
  #follow(from: number): EtcdEvents {
    return new EtcdEvents(this.#client, this.#space, from, {
      onEvents: (events, revision) => {
        this.#seen(revision)
        this.#watchers.publish(visible(events), revision)
      },
      onLost: (error) => {
        this.#log?.('warn', 'etcd no longer holds events that watches need; they are ended', { reason: error.message })
        this.#explain(error, 0).then(async (reason) => {
          this.#watchers.end(reason)
          for (const one of [...this.#catchingUp]) one.end(reason)
          await this.#restart()
        })
      },
    })
  }

  async #restart(): Promise<void> {
    while (!this.#closed) {
      try {
        const current = await this.revision()
        this.#known = current
        this.#events = this.#follow(current + 1)
        return
      } catch (error) {
        this.#log?.('warn', 'etcd does not answer', { reason: (error as Error).message })
        await sleep(1000)
      }
    }
  }

  #catchUp(request: WatchRequest, from: number, listener: WatchListener): Watch {
    let handedOver: Watch | undefined
    const own = {
      end: (error: Error): void => {
        if (!this.#catchingUp.delete(own)) return
        stream.close()
        listener.onEnd(error)
      },
    }
    const stream = new EtcdEvents(this.#client, this.#space, from, {
      onEvents: (events, revision) => {
        const matching = visible(events).filter((event) => inRange(request, event.kv.key))
        // Both streams show all events of the key space, so the last event of the common one marks the place.
        if (this.#events.lastEvent > 0 && revision >= this.#events.lastEvent) {
          this.#catchingUp.delete(own)
          stream.close()
          handedOver = this.#watchers.add({ ...request, fromRevision: revision + 1 }, listener)
        }
        try {
          if (matching.length > 0) listener.onEvents(matching, revision)
        } catch (error) {
          this.#log?.('error', 'a watch listener threw; its watch is ended', { error: String(error) })
          handedOver?.cancel()
          if (handedOver === undefined) own.end(error as Error)
          else listener.onEnd(error as Error)
        }
      },
      onLost: (error) => {
        this.#explain(error, from).then(own.end)
      },
    })
    this.#catchingUp.add(own)
    if (this.#events.lastEvent === 0) this.#mark().catch(() => this.requestProgress())
    return {
      cancel: () => {
        this.#catchingUp.delete(own)
        stream.close()
        handedOver?.cancel()
      },
    }
  }

  /** Resolves when the common stream is known to have shown everything that was there at the call. */
  async #learnProgress(): Promise<void> {
    let revision = await this.revision()
    const patience = Date.now() + markerPatience
    while (this.#events.delivered < revision || (this.#catchingUp.size > 0 && this.#events.lastEvent === 0)) {
      this.#usable()
      if (Date.now() > patience) {
        // Revisions outside the key space never show; one inside it does.
        revision = await this.#mark()
        while (this.#events.delivered < revision && !this.#closed) await sleep(5)
        return
      }
      await sleep(5)
    }
  }

  async #mark(): Promise<number> {
    const put = { key: Buffer.from(this.#prefix + marker), value: Buffer.from('1') }
    const argument = { success: [{ put }] }
    const response = await this.#client.call('/etcdserverpb.KV/Txn', txnRequest, txnResponse, argument, true)
    return this.#seen(response.header?.revision)
  }

  /** Fills in the revisions that etcd's answer leaves out. */
  async #explain(error: unknown, requested: number | undefined): Promise<Error> {
    if (error instanceof CompactedError && error.compactRevision === 0) {
      return new CompactedError(await this.#compactRevision())
    }
    if (error instanceof FutureRevisionError) {
      return new FutureRevisionError(requested ?? 0, await this.revision().catch(() => this.#known))
    }
    return error as Error
  }

  /** etcd tells the revision it is compacted to only to a watch that starts before it. */
  #compactRevision(): Promise<number> {
    return new Promise((resolve) => {
      const { stream } = this.#client.watch()
      const finish = (revision: number): void => {
        clearTimeout(timer)
        resolve(revision)
        stream.cancel()
      }
      const timer = setTimeout(() => finish(0), 2000)
      stream.on('error', () => finish(0))
      stream.on('data', (response: { canceled: boolean; compactRevision: number }) => {
        if (response.canceled) finish(response.compactRevision)
      })
      stream.write({
        create: { key: Buffer.from([0]), rangeEnd: new Uint8Array(0), startRevision: 1, previous: false },
      })
    })
  }

  #key(key: string): Uint8Array {
    const whole = this.#prefix + key
    return whole === '' ? Buffer.from([0]) : Buffer.from(whole)
  }

  #bounds(request: { key: string; end?: string; prefix?: boolean }): { key: Uint8Array; rangeEnd: Uint8Array } {
    const key = this.#key(request.key === '' ? afterMarker : request.key)
    if (request.prefix === true) return { key, rangeEnd: prefixEnd(Buffer.from(this.#prefix + request.key)) }
    return { key, rangeEnd: request.end === undefined ? new Uint8Array(0) : this.#key(request.end) }
  }

  #compare(compare: TxnRequest['compare'][number]): Partial<EtcdCompare> {
    const key = this.#key(compare.key)
    if ('version' in compare) return { target: compareTarget.version, key, version: compare.version }
    return { target: compareTarget.modRevision, key, modRevision: compare.modRevision }
  }

  #operation(operation: Operation): Partial<EtcdOperation> {
    if (operation.type === 'put') {
      return { put: { key: this.#key(operation.key), value: operation.value, previous: true } }
    }
    if (operation.type === 'get') return { range: { key: this.#key(operation.key) } }
    return { delete: { ...this.#bounds(operation), previous: true } }
  }

  #result(response: EtcdOperationResponse): OperationResult {
    const kvs =
      response.range?.kvs ?? response.delete?.previous ?? (response.put?.previous ? [response.put.previous] : [])
    return { kvs: kvs.map((kv) => this.#keyValue(kv)) }
  }

  #keyValue(kv: EtcdKeyValue): KeyValue {
    const key = Buffer.from(kv.key.buffer, kv.key.byteOffset, kv.key.length).toString('utf8', this.#prefixBytes)
    return {
      key,
      value: kv.value,
      createRevision: kv.createRevision,
      modRevision: kv.modRevision,
      version: kv.version,
    }
  }
}

const closed = (): StoreError => new StoreError('closed', 'the store is closed')

const visible = (events: WatchEvent[]): WatchEvent[] =>
  events.some((event) => event.kv.key === marker) ? events.filter((event) => event.kv.key !== marker) : events

/** The first key that does not start with `prefix`; a single zero byte stands for the end of all keys. */
function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! < 0xff) {
      const end = Buffer.from(prefix.subarray(0, i + 1))
      end[i]!++
      return end
    }
  }
  return Buffer.from([0])
}

/** The smallest key after the last one of a page. */
function after(kvs: EtcdKeyValue[]): Uint8Array {
  const last = kvs[kvs.length - 1]!.key
  const key = Buffer.alloc(last.length + 1)
  key.set(last)
  return key
}

/** Number of keys of the next page, so that it has about `pageBytes`. */
function nextPage(kvs: EtcdKeyValue[]): number {
  let bytes = 0
  for (const { key, value } of kvs) bytes += key.length + value.length + 32
  return Math.max(10, Math.min(maxPage, Math.floor((pageBytes / bytes) * kvs.length)))
}
