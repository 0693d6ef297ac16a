import { createHash } from 'node:crypto'
import type { Clock } from '../../kernel/feature.ts'

const MAX_ENTRIES = 1000

/** Answers that hold for a while; questions asked at once are asked once. Failures are not kept. */
export class AnswerCache<T> {
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #entries = new Map<string, { until: number; answer: Promise<T> }>()

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock
    this.#ttlMs = ttlMs
  }

  /** `secret` is kept as its SHA-256 only. */
  get(secret: string, ask: () => Promise<T>): Promise<T> {
    const key = createHash('sha256').update(secret).digest('base64')
    const now = this.#clock.now()
    const known = this.#entries.get(key)
    if (known !== undefined && known.until > now) return known.answer
    const entry = { until: now + this.#ttlMs, answer: ask() }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    entry.answer.catch(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
    })
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!)
    return entry.answer
  }
}
