import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  write,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Clock, Log } from '../feature.ts'
import { type AuditLevelDecision, compilePolicy, metadataOnly } from './compiled-policy.ts'
import { auditEvent } from './event.ts'
import type { AuditPolicy } from './policy.ts'
import type { AuditLevel, Auditor, AuditRecord } from './types.ts'

export type AuditLogOptions = {
  /** JSON lines, one event each; made with mode 0600. */
  file: string
  policy: AuditPolicy
  clock: Clock
  log: Log
  /** Further `group/resource[/subresource]` whose bodies hold secrets and are never written. */
  metadataOnly?: readonly string[]
  /** Rotated above this size; default 100 MiB. */
  maxBytes?: number
  /** Rotated files kept; default 10. */
  maxFiles?: number
  /** Rotated files older than this are removed; default 30 days. */
  maxAgeMs?: number
  /** Events that wait for the disk, beyond which new ones are dropped, counted and reported; default 16 MiB. */
  maxQueueBytes?: number
}

/** A disk that is full or slow is reported this often, not with every event. */
const REPORT_EVERY_MS = 10_000

/**
 * Audit log in a file: events of one turn of the event loop leave in one write; requests never wait for it. Nothing is
 * synced: what the machine had not written when it lost power is lost.
 */
export class AuditLog implements Auditor {
  readonly #o: AuditLogOptions
  readonly #decide: (attributes: AuditRecord['attributes'], user: AuditRecord['user']) => AuditLevelDecision
  readonly #isCapped: (attributes: AuditRecord['attributes']) => boolean
  #fd: number
  #size: number
  #queue: string[] = []
  /** Queued and in the write that is under way. */
  #waitingBytes = 0
  #writing = false
  #scheduled = false
  #closed = false
  /** The last write ended within a line. */
  #torn = false
  #idle: (() => void)[] = []
  #reportedAt = Number.NEGATIVE_INFINITY
  dropped = 0

  constructor(options: AuditLogOptions) {
    this.#o = options
    this.#isCapped = metadataOnly(options.metadataOnly)
    this.#decide = compilePolicy(options.policy, this.#isCapped)
    mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 })
    this.#fd = openSync(options.file, 'a', 0o600)
    chmodSync(options.file, 0o600)
    this.#size = statSync(options.file).size
    this.#torn = this.#size > 0 // the process before may have ended within a line
    this.#removeOld()
  }

  levelFor: Auditor['levelFor'] = (attributes, user) => this.#decide(attributes, user)

  record(level: AuditLevel, record: AuditRecord): void {
    if (level === 'None') return
    const line = this.#line(level, record)
    if (line === undefined) return
    const fits = this.#waitingBytes + line.length <= (this.#o.maxQueueBytes ?? 16 * 1024 * 1024)
    if (this.#closed) this.#drop(1, 'the log is closed')
    else if (fits) this.#enqueue(line)
    else this.#drop(1, 'the disk is too slow')
  }

  #enqueue(line: string): void {
    this.#queue.push(line)
    this.#waitingBytes += line.length
    if (this.#scheduled || this.#writing) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #line(level: AuditLevel, record: AuditRecord): string | undefined {
    try {
      const { omitManagedFields } = this.#decide(record.attributes, record.user)
      // Whatever level the caller came with: bodies that may hold secrets are not written.
      const event = this.#isCapped(record.attributes)
        ? auditEvent('Metadata', withoutQuotes(record), omitManagedFields)
        : auditEvent(level, record, omitManagedFields)
      return `${JSON.stringify(event)}\n`
    } catch (error) {
      this.#drop(1, (error as Error).message)
      return undefined
    }
  }

  #drop(events: number, reason: string): void {
    this.dropped += events
    const now = this.#o.clock.now()
    if (now - this.#reportedAt < REPORT_EVERY_MS && now >= this.#reportedAt) return
    this.#reportedAt = now
    this.#o.log('error', 'audit events are lost', { reason, dropped: this.dropped })
  }

  #flush(): void {
    if (this.#queue.length === 0) {
      this.#writing = false
      for (const done of this.#idle.splice(0)) done()
      return
    }
    this.#writing = true
    const lines = this.#queue
    this.#queue = []
    this.#write(Buffer.from((this.#torn ? '\n' : '') + lines.join('')), 0, lines)
  }

  #write(bytes: Buffer, from: number, lines: readonly string[]): void {
    write(this.#fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error === null && from + written < bytes.length) return this.#write(bytes, from + written, lines)
      for (const line of lines) this.#waitingBytes -= line.length
      this.#torn = error !== null
      this.#size += error === null ? bytes.length : from
      if (error !== null) this.#drop(lines.length, error.message)
      if (this.#size > (this.#o.maxBytes ?? 100 * 1024 * 1024)) this.#rotate()
      return this.#flush()
    })
  }

  #rotate(): void {
    const { file, log } = this.#o
    try {
      renameSync(file, this.#rotatedName())
      const fd = openSync(file, 'a', 0o600)
      closeSync(this.#fd)
      this.#fd = fd
      this.#size = 0
      this.#torn = false
      this.#removeOld()
    } catch (error) {
      log('error', 'the audit log could not be rotated', { error: (error as Error).message })
    }
  }

  /** Names sort by age; two rotations of one millisecond do not overwrite each other. */
  #rotatedName(): string {
    const { file, clock } = this.#o
    const stamp = new Date(clock.now()).toISOString().replace(/[:.]/g, '-')
    for (let n = 0; ; n++) {
      const name = `${file}.${stamp}-${String(n).padStart(4, '0')}`
      if (!existsSync(name)) return name
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

  /** Resolves when everything that was recorded is written; later events are dropped. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#scheduled || this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve))
    closeSync(this.#fd)
  }
}

/** Why a body was refused often quotes it. */
function withoutQuotes(record: AuditRecord): AuditRecord {
  if (record.reason !== 'BadRequest' && record.reason !== 'Invalid') return record
  const { message: _, ...rest } = record
  return rest
}
