import { REGISTRY } from '../../../kernel/apiserver/cache/watch-cache.ts'
import type { Store } from '../../../kernel/store/store.ts'
import type { EncryptionAtRest } from '../encryption/index.ts'

/**
 * Deletes stored values that nobody can read, which the API can neither show nor delete. Throws, having deleted those
 * before it, at the first key that is absent or can be read: what can be read is deleted through the API, whose rules
 * and finalizers it is under.
 */
export async function discardUnreadable(
  store: Store,
  encryption: EncryptionAtRest,
  keys: readonly string[],
): Promise<{ discarded: string[] }> {
  const discarded: string[] = []
  for (const key of keys) {
    if (!key.startsWith(REGISTRY)) throw new Error(`${key} is not the key of a stored object`)
    const [kv] = (await store.range({ key })).kvs
    if (kv === undefined) throw new Error(`${key} is not there`)
    if (await isReadable(encryption, kv.value, key)) throw new Error(`${key} can be read: delete it with kubectl`)
    const sick = sicknessOf(encryption, kv.value)
    if (sick !== undefined) throw new Error(`${key} may be readable when its key service is well again: ${sick}`)
    const { succeeded } = await store.txn({
      compare: [{ key, modRevision: kv.modRevision }],
      success: [{ type: 'delete', key }],
    })
    if (!succeeded) throw new Error(`${key} was changed meanwhile: look again`)
    discarded.push(key)
  }
  return { discarded }
}

/** What is wrong with the key service that the value needs. */
function sicknessOf(encryption: EncryptionAtRest, value: Uint8Array): string | undefined {
  try {
    const { provider, name } = encryption.protectionOf(value)
    if (provider !== 'kms') return undefined
    return encryption.keys().find((key) => key.provider === 'kms' && key.name === name && key.health !== 'ok')?.health
  } catch {
    return undefined // it is no value of any key service
  }
}

async function isReadable(encryption: EncryptionAtRest, value: Uint8Array, key: string): Promise<boolean> {
  let plain: Uint8Array
  try {
    plain = await encryption.fromStorage(value, key)
  } catch {
    return false
  }
  try {
    JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString('utf8'))
    return true
  } catch {
    return false
  }
}
