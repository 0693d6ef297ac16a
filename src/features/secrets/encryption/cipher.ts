import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto'
import type { SeedExpansion } from './seed-expansion.ts'

// Everything here is synchronous and allocates one buffer per value. Keys are KeyObjects: node:crypto takes 8 µs to look
// at a key that comes as bytes.

export const NONCE_BYTES = 12
export const TAG_BYTES = 16
/** Random bytes per write from which HKDF derives the write's own key. */
export const INFO_BYTES = 32

const GCM_OPTIONS = { authTagLength: TAG_BYTES }

type GcmName = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'

const gcmName = (key: KeyObject): GcmName => `aes-${((key.symmetricKeySize ?? 0) * 8) as 128 | 192 | 256}-gcm`

const RANDOM_POOL_BYTES = 4096
const pool = Buffer.alloc(RANDOM_POOL_BYTES)
let poolUsed = RANDOM_POOL_BYTES

/** Random bytes that need not be secret (nonces); one call of the system serves many writes. */
export function fillRandom(target: Buffer, at: number, length: number): void {
  if (poolUsed + length > RANDOM_POOL_BYTES) {
    randomFillSync(pool)
    poolUsed = 0
  }
  pool.copy(target, at, poolUsed, poolUsed + length)
  poolUsed += length
}

/** Encrypts into `target` from `at` with the nonce that stands before `at`; the tag follows. Returns where it ends. */
export function gcmSeal(key: KeyObject, plain: Uint8Array, aad: string, target: Buffer, at: number): number {
  const cipher = createCipheriv(gcmName(key), key, target.subarray(at - NONCE_BYTES, at), GCM_OPTIONS)
  cipher.setAAD(Buffer.from(aad))
  target.set(cipher.update(plain), at)
  cipher.final()
  target.set(cipher.getAuthTag(), at + plain.length)
  return at + plain.length + TAG_BYTES
}

/** Decrypts nonce, ciphertext and tag. Undefined when they do not belong together, to this key and to `aad`. */
export function gcmOpen(key: KeyObject, sealed: Uint8Array, aad: string): Buffer | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv(gcmName(key), key, sealed.subarray(0, NONCE_BYTES), GCM_OPTIONS)
  decipher.setAAD(Buffer.from(aad))
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES))
  try {
    decipher.final()
    return plain
  } catch {
    return undefined
  }
}

const derived = Buffer.alloc(32)

/** The key of one write: HKDF-Expand of the data key's seed, which is uniformly random. */
export function deriveKey(seed: SeedExpansion, info: Uint8Array): KeyObject {
  seed.expand(info, derived)
  const key = createSecretKey(derived)
  derived.fill(0)
  return key
}
