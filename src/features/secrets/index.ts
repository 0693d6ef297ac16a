import type { Feature } from '../../kernel/feature.ts'
import { lintAdmission } from './lint/index.ts'

export * from './encryption/index.ts'
export * from './kms/index.ts'
export * from './rotation/index.ts'

/** Secrets: encrypted at rest (the control plane asks for that before the API serves), and found where they are plain text. */
export const secrets: Feature = {
  name: 'secrets',
  admission: (context) => [lintAdmission(context)],
}
