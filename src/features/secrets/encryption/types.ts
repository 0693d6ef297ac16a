import type { ValueTransformer } from '../../../kernel/apiserver/cache/watch-cache.ts'

/** How one stored value is protected, as its header tells. Nothing is decrypted for it. */
export type Protection = {
  provider: 'identity' | 'aesgcm' | 'aescbc' | 'secretbox' | 'kms'
  /** The key's name in the EncryptionConfiguration, the plugin's for `kms`, '' for `identity`. */
  name: string
  /** `kms`: id of the key-encryption key that wraps the data key. */
  keyId?: string
  /** `kms`: names the data key: the first 16 hex digits of the SHA-256 of its wrapped form. */
  dataKey?: string
  /** `kms`: when the data key was made, where the plugin noted it; milliseconds since the epoch. */
  dataKeyCreated?: number
}

/** A key that the configuration in force knows, or that a plugin said it uses. */
export type KnownKey = Omit<Protection, 'dataKey' | 'dataKeyCreated'> & {
  /** Resources as the configuration writes them, e.g. `secrets`, `*.apps`. */
  resources: readonly string[]
  /** Writes use it now. */
  writes: boolean
  /** Local key file: when the key was made. */
  created?: number
  /** `kms`: the data key that writes use now. */
  dataKey?: { id: string; created: number; uses: number }
  /** `kms`: 'ok', or what the plugin last said or failed with. */
  health?: string
}

/**
 * Encryption at rest, in Kubernetes' stored formats (`k8s:enc:<provider>:v1:<key>:`, `k8s:enc:kms:v2:<plugin>:`), so
 * that any API server with the same configuration and keys reads what is written here. Associated data is the storage
 * key: a value moved to another key does not decrypt.
 */
export type EncryptionAtRest = ValueTransformer & {
  /** Throws EncryptionError for a header that makes no sense. */
  protectionOf: (value: Uint8Array) => Protection
  /** Whether a write of the same object today would use another provider, key, key-encryption key or data key. */
  isStale: (value: Uint8Array, storageKey: string) => boolean
  keys: () => readonly KnownKey[]
  /** Makes new data keys now: everything written before is stale after. */
  rotateDataKeys: () => Promise<void>
  /** Adds a key to the local key file and writes with it from now on. Refuses when writes do not use the local file. */
  rotateLocalKey: () => Promise<{ keyId: string }>
  /** Removes keys from the local key file; the caller has made sure that nothing needs them. Never the writing one. */
  forgetLocalKeys: (keyIds: readonly string[]) => Promise<void>
  /**
   * Looks at the files and asks the plugins that write, now, so that `isStale` goes by today's keys. Rejects with the
   * reason when these cannot be known.
   */
  refresh: () => Promise<void>
  /** What keeps the files from being in force as they are now; empty when nothing does. */
  troubles: () => readonly string[]
  /** Ends watching of files and plugins. */
  close: () => Promise<void>
}

/** A KMS v2 plugin (k8s.io/kms/apis/v2), over a socket or in this process. */
export type KeyService = {
  /** Name in the EncryptionConfiguration. */
  readonly name: string
  status: () => Promise<{ version: string; healthz: string; keyId: string }>
  encrypt: (
    plaintext: Uint8Array,
    uid: string,
  ) => Promise<{ ciphertext: Uint8Array; keyId: string; annotations: Record<string, Uint8Array> }>
  decrypt: (request: {
    ciphertext: Uint8Array
    keyId: string
    annotations: Record<string, Uint8Array>
    uid: string
  }) => Promise<Uint8Array>
  close: () => void
}

/** What cannot be read or written, with the storage key or the plugin; never a value. */
export class EncryptionError extends Error {
  override readonly name = 'EncryptionError'
}

/** The configuration is wrong; the message names file and line. */
export class EncryptionConfigurationError extends Error {
  override readonly name = 'EncryptionConfigurationError'
}
