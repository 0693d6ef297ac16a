import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import type { KubeObject } from '../../../kernel/api/object.ts'
import { dialKubelet, wrongIdentity } from '../../../kernel/apiserver/node-proxy/connection.ts'
import { targetOf } from '../../../kernel/apiserver/node-proxy/node-target.ts'
import { createRemoteClient } from '../../../kernel/client/remote.ts'
import type { ControlPlanePki } from '../control-plane-pki.ts'
import type { CertificateText } from '../describe.ts'
import type { Identity } from './attempt.ts'
import type { Target } from './old-protocol.ts'
import type { Link } from './probe.ts'
import { foreignOnly, linkIdentities } from './probe-identities.ts'

export type ClusterLinksOptions = {
  pki: ControlPlanePki
  /** Where the API server listens for machines and clients, as this process reaches it. */
  apiServer: Target
  nodes: readonly KubeObject[]
  /** What a machine has as a client; undefined: not known. */
  kubeletCertificate: (nodeName: string) => CertificateText | undefined
  isRevoked: (serialNumber: string, fingerprint256: string) => boolean
  /** `own`: its authority is the cluster's. Otherwise the files that it was configured with. */
  etcd?: { target: Target } & ({ own: true } | { own: false; ca: string; identity: Identity })
  /** Milliseconds since the epoch. */
  now: number
}

const SELF_REVIEW = {
  method: 'POST',
  path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
  body: '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview","metadata":{}}',
} as const
const NOWHERE = { dns: ['impostor.invalid'] }
const LOOPBACK = { dns: ['localhost'], ip: ['127.0.0.1'] }
const NODES = ['system:nodes']
const MASTERS = ['system:masters']

/** Every link of the cluster that crosses a socket, each way of trust its own row. */
export function clusterLinks(o: ClusterLinksOptions): Link[] {
  return [
    adminLink(o),
    ...o.nodes.flatMap((node) => [kubeletToApiServer(o, node.metadata.name!), apiServerToKubelet(o, node)]),
    ...(o.etcd === undefined ? [] : [o.etcd.own ? ownEtcdLink(o, o.etcd.target) : foreignEtcdLink(o, o.etcd)]),
  ]
}

/** The API server says who it takes the caller for. */
function mustBe(user: string): Link['misjudged'] {
  return (status, body) => {
    if (status !== 201) return `answered ${status}`
    try {
      const review = JSON.parse(body) as { status?: { userInfo?: { username?: string } } }
      const taken = review.status?.userInfo?.username
      return taken === user ? undefined : `taken for ${JSON.stringify(taken)}`
    } catch {
      return 'the answer cannot be read'
    }
  }
}

/** As every client of ours meets an API server. */
const asApiClient =
  (ca: string, identity: Identity): Link['dial'] =>
  async (host, port) => {
    const server = new URL(`https://${host}:${port}`)
    const client = createRemoteClient({ server, ca, ...identity, userAgent: 'rampart-probe' })
    try {
      await client.raw('GET', '/livez')
    } finally {
      client.close()
    }
  }

function adminLink({ pki, apiServer, now }: ClusterLinksOptions): Link {
  const user = 'kubernetes-admin'
  const identities = linkIdentities(
    { client: pki.issuer('client'), wrong: pki.issuer('front-proxy'), server: pki.issuer('api-server') },
    { commonName: user, organizations: MASTERS },
    { commonName: 'kube-apiserver', sans: NOWHERE },
    { commonName: 'kube-apiserver' },
    now,
  )
  const right = pki.leaf('admin')
  return {
    from: 'administrator (kubectl, rampart)',
    to: 'API server',
    target: apiServer,
    ca: pki.rootPem,
    ...identities,
    right,
    request: SELF_REVIEW,
    misjudged: mustBe(user),
    dial: asApiClient(pki.rootPem, right),
  }
}

