export {
  type ConfigurationEntry,
  type EncryptionConfiguration,
  type ProviderConfiguration,
  parseEncryptionConfiguration,
} from './configuration.ts'
export { kmsHeader } from './kms-provider.ts'
export { CREATED_ANNOTATION, type LocalKeyFile, openLocalKeyFile } from './local-key-file.ts'
export { BUILT_IN, type EncryptionOptions, openEncryption } from './open.ts'
export * from './types.ts'
