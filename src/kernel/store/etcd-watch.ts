import type { EtcdClient, WatchStream } from './etcd-client.ts'
import { type EtcdWatchResponse, eventDelete, rangeRequest, rangeResponse } from './etcd-messages.ts'
import { CompactedError, FutureRevisionError, type KeyValue, StoreError, type WatchEvent } from './store.ts'

export type EventSink = {
  /** Events of whole revisions, in order; `revision` is the last one's. */
  onEvents: (events: WatchEvent[], revision: number) => void
  /** Events are missing and cannot be had any more. The stream is closed. */
  onLost: (error: Error) => void
}

/** How the client names keys: the range of all it watches, and etcd's form of a key-value turned into the store's. */
export type KeySpace = {
  start: Uint8Array
  end: Uint8Array
  keyValue: (from: {
    key: Uint8Array
    value: Uint8Array
    createRevision: number
    modRevision: number
    version: number
  }) => KeyValue
}

/** All events of a key space from a revision on, through any number of lost connections. */
export class EtcdEvents {
  readonly #client: EtcdClient
  readonly #space: KeySpace
  readonly #sink: EventSink
  /** Every event up to here was given to the sink. */
  delivered: number
  /** Revision of the last event given, 0 before the first. */
  lastEvent = 0
  /** Resolves once etcd has confirmed the watch, or it has come to its end. */
  readonly ready: Promise<void>
  #isReady: () => void = () => {}
  #stream: WatchStream | undefined
  #retry: NodeJS.Timeout | undefined
  #delay = 0
  #closed = false

  constructor(client: EtcdClient, space: KeySpace, from: number, sink: EventSink) {
    this.#client = client
    this.#space = space
    this.#sink = sink
    this.delivered = from - 1
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve
    })
    this.#open()
  }

  close(): void {
    this.#closed = true
    this.#isReady()
    clearTimeout(this.#retry)
    this.#drop()
  }

  #drop(): void {
    const stream = this.#stream
    this.#stream = undefined
    stream?.cancel()
  }

  #open(): void {
    const { stream, endpoint } = this.#client.watch()
    this.#stream = stream
    const failed = (): void => {
      if (this.#stream !== stream) return
      this.#drop()
      this.#client.advance(endpoint)
      this.#reopen()
    }
    stream.on('error', failed)
    stream.on('end', failed)
    stream.on('data', (response: EtcdWatchResponse) => {
      if (this.#stream !== stream) return
      if (response.canceled) this.#canceled(response, failed)
      else if (response.created) this.#created(stream, failed)
      else this.#events(response)
    })
    const { start, end } = this.#space
    stream.write({ create: { key: start, rangeEnd: end, startRevision: this.delivered + 1, previous: true } })
  }

  #reopen(): void {
    if (this.#closed) return
    this.#delay = Math.min(2000, this.#delay * 2 || 50)
    this.#retry = setTimeout(() => this.#open(), this.#delay)
  }

  #canceled(response: EtcdWatchResponse, failed: () => void): void {
    if (response.compactRevision > 0) this.#lost(new CompactedError(response.compactRevision))
    else failed()
  }

  /**
   * etcd accepts a start at the very revision it is compacted to, but older ones (3.4 among them) have by then removed
   * the deletions made at that revision. So the revision before the start must still be readable.
   */
  #created(stream: WatchStream, failed: () => void): void {
    if (this.delivered === 0) {
      this.#isReady()
      return
    }
    stream.pause()
    const check = { key: this.#space.start, revision: this.delivered, limit: 1, countOnly: true }
    this.#client.call('/etcdserverpb.KV/Range', rangeRequest, rangeResponse, check, true).then(
      () => {
        this.#delay = 0
        if (this.#stream !== stream) return
        stream.resume()
        this.#isReady()
      },
      (error: Error) => {
        if (this.#stream !== stream) return
        if (error instanceof CompactedError) this.#lost(error)
        else if (error instanceof FutureRevisionError) {
          this.#lost(new StoreError('unavailable', 'etcd has gone back to an older revision: it was restored'))
        } else failed()
      },
    )
  }

  #events(response: EtcdWatchResponse): void {
    const events: WatchEvent[] = []
    let revision = 0
    for (const { type, kv, previous } of response.events) {
      if (kv === undefined) continue
      revision = kv.modRevision
      const event: WatchEvent = { type: type === eventDelete ? 'delete' : 'put', kv: this.#space.keyValue(kv) }
      if (previous !== undefined) event.previous = this.#space.keyValue(previous)
      events.push(event)
    }
    if (events.length === 0) return
    this.delivered = revision
    this.lastEvent = revision
    this.#sink.onEvents(events, revision)
  }

  #lost(error: Error): void {
    this.close()
    this.#sink.onLost(error)
  }
}
