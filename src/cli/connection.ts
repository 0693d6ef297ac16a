import { existsSync } from 'node:fs'
import type { Client } from '../kernel/client/client.ts'
import { loadKubeconfig } from '../kernel/client/kubeconfig.ts'
import { createRemoteClient } from '../kernel/client/remote.ts'
import { clusterPaths } from './cluster.ts'

export type ConnectionOptions = { kubeconfig?: string; context?: string; name?: string; dataDir?: string }

export type Connection = {
  client: Client
  /** Namespace of the kubeconfig's context; 'default' when it names none. */
  namespace: string
}

/**
 * The cluster that a command speaks to, which may be any Kubernetes cluster: `--kubeconfig`; or the one of this machine
 * that `--name` or `--data-dir` names; or $KUBECONFIG; or this machine's default cluster when there is one; or
 * ~/.kube/config. Throws KubeconfigError when nothing usable is there.
 */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { namespace, ...remote } = await loadKubeconfig(kubeconfigFile(options), options.context)
  return { client: createRemoteClient({ ...remote, userAgent: 'rampart' }), namespace }
}

function kubeconfigFile(options: ConnectionOptions): string | undefined {
  if (options.kubeconfig !== undefined) return options.kubeconfig
  const own = clusterPaths(options).kubeconfig
  if (options.name !== undefined || options.dataDir !== undefined) return own
  if (process.env['KUBECONFIG']) return undefined
  return existsSync(own) ? own : undefined
}
