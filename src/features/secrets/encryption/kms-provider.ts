import type { Clock, Log } from '../../../kernel/feature.ts'
import { createdOf, type DataKey } from './data-key.ts'
import { DataKeyCache } from './data-key-cache.ts'
import type { DataKeyRecords } from './data-key-records.ts'
import { DATA_TAG, type DataKeySource, dataKeyId, decodeObject, encodeSource } from './encrypted-object.ts'
import { checkAnswers } from './key-service-answers.ts'
import { EncryptionError, type KeyService, type Protection } from './types.ts'
import { quoted, WriteKey } from './write-key.ts'

export type KmsProviderOptions = {
  service: KeyService
  /** For one answer of the plugin. */
  timeoutMs: number
  records: DataKeyRecords
  clock: Clock
  log: Log
  maxUses?: number
}

/** Values as `k8s:enc:kms:v2:<plugin>:` and an EncryptedObject. Waits for nothing while the data key is known. */
export class KmsProvider {
  readonly name: string
  readonly header: string
  readonly writeKey: WriteKey
  readonly #headerBytes: Buffer
  readonly #cache: DataKeyCache
  readonly #close: () => void

  constructor({ service, timeoutMs, ...rest }: KmsProviderOptions) {
    const checked = checkAnswers(service, timeoutMs)
    this.name = service.name
    this.header = kmsHeader(service.name)
    this.#headerBytes = Buffer.from(this.header)
    this.#cache = new DataKeyCache(checked, rest.clock)
    this.writeKey = new WriteKey({ ...rest, service: checked, cache: this.#cache })
    this.#close = () => checked.close()
  }

  seal(plain: Uint8Array, storageKey: string): Buffer {
    return this.writeKey.use(storageKey).seal(this.#headerBytes, plain, storageKey)
  }

  /** `from` is where the header ends. */
  open(value: Buffer, from: number, storageKey: string): Buffer | Promise<Buffer> {
    const split = splitObject(value, from)
    const known = split && this.#cache.get(split.tail)
    if (known) return this.#open(known, split.data, storageKey)
    const { data, source } = this.#decode(value, from, storageKey)
    const tail = encodeSource(source)
    const key = this.#cache.get(tail)
    if (key !== undefined) return this.#open(key, data, storageKey)
    return this.#unwrap(source, tail, storageKey).then((unwrapped) => this.#open(unwrapped, data, storageKey))
  }

  #open(key: DataKey, data: Uint8Array, storageKey: string): Buffer {
    const plain = key.open(data, storageKey)
    if (plain !== undefined) return plain
    // If the plugin unwrapped it wrongly, it is asked again the next time.
    if (!key.proven && key !== this.writeKey.state?.key) this.#cache.remove(key)
    throw new EncryptionError(
      `${storageKey} was altered or moved here from another key: it does not decrypt with data key ${key.id} ` +
        `(key-encryption key ${quoted(key.keyId)} of kms plugin ${this.name})`,
    )
  }

  async #unwrap(source: DataKeySource, tail: Buffer, storageKey: string): Promise<DataKey> {
    try {
      return await this.#cache.unwrap(source, tail)
    } catch (error) {
      throw new EncryptionError(
        `${storageKey} cannot be read: it needs data key ${dataKeyId(source.ciphertext)} ` +
          `(key-encryption key ${quoted(source.keyId)} of kms plugin ${this.name}): ${(error as Error).message}`,
      )
    }
  }

  #decode(value: Buffer, from: number, storageKey: string): { data: Uint8Array; source: DataKeySource } {
    try {
      return decodeObject(value.subarray(from))
    } catch (error) {
      throw new EncryptionError(
        `${storageKey} was altered: it is no value of kms plugin ${this.name}: ${(error as Error).message}`,
      )
    }
  }

  protectionOf(value: Buffer, from: number, storageKey: string): Protection {
    return protectionOfObject(this.name, this.#decode(value, from, storageKey).source)
  }

  /** Whether a write today would use another key-encryption key or data key. */
  isStale(value: Buffer, from: number, storageKey: string): boolean {
    const current = this.writeKey.state?.key
    if (current === undefined) return false
    if (splitObject(value, from)?.tail.equals(current.tail)) return false
    const { source } = this.#decode(value, from, storageKey)
    if (source.keyId !== current.keyId || source.type !== WRITTEN_TYPE) return true
    if (dataKeyId(source.ciphertext) === current.id) return false
    // Another server may write with a data key of its own; only an older one is stale.
    const created = createdOf(source)
    return created === undefined || current.created === undefined || created <= current.created
  }

  /** Drops data keys that these key-encryption keys wrapped. */
  forget(keyIds: readonly string[]): void {
    this.#cache.purge(keyIds, this.writeKey.state?.key)
  }

  close(): void {
    this.writeKey.close()
    this.#close()
  }
}

const WRITTEN_TYPE = 1

export const kmsHeader = (plugin: string): string => `k8s:enc:kms:v2:${plugin}:`

export function protectionOfObject(name: string, source: DataKeySource): Protection {
  const created = createdOf(source)
  return {
    provider: 'kms',
    name,
    keyId: source.keyId,
    dataKey: dataKeyId(source.ciphertext),
    ...(created === undefined ? {} : { dataKeyCreated: created }),
  }
}

/** The data and what follows it, when the data comes first, as every known writer has it. Views, nothing is copied. */
function splitObject(value: Buffer, from: number): { data: Buffer; tail: Buffer } | undefined {
  if (value[from] !== DATA_TAG) return undefined
  let length = 0
  let at = from + 1
  for (let shift = 0; ; shift += 7, at++) {
    const byte = value[at]
    if (byte === undefined || shift > 21) return undefined
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  const start = at + 1
  const end = start + length
  return end > value.length ? undefined : { data: value.subarray(start, end), tail: value.subarray(end) }
}
