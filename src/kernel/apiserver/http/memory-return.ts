import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Log } from '../../feature.ts'

/** So many connections have to go before memory is worth asking for. */
const TIDE = 500
/** Looked at this often until no more go. */
const SETTLE_MS = 5000
/** What V8 holds beyond its heap may be this much more than at the start. */
const SLACK_BYTES = 64 * 1024 * 1024

/**
 * Gives memory back to the system when many connections have gone. Left alone, neither part does: glibc keeps freed TLS
 * state between what still lives (5,000 connections: 330 MB), V8 keeps the pages of its emptied heap pooled (100 MB) for as
 * long as the process is quiet. Trimming takes some 10 ms a 100 MB; the collection, only if it is worth it, as long as any
 * full one.
 */
export class MemoryReturn {
  readonly #log: Log
  readonly #atStart: number | undefined = beyondHeap()
  #gone = 0
  #seen = 0
  #timer: NodeJS.Timeout | undefined
  #trim: (() => Promise<void>) | undefined

  constructor(log: Log) {
    this.#log = log
  }

  connectionClosed(): void {
    this.#gone++
    if (this.#gone < TIDE || this.#timer !== undefined || this.#atStart === undefined) return
    this.#seen = this.#gone
    this.#timer = setInterval(() => this.#look(), SETTLE_MS)
    this.#timer.unref()
  }

  #look(): void {
    const calm = this.#gone - this.#seen < TIDE / 10
    this.#seen = this.#gone
    if (!calm) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#gone = 0
    this.#give().catch((error: Error) => {
      this.#log('warn', 'memory could not be given back', { error: error.message })
    })
  }

  async #give(): Promise<void> {
    const before = process.memoryUsage.rss()
    this.#trim ??= await mallocTrim()
    await this.#trim()
    if (beyondHeap()! > this.#atStart! + SLACK_BYTES) {
      collect()
      await this.#trim()
    }
    const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20)
    this.#log('info', 'memory given back after many connections closed', {
      beforeMiB: mebibytes(before),
      afterMiB: mebibytes(process.memoryUsage.rss()),
    })
  }
}

/** Resident anonymous memory that is neither V8's heap in use nor buffers of ours; undefined where the system does not say. */
function beyondHeap(): number | undefined {
  try {
    const resident = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))
    const { heapUsed, external } = process.memoryUsage()
    return resident === null ? undefined : Number(resident[1]) * 1024 - heapUsed - external
  } catch {
    return undefined // not Linux
  }
}

/** The C library's malloc_trim, in a thread; nothing where there is none (musl). */
async function mallocTrim(): Promise<() => Promise<void>> {
  const { default: koffi } = await import('koffi')
  let trim: { async: (...args: unknown[]) => void }
  try {
    trim = koffi.load('libc.so.6').func('int malloc_trim(size_t)')
  } catch {
    return () => Promise.resolve()
  }
  return () =>
    new Promise((resolve, reject) => trim.async(0, (error: Error | null) => (error ? reject(error) : resolve())))
}

/** The one kind of collection that also empties V8's pool of pages. */
function collect(): void {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as (options: object) => void
  setFlagsFromString('--no-expose-gc')
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
