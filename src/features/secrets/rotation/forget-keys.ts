import { CompactedError, type Store } from '../../../kernel/store/store.ts'
import { BUILT_IN, type EncryptionAtRest } from '../encryption/index.ts'
import { survey } from './survey.ts'

/**
 * Removes key-encryption keys from the local key file: those given, or all but the writing one. Refuses (throws, and
 * removes nothing) while an object needs one of them, or while there are objects of which nobody can say. The store's
 * history is compacted first: a read of the past would need the keys. Backups taken before keep needing them.
 */
export async function forgetKeys(
  store: Store,
  encryption: EncryptionAtRest,
  keyIds?: readonly string[],
): Promise<{ forgotten: string[] }> {
  const local = encryption.keys().filter((key) => key.provider === 'kms' && key.name === BUILT_IN)
  const wanted = keyIds ?? local.filter((key) => !key.writes).map((key) => key.keyId!)
  if (wanted.length === 0) return { forgotten: [] }
  const revision = await store.revision()
  const { usage, unreadable } = await survey(store, encryption)
  const needed = usage.filter((u) => u.provider === 'kms' && u.name === BUILT_IN && wanted.includes(u.keyId ?? ''))
  if (needed.length > 0)
    throw new Error(
      `nothing was forgotten: ${needed.map((u) => `key ${u.keyId} protects ${u.objects} ${u.resource}`).join(', ')}; ` +
        'rewrite them first: rampart secrets rotate',
    )
  if (unreadable.length > 0)
    throw new Error(
      `nothing was forgotten: ${unreadable.length} values cannot be read and may need these keys, such as ${unreadable[0]!.key}`,
    )
  await store.compact(revision).catch((error: Error) => {
    if (!(error instanceof CompactedError)) throw error // it is compacted already
  })
  await encryption.forgetLocalKeys(wanted)
  return { forgotten: [...wanted] }
}
