import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { KeyService } from '../types.ts'

type Encrypted = Awaited<ReturnType<KeyService['encrypt']>>

/** A real AES-256-GCM key service in memory, whose answers a test may spoil. */
export type TestKeyService = KeyService & {
  /** The key-encryption key in use; every id has a key of its own. */
  keyId: string
  /** Every call fails with this. */
  down: string | undefined
  /** Calls never end. */
  hanging: boolean
  spoil: {
    status?: (answer: { version: string; healthz: string; keyId: string }) => typeof answer
    encrypt?: (answer: Encrypted) => Encrypted
    decrypt?: (answer: Uint8Array) => Uint8Array
  }
  readonly calls: { status: number; encrypt: number; decrypt: number }
  closed: boolean
}

export function testKeyService(name = 'vault'): TestKeyService {
  const keyOf = (keyId: string): Buffer => createHash('sha256').update(`${name} ${keyId}`).digest()
  const answer = async <T>(value: () => T): Promise<T> => {
    if (service.hanging) return new Promise(() => {})
    if (service.down !== undefined) throw new Error(service.down)
    return value()
  }
  const service: TestKeyService = {
    name,
    keyId: 'kek-1',
    down: undefined,
    hanging: false,
    spoil: {},
    calls: { status: 0, encrypt: 0, decrypt: 0 },
    closed: false,
    status: () => {
      service.calls.status++
      return answer(() => {
        const status = { version: 'v2', healthz: 'ok', keyId: service.keyId }
        return service.spoil.status?.(status) ?? status
      })
    },
    encrypt: (plaintext) => {
      service.calls.encrypt++
      return answer(() => {
        const nonce = randomBytes(12)
        const cipher = createCipheriv('aes-256-gcm', keyOf(service.keyId), nonce)
        const ciphertext = Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
        const encrypted = { ciphertext, keyId: service.keyId, annotations: { 'zone.example.com': Buffer.from('a') } }
        return service.spoil.encrypt?.(encrypted) ?? encrypted
      })
    },
    decrypt: ({ ciphertext, keyId }) => {
      service.calls.decrypt++
      return answer(() => {
        const decipher = createDecipheriv('aes-256-gcm', keyOf(keyId), ciphertext.subarray(0, 12))
        decipher.setAuthTag(ciphertext.subarray(-16))
        const plain = Buffer.concat([decipher.update(ciphertext.subarray(12, -16)), decipher.final()])
        return service.spoil.decrypt?.(plain) ?? plain
      })
    },
    close: () => {
      service.closed = true
    },
  }
  return service
}
