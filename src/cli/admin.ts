import type { Client } from '../kernel/client/client.ts'
import { loadKubeconfig } from '../kernel/client/kubeconfig.ts'
import { createRemoteClient } from '../kernel/client/remote.ts'
import type { ClusterPaths } from './cluster.ts'

export type AdminClient = { client: Client; get: (path: string) => Promise<unknown> }

/** A client with the administrator's kubeconfig. */
export async function adminClient(paths: ClusterPaths): Promise<AdminClient> {
  const client = createRemoteClient({ ...(await loadKubeconfig(paths.kubeconfig)), userAgent: 'rampart' })
  return { client, get: (path) => client.raw('GET', path) }
}

/** PEM of the roots that are trusted now, both of them while the authorities are rotated. */
export async function clusterCa(paths: ClusterPaths): Promise<string> {
  const { ca } = await loadKubeconfig(paths.kubeconfig)
  if (ca === undefined) throw new Error(`${paths.kubeconfig} names no certificate authority`)
  return ca
}
