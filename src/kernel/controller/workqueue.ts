import { systemTimers, type Timers } from './timers.ts'

export type WorkQueueOptions = {
  timers?: Timers
  /** Delay of the first retry of a key; doubles with each (client-go: 5 ms). */
  baseDelayMs?: number
  /** client-go: 1000 s. */
  maxDelayMs?: number
}

/**
 * Keys to work on (client-go's workqueue). A key waits at most once; a key that is added while it is being worked on
 * comes again after `done`, and never to two workers at a time.
 */
export class WorkQueue {
  readonly #timers: Timers
  readonly #base: number
  readonly #max: number
  /** Insertion order is the order of work. */
  readonly #ready: Set<string> = new Set()
  readonly #working: Set<string> = new Set()
  readonly #again: Set<string> = new Set()
  readonly #delayed: Map<string, { at: number; cancel: () => void }> = new Map()
  readonly #failures: Map<string, number> = new Map()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #closed = false

  constructor(options: WorkQueueOptions = {}) {
    this.#timers = options.timers ?? systemTimers
    this.#base = options.baseDelayMs ?? 5
    this.#max = options.maxDelayMs ?? 1_000_000
  }

  /** Keys that wait now, without delayed ones. */
  get size(): number {
    return this.#ready.size + this.#again.size
  }

  add(key: string): void {
    if (this.#closed) return
    if (this.#working.has(key)) {
      this.#again.add(key)
      return
    }
    const taker = this.#takers.shift()
    if (taker === undefined) this.#ready.add(key)
    else this.#hand(key, taker)
  }

  /** Adds after `ms`; of several delays for one key the earliest holds. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return
    if (ms <= 0) {
      this.add(key)
      return
    }
    const at = this.#timers.monotonic() + ms
    const waiting = this.#delayed.get(key)
    if (waiting !== undefined && waiting.at <= at) return
    waiting?.cancel()
    const cancel = this.#timers.after(ms, () => {
      this.#delayed.delete(key)
      this.add(key)
    })
    this.#delayed.set(key, { at, cancel })
  }

  /** Adds after a delay that grows with each call until `forget`. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    this.addAfter(key, Math.min(this.#max, this.#base * 2 ** Math.min(failures, 40)))
  }

  /** Its next failure counts as the first. */
  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** How often the key was rate limited since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  /** The next key, as soon as there is one; undefined when the queue is shut down. Call `done` with it afterwards. */
  take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    for (const key of this.#ready) {
      this.#ready.delete(key)
      this.#working.add(key)
      return Promise.resolve(key)
    }
    return new Promise((resolve) => this.#takers.push(resolve))
  }

  done(key: string): void {
    this.#working.delete(key)
    if (this.#again.delete(key)) this.add(key)
  }

  /** Drops what waits; takers get undefined. */
  shutDown(): void {
    this.#closed = true
    for (const { cancel } of this.#delayed.values()) cancel()
    this.#delayed.clear()
    this.#ready.clear()
    this.#again.clear()
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }

  #hand(key: string, taker: (key: string) => void): void {
    this.#working.add(key)
    taker(key)
  }
}
