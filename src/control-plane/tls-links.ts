import { readFileSync } from 'node:fs'
import {
  agentReport,
  type CertificateText,
  type ClusterLinksOptions,
  clusterLinks,
  ISSUED_CERTIFICATES,
  issuedCertificateSpec,
  type LinkReport,
  probeLink,
  recordText,
} from '../features/tls/index.ts'
import type { KubeObject } from '../kernel/api/object.ts'
import type { ResourceId } from '../kernel/client/client.ts'
import type { ControlPlane } from './control-plane.ts'
import type { ControlHandler } from './control-socket.ts'
import { LAB_API_PORT } from './settings.ts'

const NODES: ResourceId = { group: '', version: 'v1', resource: 'nodes' }
/** Each probes with up to eight connections. */
const AT_ONCE = 4

/**
 * Probes every link from the control plane's process: it has the cluster's authorities, and in a lab it is the one that
 * stands in the machines' network. A progress message for every link that is done.
 */
export function linksHandler(plane: ControlPlane): ControlHandler {
  return async (_request, progress, signal) => {
    const waiting = clusterLinks(await linksOf(plane))
    const order = waiting.map(({ from, to }) => `${from} ${to}`)
    const reports: LinkReport[] = []
    const work = async (): Promise<void> => {
      for (let link = waiting.shift(); link !== undefined && !signal.aborted; link = waiting.shift()) {
        const report = await probeLink(link)
        reports.push(report)
        progress({ from: report.from, to: report.to, right: report.right })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    reports.sort((a, b) => order.indexOf(`${a.from} ${a.to}`) - order.indexOf(`${b.from} ${b.to}`))
    return { links: reports }
  }
}

async function linksOf({
  pki,
  revocations,
  api,
  settings,
  etcdEndpoints,
  clock,
}: ControlPlane): Promise<ClusterLinksOptions> {
  const { client } = api
  const nodes = (await client.list(NODES)).items
  const kubeletCertificate = clientCertificates((await client.list(ISSUED_CERTIFICATES)).items, nodes)
  const apiServer =
    settings.lab === undefined
      ? { host: reachable(settings.bindAddress), port: api.port }
      : { host: settings.lab.address, port: LAB_API_PORT }
  const [endpoint] = etcdEndpoints
  const etcd = endpoint === undefined ? {} : { etcd: etcdOf(endpoint, settings) }
  return { pki, apiServer, nodes, kubeletCertificate, isRevoked: revocations.isRevoked, ...etcd, now: clock.now() }
}

const reachable = (address: string): string =>
  address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address

function etcdOf(endpoint: string, settings: ControlPlane['settings']): NonNullable<ClusterLinksOptions['etcd']> {
  const { hostname, port } = new URL(endpoint)
  const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
  const { etcdCa, etcdCert, etcdKey } = settings
  if (settings.etcdEndpoints.length === 0) return { target, own: true }
  const text = (file: string | undefined): string => (file === undefined ? '' : readFileSync(file, 'utf8'))
  return { target, own: false, ca: text(etcdCa), identity: { cert: text(etcdCert), key: text(etcdKey) } }
}

/** By machine: the client certificate that it says it uses, or else its newest. */
function clientCertificates(
  records: readonly KubeObject[],
  nodes: readonly KubeObject[],
): (nodeName: string) => CertificateText | undefined {
  return (nodeName) => {
    const own = records
      .filter((record) => {
        const { node, signerName } = issuedCertificateSpec(record)
        return node === nodeName && signerName === 'kubernetes.io/kube-apiserver-client-kubelet'
      })
      .sort((a, b) => (issuedCertificateSpec(a).notAfter < issuedCertificateSpec(b).notAfter ? 1 : -1))
    const node = nodes.find(({ metadata }) => metadata.name === nodeName)
    const used = node && agentReport(node)?.client
    const record = own.find(({ metadata }) => metadata.name === used) ?? own[0]
    return record && recordText(record)
  }
}
