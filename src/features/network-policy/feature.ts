import type { Feature } from '../../kernel/feature.ts'
import { clusterNetworkPolicyKind } from './kind.ts'

/** NetworkPolicy itself is a kind of the kernel's. */
export const networkPolicy: Feature = {
  name: 'network-policy',
  resources: [clusterNetworkPolicyKind],
}
