import type { ServerResponse } from 'node:http'
import type { Entry } from '../cache/entry.ts'
import type { CacheEvent } from '../cache/resource-cache.ts'
import type { Kind } from '../kind.ts'
import type { WatchSink, WatchType } from '../verbs/watch.ts'
import { type EncodeContext, encodeObject, table } from './encode.ts'

/** A reader that has this much waiting is cut off: it must list again. */
const MAX_BACKLOG_BYTES = 8 * 1024 * 1024
const BOOKMARK_INTERVAL_MS = 60_000

const FRAME_END = Buffer.from('}\n')
const HEADS: Record<string, Buffer> = Object.fromEntries(
  ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'].map((type) => [
    type,
    Buffer.from(`{"type":"${type}","object":`),
  ]),
)

function frame(type: string, body: Buffer): Buffer {
  return Buffer.concat([HEADS[type]!, body, FRAME_END])
}

export type WatchStreamOptions = {
  kind: Kind
  encode: EncodeContext
  allowBookmarks: boolean
  /** Name of the format and its parameters: frames are shared by all watchers of one format. */
  now: () => number
}

/** Writes watch events to one client: frames of one turn of the event loop leave in one write. */
export class WatchStream implements WatchSink {
  readonly #res: ServerResponse
  readonly #kind: Kind
  readonly #encode: EncodeContext
  readonly #allowBookmarks: boolean
  readonly #now: () => number
  readonly #format: string
  #pending: Buffer[] = []
  #pendingBytes = 0
  #scheduled = false
  #columnsSent = false
  /** Backlog at which the reader is cut off; the state that the watch starts with is not held against it. */
  #limit = Number.POSITIVE_INFINITY
  #bookmarkTimer: NodeJS.Timeout | undefined
  #revision: (() => number) | undefined
  closed = false

  constructor(res: ServerResponse, options: WatchStreamOptions) {
    this.#res = res
    this.#kind = options.kind
    this.#encode = options.encode
    this.#allowBookmarks = options.allowBookmarks
    this.#now = options.now
    const { form, metaVersion } = options.encode.accepted
    this.#format =
      form === 'object' ? kindVersion(options.kind) : `${form}/${metaVersion}/${options.encode.includeObject}`
  }

  send(type: WatchType, entry: Entry, event: CacheEvent | undefined): void {
    if (this.closed) return
    const isTable = this.#encode.accepted.form === 'table'
    if (event === undefined || isTable) {
      this.#push(frame(type, this.#body(entry)))
      return
    }
    const key = `${type}/${this.#format}`
    let shared = event.frames.get(key)
    if (shared === undefined) event.frames.set(key, (shared = frame(type, this.#body(entry))))
    this.#push(shared)
  }

  #body(entry: Entry): Buffer {
    if (this.#encode.accepted.form === 'object') return this.#kind.bytes(entry)
    const context = { ...this.#encode, now: this.#now() }
    if (this.#encode.accepted.form === 'partial') return encodeObject(this.#kind, entry, context)
    const object = this.#kind.view(entry)
    const { resourceVersion = '' } = object.metadata
    const rows = table(this.#kind, [object], { resourceVersion }, context, !this.#columnsSent)
    this.#columnsSent = true
    return Buffer.from(JSON.stringify(rows))
  }

  bookmark(revision: number, initialEnd: boolean): void {
    if (this.closed) return
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    }
    const { form, metaVersion } = this.#encode.accepted
    const object =
      form === 'object'
        ? { kind: this.#kind.definition.kind, apiVersion: this.#kind.apiVersion, metadata }
        : form === 'partial'
          ? { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${metaVersion}`, metadata }
          : {
              kind: 'Table',
              apiVersion: `meta.k8s.io/${metaVersion}`,
              metadata: { resourceVersion: String(revision) },
              columnDefinitions: null,
              rows: [
                {
                  cells: [],
                  object: { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${metaVersion}`, metadata },
                },
              ],
            }
    this.#push(frame('BOOKMARK', Buffer.from(JSON.stringify(object))))
  }

  started(_revision: number): void {
    this.#limit = MAX_BACKLOG_BYTES + this.#pendingBytes + this.#res.writableLength
    this.#flush()
    if (this.#res.writableNeedDrain)
      this.#res.once('drain', () => {
        this.#limit = MAX_BACKLOG_BYTES
      })
    else this.#limit = MAX_BACKLOG_BYTES
  }

  /** `revision` tells how far the cache is: bookmarks promise that nothing before it is still to come. */
  startBookmarks(revision: () => number): void {
    this.#revision = revision
    if (!this.#allowBookmarks) return
    this.#bookmarkTimer = setInterval(() => this.bookmark(revision(), false), BOOKMARK_INTERVAL_MS)
    this.#bookmarkTimer.unref()
  }

  error(status: object): void {
    this.#push(frame('ERROR', Buffer.from(JSON.stringify(status))))
  }

  #push(buffer: Buffer): void {
    this.#pending.push(buffer)
    this.#pendingBytes += buffer.length
    if (this.#pendingBytes + this.#res.writableLength > this.#limit) {
      this.#overrun()
      return
    }
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.closed || this.#pending.length === 0) return
    const pending = this.#pending
    const bytes = this.#pendingBytes
    this.#pending = []
    this.#pendingBytes = 0
    this.#res.write(pending.length === 1 ? pending[0]! : Buffer.concat(pending, bytes))
    if (this.#res.writableLength > this.#limit) this.#overrun()
  }

  /** The client does not read: nothing is kept for it. */
  #overrun(): void {
    this.stop()
    this.#res.destroy()
  }

  stop(): void {
    this.closed = true
    this.#pending = []
    clearInterval(this.#bookmarkTimer)
  }

  /** Ends as Kubernetes does when the time is over: a last bookmark, then a clean end of the body. */
  finish(): void {
    if (this.closed) return
    if (this.#allowBookmarks && this.#revision !== undefined) this.bookmark(this.#revision(), false)
    this.ended()
  }

  /** Ends without a bookmark: there is something that the watcher has not seen. */
  ended(): void {
    if (this.closed) return
    this.#flush()
    this.stop()
    this.#res.end()
  }
}

function kindVersion(kind: Kind): string {
  return kind.definition.custom || kind.definition.view ? kind.apiVersion : 'object'
}
