export { CREATED_ANNOTATION, type LocalKeyFile, openLocalKeyFile } from './local-key-file.ts'
export * from './types.ts'
