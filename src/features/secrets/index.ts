export * from './encryption/index.ts'
export * from './kms/index.ts'
export * from './rotation/index.ts'
