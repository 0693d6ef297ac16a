import { ApiError } from '../api/status.ts'

/**
 * One event loop serves everybody. What is small is done within it before others notice; what is not is done in parts,
 * and few at a time. 1 MiB of pods with 30,000 containers costs a third of a second in all.
 */
export const BIG_BYTES: number = 256 * 1024

const waiting: (() => void)[] = []
let scheduled = false

/**
 * A pause between two parts of the work on something of this size; undefined when it is small. One part of all that is
 * under way is done in each round of the event loop, so that whoever asks for little is served in between.
 */
export function pauses(bytes: number): (() => Promise<void>) | undefined {
  return bytes > BIG_BYTES ? pause : undefined
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    schedule()
  })
}

function schedule(): void {
  if (scheduled || waiting.length === 0) return
  scheduled = true
  setImmediate(() => {
    scheduled = false
    waiting.shift()?.()
    schedule()
  })
}

/** Requests with big bodies that are worked on at once, in all and of one user. */
const AT_ONCE = 4
const AT_ONCE_OF_ONE = 2
/** Those that wait, each with its body in memory. */
const QUEUED = 48
const QUEUED_OF_ONE = 16
/** Longer, and the client is told to come again: kube-apiserver's queues wait a quarter of a request's minute. */
const QUEUE_MS = 15_000

type Waiter = { user: string; admit: () => void }

/** Admits requests with big bodies in order of arrival, nobody's ahead of all others'. */
export class BigRequests {
  readonly #queueMs: number
  readonly #running = new Map<string, number>()
  #total = 0
  #queue: Waiter[] = []

  constructor(queueMs: number = QUEUE_MS) {
    this.#queueMs = queueMs
  }

  /** Throws at once what a body need not be read for. */
  refuseIfFull(user: string): void {
    if (this.#queue.length >= QUEUED || this.#queue.filter((w) => w.user === user).length >= QUEUED_OF_ONE)
      throw tooMany()
  }

  /** Resolves with what ends the work. Rejects with TooManyRequests. */
  admit(user: string): Promise<() => void> {
    if (this.#fits(user)) return Promise.resolve(this.#start(user))
    return new Promise((resolve, reject) => {
      this.refuseIfFull(user)
      const timer = setTimeout(() => {
        this.#queue = this.#queue.filter((w) => w !== waiter)
        reject(tooMany())
      }, this.#queueMs)
      const waiter: Waiter = {
        user,
        admit: () => {
          clearTimeout(timer)
          resolve(this.#start(user))
        },
      }
      this.#queue.push(waiter)
    })
  }

  #fits(user: string): boolean {
    return this.#total < AT_ONCE && (this.#running.get(user) ?? 0) < AT_ONCE_OF_ONE
  }

  #start(user: string): () => void {
    this.#total++
    this.#running.set(user, (this.#running.get(user) ?? 0) + 1)
    return () => {
      this.#total--
      const left = this.#running.get(user)! - 1
      if (left === 0) this.#running.delete(user)
      else this.#running.set(user, left)
      const next = this.#queue.findIndex((w) => this.#fits(w.user))
      if (next >= 0) this.#queue.splice(next, 1)[0]!.admit()
    }
  }
}

function tooMany(): ApiError {
  return new ApiError('TooManyRequests', 'too many requests with large bodies, please try again later', {
    retryAfterSeconds: 1,
  })
}
