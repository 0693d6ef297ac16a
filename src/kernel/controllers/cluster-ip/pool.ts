import type { Log } from '../../feature.ts'
import { CompactedError, type KeyValue, type Store, type Watch } from '../../store/store.ts'
import { BitmapAllocator } from './allocator.ts'

/** The Service that a number belongs to. */
export type Owner = { uid: string; namespace: string; name: string }

export type Reservation = { number: number; owner: Owner; modRevision: number }

export type PoolOptions = {
  store: Store
  /** Of the keys; each number has one key below it. */
  prefix: string
  size: number
  /** How many of the lowest numbers are kept for those who ask for them. */
  band: number
  /** Name of a number's key, and the number of a name (undefined: not one of this pool). */
  print: (number: number) => string
  parse: (name: string) => number | undefined
  random: () => number
  log: Log
}

/**
 * Numbers (addresses, ports) that belong to one owner each. What counts is the number's key in the store, which is
 * created only if it does not exist: several API servers on one store cannot give out the same number. The bitmap is a
 * copy that says where to look first.
 */
export class Pool {
  readonly #options: PoolOptions
  #bitmap: BitmapAllocator
  #loading: Promise<void> | undefined
  #watch: Watch | undefined
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#bitmap = new BitmapAllocator(options.size, options.band)
  }

  /** True when the number is one of the pool's. */
  contains(number: number): boolean {
    return Number.isInteger(number) && number >= 0 && number < this.#options.size
  }

  /** 'taken': someone else has it, unless `mayTakeOver` says that this someone is no more. */
  async reserve(
    number: number,
    owner: Owner,
    mayTakeOver: (holder: Owner) => Promise<boolean> = async () => false,
  ): Promise<'reserved' | 'taken'> {
    const { store } = this.#options
    const key = this.#key(number)
    const value = encode(owner)
    for (let modRevision = 0; ; ) {
      const result = await store.txn({
        compare: [{ key, modRevision }],
        success: [{ type: 'put', key, value }],
        failure: [{ type: 'get', key }],
      })
      if (result.succeeded) {
        this.#bitmap.take(number)
        return 'reserved'
      }
      const held = result.results[0]?.kvs[0]
      modRevision = held?.modRevision ?? 0
      if (held === undefined) continue
      this.#bitmap.take(number)
      const holder = decode(held)
      if (holder.uid === owner.uid) return 'reserved'
      if (!(await mayTakeOver(holder))) return 'taken'
    }
  }

  /** Any free number; undefined when there is none. */
  async reserveAny(owner: Owner): Promise<number | undefined> {
    await this.#ready()
    for (;;) {
      const number = this.#bitmap.findFree(this.#options.random)
      if (number === undefined) return undefined
      if ((await this.reserve(number, owner)) === 'reserved') return number
    }
  }

  /** A number that is probably free, for a dry run. */
  async suggest(): Promise<number | undefined> {
    await this.#ready()
    return this.#bitmap.findFree(this.#options.random)
  }

  /** Whether someone else than `owner` has it, for a dry run. */
  async isTaken(number: number, owner: Owner): Promise<boolean> {
    const held = (await this.#options.store.range({ key: this.#key(number) })).kvs[0]
    return held !== undefined && decode(held).uid !== owner.uid
  }

  /** Nothing happens when another owner has it by now. */
  async release(number: number, uid: string): Promise<void> {
    const held = (await this.#options.store.range({ key: this.#key(number) })).kvs[0]
    if (held !== undefined && decode(held).uid === uid) await this.#delete(number, held.modRevision)
  }

  /** Releases it, if the reservation is still this one. */
  async releaseExactly(reservation: Reservation): Promise<boolean> {
    return await this.#delete(reservation.number, reservation.modRevision)
  }

  /** Makes `owner` the holder, whoever it was, if the reservation is still this one. */
  async transfer(reservation: Reservation, owner: Owner): Promise<boolean> {
    const key = this.#key(reservation.number)
    const compare = [{ key, modRevision: reservation.modRevision }]
    return (await this.#options.store.txn({ compare, success: [{ type: 'put', key, value: encode(owner) }] })).succeeded
  }

  async list(): Promise<Reservation[]> {
    const { kvs } = await this.#options.store.range({ key: this.#options.prefix, prefix: true })
    return kvs.flatMap((kv) => {
      const number = this.#number(kv.key)
      return number === undefined ? [] : [{ number, owner: decode(kv), modRevision: kv.modRevision }]
    })
  }

  close(): void {
    this.#closed = true
    this.#watch?.cancel()
  }

  async #delete(number: number, modRevision: number): Promise<boolean> {
    const key = this.#key(number)
    const compare = [{ key, modRevision }]
    const result = await this.#options.store.txn({ compare, success: [{ type: 'delete', key }] })
    if (result.succeeded) this.#bitmap.release(number)
    return result.succeeded
  }

  /** Fills the bitmap once; afterwards a watch keeps it. */
  async #ready(): Promise<void> {
    this.#loading ??= this.#load().catch((error) => {
      this.#loading = undefined
      throw error
    })
    await this.#loading
  }

  async #load(): Promise<void> {
    const { store, prefix, size, band, log } = this.#options
    const { kvs, revision } = await store.range({ key: prefix, prefix: true, keysOnly: true })
    const bitmap = new BitmapAllocator(size, band)
    for (const kv of kvs) {
      const number = this.#number(kv.key)
      if (number !== undefined) bitmap.take(number)
    }
    this.#bitmap = bitmap
    if (this.#closed) return
    this.#watch = store.watch(
      { key: prefix, prefix: true, fromRevision: revision + 1 },
      {
        onEvents: (events) => {
          for (const { type, kv } of events) {
            const number = this.#number(kv.key)
            if (number === undefined) continue
            if (type === 'put') bitmap.take(number)
            else bitmap.release(number)
          }
        },
        onEnd: (error) => {
          // The bitmap is filled again when it is needed next.
          if (this.#closed) return
          this.#loading = undefined
          if (!(error instanceof CompactedError))
            log('warn', `allocations below ${prefix}: ${error?.message ?? 'the watch ended'}`)
        },
      },
    )
  }

  #key(number: number): string {
    return this.#options.prefix + this.#options.print(number)
  }

  #number(key: string): number | undefined {
    return this.#options.parse(key.slice(this.#options.prefix.length))
  }
}

const encode = (owner: Owner): Uint8Array => Buffer.from(JSON.stringify(owner))

/** An entry that cannot be read belongs to nobody: the repair gives it to the Service that uses it, or releases it. */
function decode(kv: KeyValue): Owner {
  try {
    const { uid, namespace, name } = JSON.parse(Buffer.from(kv.value).toString('utf8')) as Partial<Owner>
    return { uid: uid ?? '', namespace: namespace ?? '', name: name ?? '' }
  } catch {
    return { uid: '', namespace: '', name: '' }
  }
}
