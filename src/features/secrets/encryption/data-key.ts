import { createSecretKey, type KeyObject } from 'node:crypto'
import { deriveKey, fillRandom, gcmOpen, gcmSeal, INFO_BYTES, NONCE_BYTES, TAG_BYTES } from './cipher.ts'
import { AES_GCM_KEY, DATA_TAG, type DataKeySource, dataKeyId, encodeSource } from './encrypted-object.ts'
import { CREATED_ANNOTATION } from './local-key-file.ts'
import { SeedExpansion } from './seed-expansion.ts'

/**
 * A data key in the clear with its wrapped form. Values are `info | nonce | ciphertext | tag`: the key of each write is
 * HKDF(seed, info), used once, so that the random nonce cannot collide (aes_extended_nonce.go of Kubernetes). Keys that
 * Kubernetes wrote before it had seeds are used directly, for reading.
 */
export class DataKey {
  readonly id: string
  readonly keyId: string
  /** When it was made, where the plugin noted it; milliseconds since the epoch. */
  readonly created: number | undefined
  /** What follows the data in every EncryptedObject of this key. */
  readonly tail: Buffer
  /** What keys are derived from; or the key itself. */
  readonly #seed: SeedExpansion | undefined
  readonly #key: KeyObject | undefined
  /** It has decrypted something, so it is what was once wrapped. */
  #proven = false

  /** Throws for a key of wrong length. */
  constructor(source: DataKeySource, key: Uint8Array) {
    const derived = source.type !== AES_GCM_KEY
    const right = derived ? key.length >= INFO_BYTES && key.length <= 1024 : [16, 24, 32].includes(key.length)
    if (!right) throw new Error(`a data key of ${key.length} bytes`)
    this.#seed = derived ? new SeedExpansion(key) : undefined
    this.#key = derived ? undefined : createSecretKey(key)
    this.id = dataKeyId(source.ciphertext)
    this.keyId = source.keyId
    this.created = createdOf(source)
    this.tail = encodeSource(source)
  }

  /** Header and encoded EncryptedObject in one buffer. Only for keys of the seed kind. */
  seal(header: Buffer, plain: Uint8Array, aad: string): Buffer {
    const dataLength = INFO_BYTES + NONCE_BYTES + plain.length + TAG_BYTES
    const tail = this.tail
    const start = header.length + 1 + varintLength(dataLength)
    const out = Buffer.allocUnsafe(start + dataLength + tail.length)
    header.copy(out)
    out[header.length] = DATA_TAG
    writeVarint(out, header.length + 1, dataLength)
    fillRandom(out, start, INFO_BYTES + NONCE_BYTES)
    const key = deriveKey(this.#seed!, out.subarray(start, start + INFO_BYTES))
    tail.copy(out, gcmSeal(key, plain, aad, out, start + INFO_BYTES + NONCE_BYTES))
    return out
  }

  /** Undefined when the data was altered or belongs to another storage key. */
  open(data: Uint8Array, aad: string): Buffer | undefined {
    const plain = this.#open(data, aad)
    if (plain !== undefined) this.#proven = true
    return plain
  }

  #open(data: Uint8Array, aad: string): Buffer | undefined {
    if (this.#key !== undefined) return gcmOpen(this.#key, data, aad)
    if (data.length < INFO_BYTES) return undefined
    return gcmOpen(deriveKey(this.#seed!, data.subarray(0, INFO_BYTES)), data.subarray(INFO_BYTES), aad)
  }

  get proven(): boolean {
    return this.#proven
  }

  /** Tells this key from every other without telling anything of it. Only for keys of the seed kind. */
  check(): string {
    const out = Buffer.alloc(32)
    // Shorter than the info of a write: no write's key is derived from it.
    this.#seed!.expand(CHECK_INFO, out)
    return out.toString('hex')
  }
}

const CHECK_INFO = Buffer.from('data key record')

export function createdOf(source: DataKeySource): number | undefined {
  const noted = source.annotations[CREATED_ANNOTATION]
  if (noted === undefined || noted.length > 40) return undefined
  const time = Date.parse(Buffer.from(noted).toString())
  return Number.isNaN(time) ? undefined : time
}

function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest > 0x7f; rest >>>= 7) length++
  return length
}

function writeVarint(target: Buffer, at: number, value: number): void {
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80
  target[at] = rest
}
