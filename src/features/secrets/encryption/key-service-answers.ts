import { type DataKeySource, HKDF_SHA256_XNONCE_AES_GCM_SEED, wrongKeyId, wrongSource } from './encrypted-object.ts'
import { EncryptionError, type KeyService } from './types.ts'

/** An unwrapped data key is 32 bytes; what is longer than this is no data key. */
const MAX_DATA_KEY_BYTES = 1024
const VERSIONS: readonly string[] = ['v2', 'v2beta1']

export type CheckedKeyService = {
  readonly name: string
  /** The id of the key-encryption key in use. Rejects when the plugin is not healthy. */
  status: () => Promise<string>
  wrap: (key: Uint8Array, uid: string) => Promise<DataKeySource>
  unwrap: (source: DataKeySource, uid: string) => Promise<Uint8Array>
  close: () => void
}

/**
 * Trusts no answer of a plugin: every one comes within the time limit, has Kubernetes' form and limits
 * (kmsv2/envelope.go, encryptionconfig/config.go), or the call rejects with an EncryptionError that names the plugin.
 */
export function checkAnswers(service: KeyService, timeoutMs: number): CheckedKeyService {
  const wrong = (what: string): EncryptionError => new EncryptionError(`kms plugin ${service.name}: ${what}`)
  let version: string | undefined

  const call = async <T>(what: string, answer: () => Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(wrong(`${what} took longer than ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      return await Promise.race([answer(), late])
    } catch (error) {
      if (error instanceof EncryptionError && error.message.startsWith(`kms plugin ${service.name}`)) throw error
      throw wrong(`${what} failed: ${excerpt(error instanceof Error ? error.message : String(error))}`)
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    name: service.name,
    status: async () => {
      const answer = await call('Status', () => service.status())
      if (answer.healthz !== 'ok') throw wrong(`it is not healthy: ${excerpt(answer.healthz) || '(no reason given)'}`)
      if (!VERSIONS.includes(answer.version)) {
        throw wrong(`it speaks version ${excerpt(answer.version) || '(none given)'}, not v2`)
      }
      version ??= answer.version
      if (answer.version !== version) throw wrong(`its version changed from ${version} to ${answer.version}`)
      const keyId = wrongKeyId(answer.keyId)
      if (keyId !== undefined) throw wrong(`the answer to Status is wrong: ${keyId}`)
      return answer.keyId
    },
    wrap: async (key, uid) => {
      const { ciphertext, keyId, annotations } = await call('Encrypt', () => service.encrypt(key, uid))
      const source = { keyId, ciphertext, annotations, type: HKDF_SHA256_XNONCE_AES_GCM_SEED }
      const reason = wrongSource(source)
      if (reason !== undefined) throw wrong(`the answer to Encrypt is wrong: ${reason}`)
      return source
    },
    unwrap: async ({ ciphertext, keyId, annotations }, uid) => {
      const plain = await call('Decrypt', () => service.decrypt({ ciphertext, keyId, annotations, uid }))
      if (plain.length === 0 || plain.length > MAX_DATA_KEY_BYTES) {
        throw wrong(`the answer to Decrypt is wrong: ${plain.length} bytes are no data key`)
      }
      return plain
    },
    close: () => service.close(),
  }
}

/** Foreign text, fit for a message: one line of at most 200 characters. */
export function excerpt(text: string): string {
  const line = text
    .slice(0, 1000)
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .trim()
  return line.length <= 200 ? line : `${line.slice(0, 200)}…`
}
