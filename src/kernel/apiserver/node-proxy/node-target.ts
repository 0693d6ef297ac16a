import type { KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import type { ApiCore } from '../core.ts'
import { current } from '../verbs/update.ts'
import { dialFailure, type NodeConnection, type NodeTarget } from './connection.ts'

type NodeStatus = {
  addresses?: { type: string; address: string }[]
  daemonEndpoints?: { kubeletEndpoint?: { Port?: number } }
}

/** In the order that kube-apiserver's --kubelet-preferred-address-types has in practice: what needs no DNS first. */
const PREFERRED = ['InternalIP', 'ExternalIP', 'InternalDNS', 'Hostname', 'ExternalDNS']
const KUBELET_PORT = 10250

/** Where the node says that its kubelet listens; what it says is trusted only as far as its certificate bears it out. */
export function targetOf(node: KubeObject): NodeTarget {
  const nodeName = node.metadata.name ?? ''
  const { addresses = [], daemonEndpoints } = (node['status'] ?? {}) as NodeStatus
  for (const type of PREFERRED) {
    const found = addresses.find((address) => address.type === type)
    if (found !== undefined)
      return { nodeName, host: found.address, port: daemonEndpoints?.kubeletEndpoint?.Port || KUBELET_PORT }
  }
  throw dialFailure(`node ${JSON.stringify(nodeName)} has no address`)
}

export async function nodeTarget(
  core: ApiCore,
  nodeName: string,
): Promise<{ target: NodeTarget; connection: NodeConnection }> {
  const unreachable = new ApiError(
    'ServiceUnavailable',
    `node ${JSON.stringify(nodeName)} has no kubelet that this API server can reach`,
  )
  if (core.kubelet === undefined) throw unreachable
  const kind = core.kinds.get('', 'v1', 'nodes')
  const entry = kind === undefined ? undefined : await current(core, kind, '', nodeName)
  if (entry === undefined) throw unreachable
  return { target: targetOf(entry.shared()), connection: core.kubelet }
}
