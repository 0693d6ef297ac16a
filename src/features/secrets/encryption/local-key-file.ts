import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../../kernel/feature.ts'
import {
  KEY_BYTES,
  type Key,
  type Loaded,
  type LocalKey,
  MAX_KEYS,
  placeOf,
  read,
  stampOf,
  write,
} from './key-file-format.ts'
import { withLock } from './key-file-lock.ts'
import { EncryptionError, type KeyService } from './types.ts'

/**
 * Key-encryption keys in a file (JSON, 0600, newest first), served as a KMS v2 plugin in this process. Every change goes
 * to disk, synced, before a key is used: a data key wrapped by a key that is not on disk would be lost with the process.
 */
export type LocalKeyFile = KeyService & {
  readonly file: string
  /** Newest first; the first wraps. */
  keys: () => readonly LocalKey[]
  /** Adds a key, which wraps from now on. */
  rotate: () => { keyId: string }
  /** Removes keys. Refuses the wrapping one and unknown ones; what they wrapped cannot be read afterwards. */
  forget: (keyIds: readonly string[]) => void
  /** Reads the file again if somebody changed it; true if it did change. A broken file throws and changes nothing. */
  reload: () => boolean
}

/** Annotation of wrapped data keys: when the data key was made (RFC 3339). Authenticated together with the key. */
export const CREATED_ANNOTATION = 'data-key-created.rampart.dev'

const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Kubernetes refuses wrapped keys of more than 1 KiB (kmsv2/envelope.go). */
const MAX_PLAINTEXT_BYTES = 1024 - NONCE_BYTES - TAG_BYTES

/** Opens the file, or makes it with one key. Throws EncryptionError for a file that is broken or that others may read. */
export function openLocalKeyFile(options: { file: string; clock: Clock; name?: string }): LocalKeyFile {
  const { file, clock, name = 'local' } = options
  let { keys, stamp } = readOrCreate(file, clock)
  /** Creation times never repeat or run backwards, so that of two data keys the newer is known. */
  let lastCreated = 0

  const change = (next: (onDisk: readonly Key[]) => readonly Key[]): void => {
    withLock(placeOf(file), () => {
      write(file, next(read(file).keys))
      ;({ keys, stamp } = read(file))
    })
  }
  return {
    name,
    file,
    keys: () => keys.map(({ id, created }) => ({ id, created })),
    rotate: () => {
      const key = newKey(clock)
      change((onDisk) => {
        if (onDisk.length >= MAX_KEYS) throw new EncryptionError(`${file} holds ${MAX_KEYS} keys, the most it may`)
        return [key, ...onDisk]
      })
      return { keyId: key.id }
    },
    forget: (keyIds) => {
      change((onDisk) => {
        for (const id of keyIds) {
          if (!onDisk.some((key) => key.id === id)) throw new EncryptionError(`key ${id} is not in ${file}`)
          if (onDisk[0]!.id === id) throw new EncryptionError(`key ${id} is the one that writes use: rotate it first`)
        }
        return onDisk.filter((key) => !keyIds.includes(key.id))
      })
    },
    reload: () => {
      if (stampOf(file) === stamp) return false
      const before = keys
      ;({ keys, stamp } = read(file))
      return before.length !== keys.length || before.some((key, i) => key.id !== keys[i]!.id)
    },
    status: async () => ({ version: 'v2', healthz: 'ok', keyId: keys[0]!.id }),
    encrypt: async (plaintext) => {
      if (plaintext.length > MAX_PLAINTEXT_BYTES) {
        throw new EncryptionError(
          `a data key of ${plaintext.length} bytes is too long: at most ${MAX_PLAINTEXT_BYTES} can be wrapped`,
        )
      }
      const key = keys[0]!
      lastCreated = Math.max(clock.now(), lastCreated + 1)
      const annotations = { [CREATED_ANNOTATION]: Buffer.from(new Date(lastCreated).toISOString()) }
      return { ciphertext: wrap(key, plaintext, annotations), keyId: key.id, annotations }
    },
    decrypt: async ({ ciphertext, keyId, annotations }) => {
      const key = keys.find((k) => k.id === keyId)
      if (key === undefined) {
        throw new EncryptionError(`key-encryption key ${JSON.stringify(keyId.slice(0, 64))} is not in ${file}`)
      }
      return unwrap(key, ciphertext, annotations)
    },
    close: () => {},
  }
}

function readOrCreate(file: string, clock: Clock): Loaded {
  if (stampOf(file) !== undefined) return read(file)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  return withLock(placeOf(file), () => {
    if (stampOf(file) === undefined) write(file, [newKey(clock)])
    return read(file)
  })
}

function newKey(clock: Clock): Key {
  const created = clock.now()
  const day = new Date(created).toISOString().slice(0, 10)
  return { id: `${day}-${randomBytes(6).toString('hex')}`, created, key: randomBytes(KEY_BYTES) }
}

/** What a wrapped key is bound to: the key's id and the annotations, each with its length. */
function associatedData(key: Key, annotations: Record<string, Uint8Array>): Buffer {
  const parts: Buffer[] = []
  const add = (bytes: Uint8Array): void => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    parts.push(length, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  }
  add(Buffer.from(key.id))
  for (const name of Object.keys(annotations).sort()) {
    add(Buffer.from(name))
    add(annotations[name]!)
  }
  return Buffer.concat(parts)
}

function wrap(key: Key, plaintext: Uint8Array, annotations: Record<string, Uint8Array>): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(associatedData(key, annotations))
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function unwrap(key: Key, ciphertext: Uint8Array, annotations: Record<string, Uint8Array>): Buffer {
  const altered = `the wrapped data key does not decrypt with key-encryption key ${key.id}: it was altered`
  if (ciphertext.length < NONCE_BYTES + TAG_BYTES) throw new EncryptionError(altered)
  const nonce = ciphertext.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key.key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(key, annotations))
  decipher.setAuthTag(ciphertext.subarray(ciphertext.length - TAG_BYTES))
  try {
    const plain = decipher.update(ciphertext.subarray(NONCE_BYTES, ciphertext.length - TAG_BYTES))
    return Buffer.concat([plain, decipher.final()])
  } catch {
    throw new EncryptionError(altered)
  }
}
