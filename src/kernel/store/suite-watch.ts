import type { PlainEvent } from './model.ts'
import { plainEvent } from './model.ts'
import type { Store, Watch, WatchRequest } from './store.ts'

/** A watch that keeps all it was given, and lets tests wait for it. */
export class Recorder {
  readonly events: PlainEvent[] = []
  /** Revision of each delivery, with the number of its events. */
  readonly deliveries: { revision: number; events: number }[] = []
  /** What breaks the rules of a watch, in words. */
  readonly violations: string[] = []
  ended: { error: Error | undefined } | undefined
  readonly watch: Watch
  #wake: (() => void)[] = []

  constructor(store: Store, request: WatchRequest) {
    this.watch = store.watch(request, {
      onEvents: (events, revision) => {
        if (this.ended) this.violations.push(`events after the end, at ${revision}`)
        const before = this.deliveries.at(-1)?.revision ?? 0
        if (revision < before || (revision === before && events.length > 0)) {
          this.violations.push(`revision ${revision} came after ${before}`)
        }
        let last = before
        for (const event of events) {
          const { modRevision } = event.kv
          if (modRevision < last || modRevision > revision) this.violations.push(`${modRevision} is out of order`)
          if (modRevision === before) this.violations.push(`events of ${modRevision} came in two batches`)
          last = modRevision
          this.events.push(plainEvent(event))
        }
        this.deliveries.push({ revision, events: events.length })
        this.#notify()
      },
      onEnd: (error) => {
        if (this.ended) this.violations.push('ended twice')
        this.ended = { error }
        this.#notify()
      },
    })
  }

  /** Resolves when all up to `revision` was delivered, which progress must tell when no event does. */
  async reached(store: Store, revision: number): Promise<void> {
    await this.until(
      () => (this.deliveries.at(-1)?.revision ?? 0) >= revision,
      () => store.requestProgress(),
      `revision ${revision}`,
    )
  }

  async end(): Promise<Error | undefined> {
    await this.until(() => this.ended !== undefined, undefined, 'its end')
    return this.ended!.error
  }

  async until(done: () => boolean, nudge: (() => void) | undefined, what: string): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!done()) {
      if (this.ended && what !== 'its end') throw new Error(`the watch ended: ${this.ended.error}`)
      if (Date.now() > deadline) throw new Error(`the watch did not reach ${what}`)
      nudge?.()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50)
        this.#wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
