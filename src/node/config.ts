import { readFileSync } from 'node:fs'

/**
 * What the agent of a machine is started with: /etc/rampart/node.json, written by `rampart node add`. Everything else
 * (pod CIDR, peers, pods) it learns from the API server.
 */
export type NodeConfig = {
  /** Name of its Node object; the machine's certificates are for `system:node:NAME`. */
  nodeName: string
  /** https://HOST:PORT of the API server. */
  server: string
  /** PEM bundle that verifies the API server, and the API server's client certificate at port 10250. */
  caFile: string
  /** One-time token for the first CertificateSigningRequest; the agent deletes the file after its first use. */
  bootstrapTokenFile: string
  /** The machine's address (Node status InternalIP); the kubelet API listens on it. */
  nodeAddress: string
  /** Port of the kubelet API. */
  kubeletPort: number
  /** What must survive a restart: `pki/`, `pods/`, `checkpoints/`. 0700. */
  stateFolder: string
  /** Sockets and files that end with the machine's boot. 0700. */
  runFolder: string
  /** containerd's CRI socket. */
  containerRuntimeEndpoint: string
  /** Folder of the CNI plugins, and of their configuration. */
  cniBinFolder: string
  cniConfFolder: string
  /** cgroupfs parent of all pods, e.g. /rampart-NAME: several machines of a lab share one kernel. */
  cgroupParent: string
  /** Logs of containers: FOLDER/NAMESPACE_POD_UID/CONTAINER/N.log in CRI's format. */
  podLogFolder: string
}

/** What `node add` leaves out gets these. */
export const NODE_DEFAULTS: Omit<NodeConfig, 'nodeName' | 'server' | 'nodeAddress'> = {
  caFile: '/etc/rampart/ca.crt',
  bootstrapTokenFile: '/etc/rampart/bootstrap-token',
  kubeletPort: 10250,
  stateFolder: '/var/lib/rampart-node',
  runFolder: '/run/rampart-node',
  containerRuntimeEndpoint: '/run/containerd/containerd.sock',
  cniBinFolder: '/usr/lib/cni',
  cniConfFolder: '/etc/cni/net.d',
  cgroupParent: '/rampart',
  podLogFolder: '/var/log/pods',
}

/** Reads and checks the file; throws an Error that names file and field. */
export function readNodeConfig(file: string): NodeConfig {
  let given: unknown
  try {
    given = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new Error(`${file}: must be an object`)
  const config: Record<string, unknown> = { ...NODE_DEFAULTS, ...given }
  for (const name of ['nodeName', 'server', 'nodeAddress', ...Object.keys(NODE_DEFAULTS)]) {
    const value = config[name]
    if (name === 'kubeletPort') {
      if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 65535)
        throw new Error(`${file}: ${name}: must be a port from 1 to 65535`)
    } else if (typeof value !== 'string' || value === '') throw new Error(`${file}: ${name}: must be a text`)
  }
  const unknown = Object.keys(given).filter(
    (name) => !['nodeName', 'server', 'nodeAddress'].includes(name) && !(name in NODE_DEFAULTS),
  )
  if (unknown.length > 0) throw new Error(`${file}: unknown: ${unknown.join(', ')}`)
  if (!(config['server'] as string).startsWith('https://')) throw new Error(`${file}: server: must begin with https://`)
  return config as NodeConfig
}
