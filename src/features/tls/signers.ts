import type { ExtendedKeyUsage, KeyUsage, SubjectAltNames } from './certificate.ts'

/** The signers of certificates.k8s.io that a cluster serves itself. */
export const SIGNERS = [
  'kubernetes.io/kube-apiserver-client',
  'kubernetes.io/kube-apiserver-client-kubelet',
  'kubernetes.io/kubelet-serving',
] as const
export type SignerName = (typeof SIGNERS)[number]

export const isSignerName = (name: string): name is SignerName => (SIGNERS as readonly string[]).includes(name)

/** What a signer looks at: the request as parsed, its signature already verified. */
export type RequestedCertificate = {
  commonName: string
  organizations: readonly string[]
  sans: Required<SubjectAltNames>
}

/** spec.usages of a CertificateSigningRequest to X.509; only those which the signers above may grant. */
export const USAGES: Readonly<Record<string, { usage: KeyUsage } | { extended: ExtendedKeyUsage }>> = {
  'digital signature': { usage: 'digitalSignature' },
  'key encipherment': { usage: 'keyEncipherment' },
  'client auth': { extended: 'clientAuth' },
  'server auth': { extended: 'serverAuth' },
}

const NODE_PREFIX = 'system:node:'

/**
 * Kubernetes' rules for each signer (documentation "Certificate Signing Requests", section Kubernetes signers).
 * Returns what is wrong; undefined when the request may be signed. The sentences are those of Kubernetes where it has
 * one.
 */
export function signerRefusal(
  signer: SignerName,
  request: RequestedCertificate,
  usages: readonly string[],
): string | undefined {
  switch (signer) {
    case 'kubernetes.io/kube-apiserver-client':
      return clientUsageRefusal(usages)
    case 'kubernetes.io/kube-apiserver-client-kubelet':
      return kubeletClientRefusal(request, usages)
    case 'kubernetes.io/kubelet-serving':
      return kubeletServingRefusal(request, usages)
  }
}

function clientUsageRefusal(usages: readonly string[]): string | undefined {
  const foreign = usages.find((u) => u !== 'digital signature' && u !== 'key encipherment' && u !== 'client auth')
  if (foreign !== undefined) return `invalid usage for client certificate: ${foreign}`
  if (!usages.includes('client auth')) return 'missing required usage for client certificate: client auth'
  return undefined
}

function kubeletClientRefusal(request: RequestedCertificate, usages: readonly string[]): string | undefined {
  const { sans } = request
  if (!isNodesOrganization(request)) return 'subject organization is not system:nodes'
  if (sans.dns.length > 0) return 'DNS subjectAltNames are not allowed'
  if (sans.email.length > 0) return 'Email subjectAltNames are not allowed'
  if (sans.ip.length > 0) return 'IP subjectAltNames are not allowed'
  if (sans.uri.length > 0) return 'URI subjectAltNames are not allowed'
  if (!namesNode(request)) return 'subject common name does not begin with system:node:'
  return exactUsages(usages, 'client auth')
}

function kubeletServingRefusal(request: RequestedCertificate, usages: readonly string[]): string | undefined {
  const { sans } = request
  if (!isNodesOrganization(request)) return 'subject organization is not system:nodes'
  if (sans.dns.length === 0 && sans.ip.length === 0) return 'DNS or IP subjectAltName is required'
  if (sans.email.length > 0) return 'Email subjectAltNames are not allowed'
  if (sans.uri.length > 0) return 'URI subjectAltNames are not allowed'
  const wrongUsages = exactUsages(usages, 'server auth')
  if (wrongUsages !== undefined) return wrongUsages
  return namesNode(request) ? undefined : 'subject common name does not begin with system:node:'
}

const isNodesOrganization = (request: RequestedCertificate): boolean =>
  request.organizations.length === 1 && request.organizations[0] === 'system:nodes'

/** A bare prefix names no node: refused here, although Kubernetes lets it pass. */
const namesNode = (request: RequestedCertificate): boolean =>
  request.commonName.startsWith(NODE_PREFIX) && request.commonName.length > NODE_PREFIX.length

function exactUsages(usages: readonly string[], purpose: 'client auth' | 'server auth'): string | undefined {
  const asked = new Set(usages)
  asked.delete('key encipherment') // needed by RSA keys only
  if (asked.size === 2 && asked.has('digital signature') && asked.has(purpose)) return undefined
  // As Go prints a sorted list.
  return `usages did not match [${['digital signature', 'key encipherment', purpose].sort().join(' ')}]`
}
