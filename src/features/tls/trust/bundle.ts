import { X509Certificate } from 'node:crypto'
import type { KubeObject } from '../../../kernel/api/object.ts'
import type { ResourceId } from '../../../kernel/client/client.ts'

export const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
export const TRUST_NAMESPACE = 'kube-public'
export const TRUST_NAME = 'rampart-trust'
/** On its Node: which roots an agent trusts and which certificates it uses (JSON, AgentReport). */
export const AGENT_ANNOTATION = 'tls.rampart.dev/agent'

/** What every machine must know of the cluster's authorities. */
export type ClusterTrust = {
  /** PEM of the trusted roots. */
  ca: string
  /** PEM of the anchors of client certificates at kubelets. */
  clientCa: string
  /** Key identifiers of the authorities that sign now: a certificate of another one is to be renewed. */
  authorities: readonly string[]
  /** Serial numbers that no longer count, lower-case hexadecimal. */
  revoked: readonly string[]
  /** Milliseconds since the epoch: certificates that were issued before are to be renewed. */
  renewIssuedBefore: number
}

export type AgentReport = {
  /** SHA-256 fingerprints of the roots that it trusts. */
  trusts: string[]
  /** Serial numbers of the certificates in use, as IssuedCertificates are named. */
  client: string
  serving: string
}

export function trustData(trust: ClusterTrust): Record<string, string> {
  return {
    'ca.crt': trust.ca,
    'client-ca.crt': trust.clientCa,
    authorities: trust.authorities.join('\n'),
    revoked: trust.revoked.join('\n'),
    ...(trust.renewIssuedBefore === 0
      ? {}
      : { 'renew-issued-before': new Date(trust.renewIssuedBefore).toISOString() }),
  }
}

const MAX_CERTIFICATES = 32
const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** Fingerprints of the authorities in a bundle. Throws an Error for what is no bundle of a few authorities. */
export function bundleFingerprints(pem: string): string[] {
  const blocks = pem.length > 256 * 1024 ? [] : (pem.match(BLOCK) ?? [])
  if (blocks.length === 0 || blocks.length > MAX_CERTIFICATES)
    throw new Error(`a bundle must have 1 to ${MAX_CERTIFICATES} certificates`)
  return blocks.map((block) => {
    const certificate = new X509Certificate(block)
    if (!certificate.ca) throw new Error('a bundle holds a certificate that is not an authority')
    return certificate.fingerprint256
  })
}

/** Throws an Error that names the field. */
export function parseTrust(object: KubeObject): ClusterTrust {
  const data = (object['data'] ?? {}) as Record<string, string | undefined>
  for (const name of ['ca.crt', 'client-ca.crt'])
    try {
      bundleFingerprints(data[name] ?? '')
    } catch (error) {
      throw new Error(`${TRUST_NAMESPACE}/${TRUST_NAME}: ${name}: ${(error as Error).message}`)
    }
  const words = (name: string): string[] =>
    (data[name] ?? '').split('\n').filter((word) => /^[0-9a-f]{1,64}$/.test(word))
  const before = Date.parse(data['renew-issued-before'] ?? '')
  return {
    ca: data['ca.crt']!,
    clientCa: data['client-ca.crt']!,
    authorities: words('authorities'),
    revoked: words('revoked'),
    renewIssuedBefore: Number.isFinite(before) ? before : 0,
  }
}

/** undefined: the agent has not reported, or not readably. */
export function agentReport(node: KubeObject): AgentReport | undefined {
  const text = (node.metadata.annotations as Record<string, string> | undefined)?.[AGENT_ANNOTATION]
  if (text === undefined || text.length > 16 * 1024) return undefined
  try {
    const { trusts, client, serving } = JSON.parse(text) as AgentReport
    if (!Array.isArray(trusts) || typeof client !== 'string' || typeof serving !== 'string') return undefined
    return { trusts: trusts.map(String), client, serving }
  } catch {
    return undefined
  }
}