function kubeletToApiServer(o: ClusterLinksOptions, nodeName: string): Link {
  const { pki, apiServer, now } = o
  const user = `system:node:${nodeName}`
  const identities = linkIdentities(
    { client: pki.issuer('kubelet-client'), wrong: pki.issuer('front-proxy'), server: pki.issuer('api-server') },
    { commonName: user, organizations: NODES },
    { commonName: 'kube-apiserver', sans: NOWHERE },
    { commonName: 'kube-apiserver' },
    now,
  )
  const shown = o.kubeletCertificate(nodeName)
  return {
    from: `kubelet ${nodeName}`,
    to: 'API server',
    target: apiServer,
    ca: pki.rootPem,
    ...identities,
    ...(shown === undefined ? {} : { shown }),
    request: SELF_REVIEW,
    misjudged: mustBe(user),
    dial: asApiClient(pki.rootPem, identities.right),
    remarks: [
      "the machine's key never leaves it: the server is probed with a certificate of the same authority and name that lives two minutes",
      "the client's part is proved with the same program and trust in the control plane, not on the machine",
      ...(shown === undefined ? ["which certificate the machine has is not known: shown is the probe's"] : []),
    ],
  }
}

function apiServerToKubelet({ pki, isRevoked, now }: ClusterLinksOptions, node: KubeObject): Link {
  const nodeName = node.metadata.name!
  const identities = linkIdentities(
    { client: pki.issuer('client'), wrong: pki.issuer('front-proxy'), server: pki.issuer('kubelet-serving') },
    { commonName: 'kube-apiserver-kubelet-client', organizations: MASTERS },
    // It has the address, and is another machine.
    { commonName: `system:node:not-${nodeName}`, organizations: NODES, sans: LOOPBACK },
    { commonName: `system:node:${nodeName}`, organizations: NODES },
    now,
  )
  const right = pki.leaf('api-server-kubelet-client')
  const connection = { ca: () => pki.kubeletServingCaPem, clientCertificate: () => right, isRevoked }
  const target = kubeletTarget(node)
  return {
    from: 'API server',
    to: `kubelet ${nodeName}`,
    target,
    ca: pki.kubeletServingCaPem,
    identify: (leaf) =>
      isRevoked(leaf.serialNumber, leaf.fingerprint256)
        ? 'its certificate is revoked'
        : wrongIdentity(leaf, { nodeName, ...target }),
    ...identities,
    right,
    request: { method: 'GET', path: '/healthz' },
    misjudged: (status) => (status === 200 ? undefined : `answered ${status}`),
    dial: async (host, port) => (await dialKubelet({ nodeName, host, port }, connection)).destroy(),
  }
}

/** A Node without an address cannot be reached, and its row says so. */
function kubeletTarget(node: KubeObject): Target {
  try {
    const { host, port } = targetOf(node)
    return { host, port }
  } catch {
    return { host: 'address-unknown.invalid', port: 10250 }
  }
}

const etcdRequest = { request: { method: 'GET', path: '/version' } as const }
const etcdAnswer: Link['misjudged'] = (status, body) =>
  status === 200 && body.includes('etcdserver') ? undefined : `answered ${status}`
const ETCD = { from: 'API server', to: 'etcd', ...etcdRequest, misjudged: etcdAnswer }
const ETCD_REMARK =
  "the client's part is proved with node's TLS and etcd's authority, as the store's gRPC client uses them"

function ownEtcdLink({ pki, now }: ClusterLinksOptions, target: Target): Link {
  const identities = linkIdentities(
    { client: pki.issuer('etcd'), wrong: pki.issuer('client'), server: pki.issuer('etcd') },
    { commonName: 'kube-apiserver-etcd-client' },
    { commonName: 'etcd', sans: NOWHERE },
    { commonName: 'etcd' },
    now,
  )
  const right = pki.leaf('etcd-client')
  const ca = pki.etcdCaPem
  return { ...ETCD, target, ca, ...identities, right, dial: asTlsClient(ca, right), remarks: [ETCD_REMARK] }
}

function foreignEtcdLink(
  { now }: ClusterLinksOptions,
  { target, ca, identity }: { target: Target; ca: string; identity: Identity },
): Link {
  const like = new X509Certificate(ca)
  const without = "needs a key of that authority, which is not the cluster's"
  return {
    ...ETCD,
    target,
    ca,
    ...foreignOnly(like, new X509Certificate(identity.cert), now),
    wrongAuthority: without,
    right: identity,
    dial: asTlsClient(ca, identity),
    remarks: [ETCD_REMARK],
  }
}

const asTlsClient =
  (ca: string, identity: Identity): Link['dial'] =>
  (host, port) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, ca, ...identity, minVersion: 'TLSv1.2', rejectUnauthorized: true })
      const timer = setTimeout(() => socket.destroy(new Error('no TLS in time')), 10_000)
      socket.once('close', () => clearTimeout(timer))
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        socket.destroy()
        resolve(undefined)
      })
    })
