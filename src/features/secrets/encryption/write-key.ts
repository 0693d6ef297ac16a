import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Clock, Log } from '../../../kernel/feature.ts'
import type { DataKey } from './data-key.ts'
import { type DataKeyCache, dataKeyOf } from './data-key-cache.ts'
import type { DataKeyRecord, DataKeyRecords } from './data-key-records.ts'
import type { DataKeySource } from './encrypted-object.ts'
import { type CheckedKeyService, excerpt } from './key-service-answers.ts'
import { EncryptionError } from './types.ts'

/**
 * Times of kube-apiserver (encryptionconfig/config.go): the plugin is asked for its status every minute, after a failure
 * every ten seconds, and a data key may write for three minutes after the last good status.
 */
const HEALTHY_INTERVAL_MS = 60_000
const UNHEALTHY_INTERVAL_MS = 10_000
export const WRITE_TTL_MS = 180_000

export const MAX_USES: number = 2 ** 32
/** At this share of the limit a new data key is made. */
const RENEWAL_SHARE = 0.75
/** Uses are recorded ahead in blocks: a crash never makes the count too low. */
const USES_BLOCK = 2 ** 20
const SEED_BYTES = 32

export type WriteKeyOptions = {
  service: CheckedKeyService
  cache: DataKeyCache
  records: DataKeyRecords
  clock: Clock
  log: Log
  /** A data key is not used more often than this. */
  maxUses?: number
}

type Current = { key: DataKey; source: DataKeySource; created: number; uses: number; recorded: number; expires: number }

