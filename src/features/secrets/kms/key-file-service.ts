import type { Log } from '../../../kernel/feature.ts'
import { EncryptionError, type KeyService } from '../encryption/types.ts'

/** The part of a local key file that serving it needs. */
export type ReloadableKeys = KeyService & { readonly file: string; reload: () => boolean }

/**
 * A local key file for a process that lives long: what another process changes in the file counts at the next call.
 * While the file is gone or broken the service is unhealthy and wraps nothing, because the key might not outlive the
 * process; it goes on unwrapping with the keys that it has.
 */
export function followKeyFile(keys: ReloadableKeys, log: Log): KeyService {
  let broken: string | undefined
  const reload = async (): Promise<string | undefined> => {
    const before = broken
    try {
      if (keys.reload()) log('info', 'key file has changed', { file: keys.file, keyId: (await keys.status()).keyId })
      broken = undefined
    } catch (error) {
      if (!(error instanceof EncryptionError)) throw error
      broken = error.message
    }
    if (broken !== undefined && broken !== before) log('error', 'key file cannot be read again', { error: broken })
    if (broken === undefined && before !== undefined) log('info', 'key file can be read again', { file: keys.file })
    return broken
  }
  return {
    name: keys.name,
    status: async () => {
      const wrong = await reload()
      const status = await keys.status()
      return wrong === undefined ? status : { ...status, healthz: wrong }
    },
    encrypt: async (plaintext, uid) => {
      const wrong = await reload()
      if (wrong !== undefined) throw new EncryptionError(wrong)
      return keys.encrypt(plaintext, uid)
    },
    decrypt: async (request) => {
      await reload()
      return keys.decrypt(request)
    },
    close: () => keys.close(),
  }
}
