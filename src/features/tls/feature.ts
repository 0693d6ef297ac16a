import type { Feature } from '../../kernel/feature.ts'
import { issuedCertificateExpiry } from './issued/controllers.ts'
import { issuedCertificateKind } from './issued/kind.ts'

/**
 * Certificates of the cluster. Signing, revoking and publishing the trust need the control plane's keys: it runs those
 * controllers itself.
 */
export const tls: Feature = {
  name: 'tls',
  resources: [issuedCertificateKind],
  controllers: [issuedCertificateExpiry],
}
