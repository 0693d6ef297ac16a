import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync, write } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Clock, Log } from '../feature.ts'
import { auditEvent } from './event.ts'
import { type AuditPolicy, compilePolicy } from './policy.ts'
import type { AuditLevel, Auditor, AuditRecord } from './types.ts'

export type AuditLogOptions = {
  /** JSON lines, one event each; made with mode 0600. */
  file: string
  policy: AuditPolicy
  clock: Clock
  log: Log
  /** Rotated above this size; default 100 MiB. */
  maxBytes?: number
  /** Rotated files kept; default 10. */
  maxFiles?: number
  /** Rotated files older than this are removed; default 30 days. */
  maxAgeMs?: number
  /** Events that wait for the disk, beyond which new ones are dropped, counted and reported; default 16 MiB. */
  maxQueueBytes?: number
}

/** Audit log in a file: events of one turn of the event loop leave in one write; requests never wait for it. */
export class AuditLog implements Auditor {
  readonly #o: AuditLogOptions
  readonly #decide: ReturnType<typeof compilePolicy>
  #fd: number
  #size: number
  #queue: string[] = []
  #queueBytes = 0
  #writing = false
  #scheduled = false
  #idle: (() => void)[] = []
  dropped = 0

  constructor(options: AuditLogOptions) {
    this.#o = options
    this.#decide = compilePolicy(options.policy)
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 })
    this.#fd = openSync(options.file, 'a', 0o600)
    chmodSync(options.file, 0o600)
    this.#size = statSync(options.file).size
  }

  levelFor: Auditor['levelFor'] = (attributes, user) => this.#decide(attributes, user)

  record(level: AuditLevel, record: AuditRecord): void {
    const { omitManagedFields } = this.#decide(record.attributes, record.impersonatedUser ?? record.user)
    const line = `${JSON.stringify(auditEvent(level, record, omitManagedFields))}\n`
    if (this.#queueBytes + line.length > (this.#o.maxQueueBytes ?? 16 * 1024 * 1024)) {
      if (this.dropped++ % 1000 === 0)
        this.#o.log('error', 'audit events are lost: the disk is too slow', { dropped: this.dropped })
      return
    }
    this.#queue.push(line)
    this.#queueBytes += line.length
    if (this.#scheduled || this.#writing) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#queue.length === 0) {
      this.#writing = false
      for (const done of this.#idle.splice(0)) done()
      return
    }
    this.#writing = true
    const bytes = Buffer.from(this.#queue.join(''))
    this.#queue = []
    this.#queueBytes = 0
    this.#write(bytes, 0)
  }

  #write(bytes: Buffer, from: number): void {
    write(this.#fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error !== null) {
        this.dropped++
        this.#o.log('error', 'audit events could not be written', { error: error.message, bytes: bytes.length - from })
        return this.#flush()
      }
      if (from + written < bytes.length) return this.#write(bytes, from + written)
      this.#size += bytes.length
      if (this.#size > (this.#o.maxBytes ?? 100 * 1024 * 1024)) this.#rotate()
      return this.#flush()
    })
  }

  #rotate(): void {
    const { file, clock } = this.#o
    try {
      const stamp = new Date(clock.now()).toISOString().replace(/[:.]/g, '-')
      renameSync(file, `${file}.${stamp}`)
      const fd = openSync(file, 'a', 0o600)
      closeSync(this.#fd)
      this.#fd = fd
      this.#size = 0
      this.#removeOld()
    } catch (error) {
      this.#o.log('error', 'the audit log could not be rotated', { error: (error as Error).message })
    }
  }

  #removeOld(): void {
    const { file, clock, maxFiles = 10, maxAgeMs = 30 * 24 * 3600_000 } = this.#o
    const folder = dirname(file)
    const rotated = readdirSync(folder)
      .filter((name) => name.startsWith(`${basename(file)}.`))
      .sort()
      .reverse()
    rotated.forEach((name, i) => {
      const path = join(folder, name)
      if (i >= maxFiles || clock.now() - statSync(path).mtimeMs > maxAgeMs) rmSync(path)
    })
  }

  /** Resolves when everything that was recorded is written. */
  async close(): Promise<void> {
    if (this.#scheduled || this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve))
    closeSync(this.#fd)
  }
}
