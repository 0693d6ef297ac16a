import { createDecipheriv, createSecretKey } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { fillRandom, gcmOpen, gcmSeal, NONCE_BYTES, TAG_BYTES } from './cipher.ts'
import { belongsTo } from './ownership.ts'
import { EncryptionError } from './types.ts'

export type StaticProvider = 'aesgcm' | 'aescbc' | 'secretbox'

/** One key of an EncryptionConfiguration. */
export type StaticKey = {
  readonly header: string
  /** Absent where nothing binds a value to its storage key: such providers only read. */
  readonly seal?: (plain: Uint8Array, storageKey: string) => Buffer
  readonly open: (value: Buffer, from: number, storageKey: string) => Buffer
}

const CBC_BLOCK_BYTES = 16
const SECRETBOX_NONCE_BYTES = 24

export function staticKey(provider: StaticProvider, name: string, secret: Buffer): StaticKey {
  const header = `k8s:enc:${provider}:v1:${name}:`
  const open = OPENERS[provider](secret)
  const checked = (value: Buffer, from: number, storageKey: string): Buffer => {
    const plain = open(value.subarray(from), storageKey)
    if (plain !== undefined) return plain
    throw new EncryptionError(
      `${storageKey} was altered or moved here from another key: it does not decrypt with ${provider} key ${name}`,
    )
  }
  return provider === 'aesgcm' ? { header, seal: gcmSealer(header, secret), open: checked } : { header, open: checked }
}

type Open = (sealed: Buffer, storageKey: string) => Buffer | undefined

const OPENERS: Record<StaticProvider, (secret: Buffer) => Open> = {
  aesgcm: (secret) => {
    const key = createSecretKey(secret)
    return (sealed, storageKey) => gcmOpen(key, sealed, storageKey)
  },
  // Neither format holds the storage key, and CBC is not even authenticated: what comes out must be that very object.
  aescbc: (secret) => {
    const key = createSecretKey(secret)
    return (sealed, storageKey) => {
      if (sealed.length < 2 * CBC_BLOCK_BYTES || sealed.length % CBC_BLOCK_BYTES !== 0) return undefined
      const decipher = createDecipheriv(`aes-${secret.length * 8}-cbc`, key, sealed.subarray(0, CBC_BLOCK_BYTES))
      try {
        const plain = Buffer.concat([decipher.update(sealed.subarray(CBC_BLOCK_BYTES)), decipher.final()])
        return belongsTo(plain, storageKey) ? plain : undefined
      } catch {
        return undefined
      }
    }
  },
  secretbox: (secret) => (sealed, storageKey) => {
    const plain = openSecretbox(secret, sealed)
    return plain !== undefined && belongsTo(plain, storageKey) ? plain : undefined
  },
}

/** NaCl's secretbox (XSalsa20 and Poly1305) behind its nonce of 24 bytes. */
export function openSecretbox(key: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < SECRETBOX_NONCE_BYTES + TAG_BYTES) return undefined
  const nonce = sealed.subarray(0, SECRETBOX_NONCE_BYTES)
  try {
    const plain = xsalsa20poly1305(key, nonce).decrypt(sealed.subarray(SECRETBOX_NONCE_BYTES))
    return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength)
  } catch {
    return undefined
  }
}

function gcmSealer(header: string, secret: Buffer): (plain: Uint8Array, storageKey: string) => Buffer {
  const key = createSecretKey(secret)
  const headerBytes = Buffer.from(header)
  return (plain, storageKey) => {
    const start = headerBytes.length + NONCE_BYTES
    const out = Buffer.allocUnsafe(start + plain.length + TAG_BYTES)
    headerBytes.copy(out)
    fillRandom(out, headerBytes.length, NONCE_BYTES)
    gcmSeal(key, plain, storageKey, out, start)
    return out
  }
}
