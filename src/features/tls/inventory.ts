import type { X509Certificate } from 'node:crypto'
import type { KubeObject } from '../../kernel/api/object.ts'
import { type CertificateText, describeCertificate, issuerKeyId, serialName } from './describe.ts'
import { specOf } from './issued/kind.ts'
import { CONTROL_PLANE_SIGNER, recordText } from './issued/record.ts'
import { type AgentReport, agentReport } from './trust/bundle.ts'

export type CertificateState =
  | 'valid'
  | 'not-yet-valid'
  | 'expired'
  | 'revoked'
  /** Valid by its dates; whose it is has a newer one. */
  | 'replaced'

/** A certificate of the cluster. */
export type InventoryItem = CertificateText & {
  /** `ca/…`, `control-plane/…`, `node/…` or `user/…`, and what it is for. */
  name: string
  purpose: string
  /** File, machine or request. */
  where: string
  state: CertificateState
  /** Its authority is being retired. */
  retiring: boolean
  node: string
  commonName: string
}

export type World = {
  authorities: readonly { generation: number; name: string; certificate: X509Certificate }[]
  /** The control plane's own certificates as they are used now. */
  leaves: readonly { name: string; file: string; certificate: X509Certificate }[]
  /** IssuedCertificates. */
  records: readonly KubeObject[]
  nodes: readonly KubeObject[]
  /** Key identifiers of authorities that are only trusted still. */
  oldAuthorities: readonly string[]
  isRevoked: (serialNumber: string, fingerprint256: string) => boolean
  /** Milliseconds since the epoch. */
  now: number
}

const SERVING = 'kubernetes.io/kubelet-serving'

/** Every certificate that is known: authorities first, then by name and age. */
export function inventory(world: World): InventoryItem[] {
  const reports = new Map(world.nodes.map((node) => [node.metadata.name!, agentReport(node)]))
  const current = new Set(world.leaves.map(({ certificate }) => serialName(certificate.serialNumber)))
  const state = (text: CertificateText, replaced: boolean): CertificateState => {
    if (world.isRevoked(text.serial, '')) return 'revoked'
    if (Date.parse(text.notAfter) <= world.now) return 'expired'
    if (Date.parse(text.notBefore) > world.now) return 'not-yet-valid'
    return replaced ? 'replaced' : 'valid'
  }
  const authorities = world.authorities.map(({ generation, name, certificate }): InventoryItem => {
    const text = describeCertificate(certificate)
    const oldest = Math.min(...world.authorities.map((a) => a.generation))
    return {
      ...text,
      name: `ca/${name}${generation === 1 ? '' : `-g${generation}`}`,
      purpose: name === 'root' ? 'root of trust' : `signs for ${name}`,
      where: 'pki folder',
      state: state(text, false),
      retiring: world.oldAuthorities.length > 0 && generation === oldest,
      node: '',
      commonName: commonName(certificate),
    }
  })
  const own = world.leaves.map(({ name, file, certificate }): InventoryItem => {
    const text = describeCertificate(certificate)
    const retiring = world.oldAuthorities.includes(issuerKeyId(certificate))
    return {
      ...text,
      name: `control-plane/${name}`,
      purpose: 'control plane',
      where: file,
      state: state(text, false),
      retiring,
      node: '',
      commonName: commonName(certificate),
    }
  })
  const issued = world.records
    .filter(({ metadata }) => !current.has(metadata.name!))
    .map((record): InventoryItem => {
      const spec = specOf(record)
      const text = recordText(record)
      const replaced = isReplaced(record, reports)
      const kept = spec.revokedAt === undefined ? state(text, replaced) : 'revoked'
      return {
        ...text,
        name: nameOf(record),
        purpose: spec.signerName === CONTROL_PLANE_SIGNER ? 'control plane' : spec.signerName,
        where: placeOf(record),
        state: kept,
        retiring: world.oldAuthorities.includes(spec.issuerKeyId),
        node: spec.node,
        commonName: spec.commonName,
      }
    })
    .sort((a, b) => (a.name === b.name ? (a.notAfter < b.notAfter ? 1 : -1) : a.name < b.name ? -1 : 1))
  return [...authorities, ...own, ...issued]
}

const commonName = ({ subject }: X509Certificate): string => /(?:^|\n)CN=(.+)/.exec(subject)?.[1] ?? ''

function nameOf(record: KubeObject): string {
  const { signerName, node, request, commonName: user } = specOf(record)
  if (signerName === CONTROL_PLANE_SIGNER) return `control-plane/${request}`
  if (node !== '') return `node/${node}/${signerName === SERVING ? 'serving' : 'client'}`
  return `user/${user}`
}

function placeOf(record: KubeObject): string {
  const { signerName, node, request, requestedBy } = specOf(record)
  if (signerName === CONTROL_PLANE_SIGNER) return requestedBy
  return node === '' ? `${request} of ${requestedBy}` : `machine ${node}`
}

/** What a machine says of itself, or what the control plane knows: it uses another certificate for this. */
function isReplaced(record: KubeObject, reports: ReadonlyMap<string, AgentReport | undefined>): boolean {
  const { signerName, node } = specOf(record)
  if (signerName === CONTROL_PLANE_SIGNER) return true
  const report = reports.get(node)
  if (node === '' || report === undefined) return false
  return (signerName === SERVING ? report.serving : report.client) !== record.metadata.name
}
