import { KmsProvider } from './kms-provider.ts'
import type { LocalKeyFile } from './local-key-file.ts'
import type { KeyUse } from './ruleset.ts'
import type { KnownKey } from './types.ts'

/** One entry per key; for a plugin one per key-encryption key that it has or said it uses. */
export function knownKeys(
  uses: readonly KeyUse[],
  builtIn: { file: LocalKeyFile; provider: KmsProvider } | undefined,
): readonly KnownKey[] {
  return uses.flatMap(({ provider, name, resources, writes, key }): KnownKey[] => {
    if (!(key instanceof KmsProvider)) return [{ provider, name, resources, writes }]
    const { state, keyIds, health } = key.writeKey
    const dataKey = state && { id: state.key.id, created: state.created, uses: state.uses }
    const shared = { provider, name, resources }
    const local = key === builtIn?.provider ? builtIn.file.keys() : undefined
    if (local === undefined && keyIds.length === 0) return [{ ...shared, writes, health }]
    const ids: readonly { id: string; created?: number }[] = local ?? keyIds.map((id) => ({ id }))
    return ids.map(({ id, created }, i) => ({
      ...shared,
      keyId: id,
      writes: writes && i === 0,
      ...(created === undefined ? {} : { created }),
      ...(writes && dataKey && state.key.keyId === id ? { dataKey } : {}),
      ...(local !== undefined && !writes ? {} : { health }),
    }))
  })
}
