import type { Feature } from '../kernel/feature.ts'
import { podSecurity } from './pod-security/index.ts'
import { rbac } from './rbac/index.ts'
import { secrets } from './secrets/index.ts'

/** Every feature, in the order in which their authorizers are asked. */
export const features: readonly Feature[] = [rbac, podSecurity, secrets]
