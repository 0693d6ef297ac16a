import { randomBytes, randomUUID } from 'node:crypto'
import { EncryptionError, type KeyService } from '../encryption/types.ts'

export type ProbeResult = {
  version?: string
  healthz?: string
  keyId?: string
  /** Milliseconds of the median round. */
  encryptMs?: number
  decryptMs?: number
  /** What is wrong; empty when an API server could use the plugin. */
  problems: string[]
}

/** Asks a plugin for its status and has random bytes, as long as a data key seed, encrypted and decrypted. */
export async function probeKeyService(service: KeyService, rounds: number): Promise<ProbeResult> {
  const result: ProbeResult = { problems: [] }
  try {
    const { version, healthz, keyId } = await service.status()
    Object.assign(result, { version, healthz, keyId })
    if (healthz !== 'ok') result.problems.push(`its health is: ${healthz || '(none given)'}`)
    const encrypting: number[] = []
    const decrypting: number[] = []
    for (let round = 0; round < rounds; round++) {
      const plaintext = randomBytes(32)
      const begun = performance.now()
      const encrypted = await service.encrypt(plaintext, randomUUID())
      const between = performance.now()
      const back = await service.decrypt({ ...encrypted, uid: randomUUID() })
      encrypting.push(between - begun)
      decrypting.push(performance.now() - between)
      const wrong = wrongRound(plaintext, encrypted, back, keyId)
      if (wrong !== undefined) {
        result.problems.push(wrong)
        return result
      }
    }
    result.encryptMs = median(encrypting)
    result.decryptMs = median(decrypting)
  } catch (error) {
    if (!(error instanceof EncryptionError)) throw error
    result.problems.push(error.message)
  }
  return result
}

function wrongRound(
  plaintext: Buffer,
  encrypted: { ciphertext: Uint8Array; keyId: string },
  back: Uint8Array,
  keyId: string,
): string | undefined {
  if (!plaintext.equals(back)) return 'what it decrypts is not what it encrypted'
  if (Buffer.from(encrypted.ciphertext).includes(plaintext)) return 'its ciphertext holds the plaintext'
  if (encrypted.keyId === keyId) return undefined
  // Kubernetes writes nothing with a key that Status does not name.
  return `Encrypt used key ${JSON.stringify(encrypted.keyId)}, but Status names ${JSON.stringify(keyId)}`
}

function median(values: number[]): number {
  values.sort((a, b) => a - b)
  return Math.round(values[values.length >> 1]! * 1000) / 1000
}