/** The data key that writes use, and the watch over the plugin that keeps it valid. */
export class WriteKey {
  readonly #service: CheckedKeyService
  readonly #cache: DataKeyCache
  readonly #records: DataKeyRecords
  readonly #clock: Clock
  readonly #log: Log
  readonly #maxUses: number
  readonly #renewAt: number
  readonly #seenKeyIds = new Set<string>()
  #current: Current | undefined
  #health = 'it has not answered yet'
  #turn: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor({ service, cache, records, clock, log, maxUses = MAX_USES }: WriteKeyOptions) {
    this.#service = service
    this.#cache = cache
    this.#records = records
    this.#clock = clock
    this.#log = log
    this.#maxUses = maxUses
    this.#renewAt = Math.floor(maxUses * RENEWAL_SHARE)
  }

  /** 'ok', or what is wrong with the plugin. */
  get health(): string {
    return this.#health
  }

  /** Ids of key-encryption keys that the plugin said it uses, the present one first. */
  get keyIds(): readonly string[] {
    return [...this.#seenKeyIds].reverse()
  }

  get state(): { key: DataKey; created: number; uses: number } | undefined {
    return this.#current
  }

  /** Resolves after the first answer, good or bad; asks again by itself. */
  async start(): Promise<void> {
    await this.probe().catch(() => {})
    this.#schedule()
  }

  #schedule(): void {
    if (this.#closed) return
    const wait = this.#health === 'ok' ? HEALTHY_INTERVAL_MS : UNHEALTHY_INTERVAL_MS
    this.#timer = setTimeout(() => {
      void this.probe()
        .catch(() => {})
        .then(() => this.#schedule())
    }, wait)
    this.#timer.unref()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    const current = this.#current
    if (current === undefined || current.recorded === Number.POSITIVE_INFINITY) return
    const { source, created, uses } = current
    this.#records.set(this.#service.name, { source, created, uses, check: current.key.check() })
  }

  /** Asks the plugin now; makes a new data key when its key_id changed. Rejects, after noting it, when it is not well. */
  probe(): Promise<void> {
    return this.#inTurn(() => this.#probe(false))
  }

  /** Makes a new data key in any case. */
  rotate(): Promise<void> {
    return this.#inTurn(() => this.#probe(true))
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(action).then(
      () => this.#note('ok'),
      (error: Error) => {
        this.#note(error.message)
        throw error
      },
    )
    this.#turn = done.catch(() => {})
    return done
  }

  #note(health: string): void {
    const before = this.#health
    this.#health = health
    if (before === health || this.#closed) return
    const plugin = this.#service.name
    if (health === 'ok') this.#log('info', 'the kms plugin is healthy', { plugin })
    else this.#log('error', 'the kms plugin is not healthy', { plugin, reason: health })
  }

  async #probe(renew: boolean): Promise<void> {
    // The time limit counts from before the call.
    const expires = this.#clock.now() + WRITE_TTL_MS
    const keyId = await this.#service.status()
    this.#seenKeyIds.delete(keyId)
    this.#seenKeyIds.add(keyId)
    const current = this.#current
    if (!renew && current !== undefined && current.key.keyId === keyId && current.uses < this.#renewAt) {
      current.expires = expires
      return
    }
    const remembered = current === undefined && !renew ? await this.#remembered(keyId) : undefined
    const made = remembered ?? (await this.#make(keyId))
    this.#current = { ...made, expires }
    this.#cache.add(made.key)
    if (current !== undefined && !this.#closed) {
      this.#log('info', 'writes use a new data key', { plugin: this.#service.name, keyId, dataKey: made.key.id })
    }
  }

  /** The data key of the run before, if it is still the right one. */
  async #remembered(keyId: string): Promise<Omit<Current, 'expires'> | undefined> {
    const record = this.#records.get(this.#service.name)
    if (record === undefined || record.source.keyId !== keyId || record.uses >= this.#renewAt) return undefined
    try {
      const plain = await this.#service.unwrap(record.source, randomUUID())
      const key = dataKeyOf(record.source, plain, this.#service.name)
      // Wrapped without authentication or by another key: what it would encrypt, nobody could read.
      if (key.check() !== record.check) throw new EncryptionError('the plugin unwraps another key than it wrapped')
      return this.#recorded(key, record)
    } catch (error) {
      const reason = (error as Error).message
      this.#log('warn', 'the last data key cannot be used again', { plugin: this.#service.name, reason })
      return undefined
    }
  }

  async #make(keyId: string): Promise<Omit<Current, 'expires'>> {
    const plugin = this.#service.name
    const seed = randomBytes(SEED_BYTES)
    const created = this.#clock.now()
    const source = await this.#service.wrap(seed, randomUUID())
    if (source.keyId !== keyId) {
      throw new EncryptionError(
        `kms plugin ${plugin}: Status says that key ${quoted(keyId)} is in use, Encrypt used ${quoted(source.keyId)}`,
      )
    }
    // What the plugin cannot give back would be lost with this process.
    const back = await this.#service.unwrap(source, randomUUID())
    if (back.length !== seed.length || !timingSafeEqual(back, seed)) {
      throw new EncryptionError(`kms plugin ${plugin}: it does not decrypt to the same key what it has just encrypted`)
    }
    const key = dataKeyOf(source, seed, plugin)
    seed.fill(0)
    const made = this.#recorded(key, { source, created: key.created ?? created, uses: 0, check: key.check() })
    // Without a record the key serves this process only, whose count is exact.
    return made ?? { key, source, created: key.created ?? created, uses: 0, recorded: Number.POSITIVE_INFINITY }
  }

  #recorded(key: DataKey, record: DataKeyRecord): Omit<Current, 'expires'> | undefined {
    const recorded = record.uses + USES_BLOCK
    if (!this.#records.set(this.#service.name, { ...record, uses: recorded })) return undefined
    return { key, source: record.source, created: record.created, uses: record.uses, recorded }
  }

  /** The key for one write, which is counted. Throws when nothing may be written. */
  use(storageKey: string): DataKey {
    const current = this.#current
    if (current === undefined) throw this.#refuse(storageKey, 'there is no data key')
    if (this.#clock.now() > current.expires) {
      const since = new Date(current.expires - WRITE_TTL_MS).toISOString()
      throw this.#refuse(storageKey, `its data key must not write for more than 3 minutes after ${since}`)
    }
    if (current.uses >= this.#maxUses) throw this.#refuse(storageKey, `its data key was used ${this.#maxUses} times`)
    if (++current.uses > current.recorded) this.#extend(current)
    if (current.uses === this.#renewAt) void this.probe().catch(() => {})
    return current.key
  }

  #extend(current: Current): void {
    const { key, source, created, uses } = current
    current.recorded =
      this.#recorded(key, { source, created, uses, check: key.check() })?.recorded ?? Number.POSITIVE_INFINITY
  }

  #refuse(storageKey: string, reason: string): EncryptionError {
    const health = this.#health === 'ok' ? '' : `: ${this.#health}`
    return new EncryptionError(`${storageKey} is not written: kms plugin ${this.#service.name}: ${reason}${health}`)
  }
}

export const quoted = (keyId: string): string => JSON.stringify(excerpt(keyId).slice(0, 64))
