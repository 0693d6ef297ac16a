import type { Clock } from '../../../kernel/feature.ts'
import { DataKey } from './data-key.ts'
import { type DataKeySource, dataKeyId } from './encrypted-object.ts'
import type { CheckedKeyService } from './key-service-answers.ts'
import { EncryptionError } from './types.ts'

/** As many wrapped data keys are remembered in the clear; the least recently used goes first. */
const MAX_DATA_KEYS = 1000
/** For so long the plugin is not asked again about a data key that it did not unwrap. */
const REFUSAL_MS = 1000

type Refusal = { until: number; error: EncryptionError }

/** Data keys for reading, by the end of the EncryptedObject that carries their wrapped form. They do not expire. */
export class DataKeyCache {
  readonly #service: CheckedKeyService
  readonly #clock: Clock
  readonly #keys = new Map<string, DataKey>()
  readonly #pending = new Map<string, Promise<DataKey>>()
  readonly #refusals = new Map<string, Refusal>()
  /** Values written one after another share a key: one comparison finds it. */
  #last: DataKey | undefined

  constructor(service: CheckedKeyService, clock: Clock) {
    this.#service = service
    this.#clock = clock
  }

  get(tail: Buffer): DataKey | undefined {
    if (this.#last?.tail.equals(tail)) return this.#last
    const text = tail.toString('latin1')
    const key = this.#keys.get(text)
    if (key === undefined) return undefined
    this.#keys.delete(text)
    this.#keys.set(text, key)
    this.#last = key
    return key
  }

  add(key: DataKey): void {
    this.#keys.set(key.tail.toString('latin1'), key)
    this.#last = key
    if (this.#keys.size > MAX_DATA_KEYS) this.#keys.delete(this.#keys.keys().next().value!)
  }

  remove(key: DataKey): void {
    this.#keys.delete(key.tail.toString('latin1'))
    if (this.#last === key) this.#last = undefined
  }

  /** Asks the plugin, once for all that wait for the same data key. `tail` is the source's canonical encoding. */
  unwrap(source: DataKeySource, tail: Buffer): Promise<DataKey> {
    const text = tail.toString('latin1')
    const refusal = this.#refusals.get(text)
    if (refusal !== undefined && this.#clock.now() < refusal.until) return Promise.reject(refusal.error)
    let pending = this.#pending.get(text)
    if (pending === undefined) {
      pending = this.#ask(source, text).finally(() => this.#pending.delete(text))
      this.#pending.set(text, pending)
    }
    return pending
  }

  async #ask(source: DataKeySource, text: string): Promise<DataKey> {
    try {
      const plain = await this.#service.unwrap(source, crypto.randomUUID())
      const key = dataKeyOf(source, plain, this.#service.name)
      this.#refusals.delete(text)
      this.add(key)
      return key
    } catch (error) {
      if (this.#refusals.size >= MAX_DATA_KEYS) this.#refusals.clear()
      if (error instanceof EncryptionError) this.#refusals.set(text, { until: this.#clock.now() + REFUSAL_MS, error })
      throw error
    }
  }

  /** Forgets what these key-encryption keys wrapped, but for `except`. */
  purge(keyIds: readonly string[], except: DataKey | undefined): void {
    for (const [text, key] of this.#keys) {
      if (key !== except && keyIds.includes(key.keyId)) this.#keys.delete(text)
    }
    this.#last = undefined
  }
}

export function dataKeyOf(source: DataKeySource, plain: Uint8Array, plugin: string): DataKey {
  try {
    return new DataKey(source, plain)
  } catch {
    throw new EncryptionError(
      `kms plugin ${plugin}: the answer to Decrypt is wrong: ${plain.length} bytes are no data key (${dataKeyId(source.ciphertext)})`,
    )
  }
}
