/** Our own remote client against an API server in a process of its own, with the kubeconfig that `up` writes. */

import { loadKubeconfig } from '../../src/kernel/client/kubeconfig.ts'
import { createRemoteClient } from '../../src/kernel/client/remote.ts'
import { clientSuite } from '../../src/kernel/client/suite.ts'
import { startCluster } from '../setup/cluster.ts'

clientSuite('remote client, kubeconfig, another process', async () => {
  const cluster = await startCluster()
  const client = createRemoteClient({ ...(await loadKubeconfig(cluster.kubeconfig)), userAgent: 'rampart-test' })
  return {
    client,
    close: async () => {
      client.close()
      await cluster.stop()
    },
  }
})
