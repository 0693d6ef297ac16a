import type { Feature } from '../kernel/feature.ts'
import { nodes } from './nodes/index.ts'
import { podSecurity } from './pod-security/index.ts'
import { rbac } from './rbac/index.ts'
import { secrets } from './secrets/index.ts'
import { tls } from './tls/index.ts'

/** Every feature, in the order in which their authorizers are asked. */
export const features: readonly Feature[] = [nodes, rbac, podSecurity, secrets, tls]
