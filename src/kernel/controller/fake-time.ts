import type { Clock } from '../feature.ts'
import type { Timers } from './timers.ts'

type Pending = { at: number; order: number; fn: () => void }

/** Clock and timers for tests: time stands still until it is advanced. */
export class FakeTime implements Clock, Timers {
  #now: number
  #elapsed = 0
  #order = 0
  readonly #pending: Set<Pending> = new Set()

  constructor(now: number = Date.parse('2026-01-01T00:00:00Z')) {
    this.#now = now
  }

  readonly now = (): number => this.#now
  readonly monotonic = (): number => this.#elapsed
  readonly after = (ms: number, fn: () => void): (() => void) => {
    const pending = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, fn }
    this.#pending.add(pending)
    return () => void this.#pending.delete(pending)
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#pending.size
  }

  /** Turns the wall clock alone, as an operator or NTP would. */
  setWallClock(now: number): void {
    this.#now = now
  }

  /** Lets `ms` pass, firing timers in order; between two of them everything that can run does. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    await settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#pending.delete(next)
      this.#pass(next.at - this.#elapsed)
      next.fn()
      await settle()
    }
    this.#pass(end - this.#elapsed)
  }

  #pass(ms: number): void {
    this.#elapsed += ms
    this.#now += ms
  }

  #next(end: number): Pending | undefined {
    let first: Pending | undefined
    for (const p of this.#pending)
      if (p.at <= end && (first === undefined || p.at < first.at || (p.at === first.at && p.order < first.order)))
        first = p
    return first
  }
}

/** Runs what is ready to run: promise reactions, and those of the events that they cause. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
}
