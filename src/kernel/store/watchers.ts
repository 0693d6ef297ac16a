import type { Log } from '../feature.ts'
import { inRange } from './key-order.ts'
import { CompactedError, type Watch, type WatchEvent, type WatchListener, type WatchRequest } from './store.ts'

/** What watches replay from. */
export type EventSource = {
  /** The last revision that may be shown. */
  readonly revision: number
  readonly compactRevision: number
  /**
   * The events of `request`'s keys from revision `from`, up to about `limit` versions of the log but whole revisions;
   * `next` is the first revision that was not looked at.
   */
  replay: (request: WatchRequest, from: number, limit: number) => { events: WatchEvent[]; next: number }
}

type Watcher = {
  request: WatchRequest
  listener: WatchListener
  /** First revision that has not been delivered. */
  next: number
  progressWanted: boolean
}

const replayStep = 1000

/**
 * Brings every event to the watches: those behind replay history in steps, with the event loop free between steps;
 * those that caught up get each commit's events as it becomes durable.
 */
export class Watchers {
  readonly #source: EventSource
  readonly #log: Log | undefined
  readonly #live: Set<Watcher> = new Set()
  readonly #behind: Set<Watcher> = new Set()
  #stepping = false
  #progressPending = false

  constructor(source: EventSource, log: Log | undefined) {
    this.#source = source
    this.#log = log
  }

  /** True when a commit's events are needed. */
  get listening(): boolean {
    return this.#live.size > 0
  }

  add(request: WatchRequest, listener: WatchListener): Watch {
    const current = this.#source.revision
    const watcher = { request, listener, next: request.fromRevision || current + 1, progressWanted: false }
    if (watcher.next > current) {
      this.#live.add(watcher)
    } else {
      this.#behind.add(watcher)
      this.#schedule()
    }
    return {
      cancel: () => {
        this.#live.delete(watcher)
        this.#behind.delete(watcher)
      },
    }
  }

  /** The events of one commit, in revision order; `revision` is the last one that it made durable. */
  publish(events: WatchEvent[], revision: number): void {
    for (const watcher of this.#live) {
      const { request, next } = watcher
      const matching = events.filter((event) => event.kv.modRevision >= next && inRange(request, event.kv.key))
      if (next <= revision) watcher.next = revision + 1
      if (matching.length > 0) this.#deliver(watcher, matching, revision)
    }
  }

  requestProgress(): void {
    for (const watcher of this.#behind) watcher.progressWanted = true
    if (this.#progressPending) return
    this.#progressPending = true
    setImmediate(() => {
      this.#progressPending = false
      for (const watcher of this.#live) this.#progress(watcher)
    })
  }

  /** Ends all watches. */
  end(error: Error | undefined): void {
    for (const watcher of [...this.#live, ...this.#behind]) this.#end(watcher, error)
  }

  #progress(watcher: Watcher): void {
    // A watch that starts in the future has seen nothing yet.
    if (watcher.next === this.#source.revision + 1) this.#deliver(watcher, [], this.#source.revision)
  }

  #schedule(): void {
    if (this.#stepping) return
    this.#stepping = true
    setImmediate(() => {
      this.#stepping = false
      for (const watcher of this.#behind) this.#step(watcher)
      if (this.#behind.size > 0) this.#schedule()
    })
  }

  #step(watcher: Watcher): void {
    const { revision, compactRevision } = this.#source
    if (watcher.next <= compactRevision) {
      this.#end(watcher, new CompactedError(compactRevision))
      return
    }
    let replayed: ReturnType<EventSource['replay']>
    try {
      replayed = this.#source.replay(watcher.request, watcher.next, replayStep)
    } catch (error) {
      this.#end(watcher, error as Error)
      return
    }
    watcher.next = replayed.next
    if (watcher.next > revision) {
      this.#behind.delete(watcher)
      this.#live.add(watcher)
    }
    if (replayed.events.length > 0) this.#deliver(watcher, replayed.events, watcher.next - 1)
    if (watcher.progressWanted && this.#live.has(watcher)) {
      watcher.progressWanted = false
      this.#progress(watcher)
    }
  }

  #deliver(watcher: Watcher, events: WatchEvent[], revision: number): void {
    try {
      watcher.listener.onEvents(events, revision)
    } catch (error) {
      this.#log?.('error', 'a watch listener threw; its watch is ended', { error: String(error) })
      this.#end(watcher, error as Error)
    }
  }

  #end(watcher: Watcher, error: Error | undefined): void {
    if (!this.#live.delete(watcher) && !this.#behind.delete(watcher)) return
    try {
      watcher.listener.onEnd(error)
    } catch (thrown) {
      this.#log?.('error', 'a watch listener threw at its end', { error: String(thrown) })
    }
  }
}
