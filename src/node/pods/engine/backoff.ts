/**
 * Waits that double with each failure and start anew after a time of peace (client-go's flowcontrol.Backoff):
 * containers that end, images that cannot be pulled. Times in milliseconds.
 */
export const RESTART_BACKOFF = { initialMs: 10_000, maxMs: 300_000 } as const

type Entry = { waitMs: number; updated: number }

export class Backoffs {
  readonly #entries: Map<string, Entry> = new Map()
  readonly #initial: number
  readonly #max: number

  constructor(options: { initialMs: number; maxMs: number } = RESTART_BACKOFF) {
    this.#initial = options.initialMs
    this.#max = options.maxMs
  }

  /** How long a failure is answered with after it, and until when; undefined: try now. */
  waiting(key: string, failedAt: number, now: number): { waitMs: number; until: number } | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#expired(entry, failedAt)) return undefined
    const until = failedAt + entry.waitMs
    return now < until ? { waitMs: entry.waitMs, until } : undefined
  }

  /** Notes a try after the failure at `failedAt`: the next one waits longer. */
  next(key: string, failedAt: number, now: number): void {
    const entry = this.#entries.get(key)
    const waitMs =
      entry === undefined || this.#expired(entry, failedAt) ? this.#initial : Math.min(this.#max, entry.waitMs * 2)
    this.#entries.set(key, { waitMs, updated: now })
  }

  /** Forgets every key that begins so. */
  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key)
  }

  #expired(entry: Entry, failedAt: number): boolean {
    return failedAt - entry.updated > 2 * this.#max
  }
}
