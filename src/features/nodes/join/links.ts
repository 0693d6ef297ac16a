import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../../kernel/client/client.ts'
import type { Clock } from '../../../kernel/feature.ts'
import { getLease, isFresh } from './node-state.ts'

const STARTING_MS = 20_000

/**
 * Both directions, each proved by what only a verified connection can bring about: the API server verifies the kubelet's
 * certificate before it passes a request on, and the Lease is the kubelet's own write. Throws an Error that names the link.
 */
export async function probeLinks(
  client: Client,
  nodeName: string,
  leaseBefore: string | undefined,
  clock: Clock,
  probeKubelet: (nodeName: string) => Promise<void> = (name) => kubeletIsHealthy(client, name),
): Promise<void> {
  await probeKubelet(nodeName).catch((error: Error) => {
    throw new Error(`API server → kubelet: ${error.message}`)
  })
  const lease = await getLease(client, nodeName)
  const spoke = lease?.metadata.resourceVersion !== leaseBefore || isFresh(lease, clock.now())
  if (lease === undefined || !spoke || lease['spec']?.holderIdentity !== nodeName)
    throw new Error('kubelet → API server: the Lease of the Node is not renewed by its own kubelet')
}

/** An agent that was just started (a machine that was off) needs a moment; a wrong certificate is no matter of time. */
async function kubeletIsHealthy(client: Client, nodeName: string): Promise<void> {
  const deadline = performance.now() + STARTING_MS
  for (;;) {
    try {
      return await askKubelet(client, nodeName)
    } catch (error) {
      if (!/ECONNREFUSED|no kubelet/.test((error as Error).message) || performance.now() > deadline) throw error
      await sleep(200)
    }
  }
}

async function askKubelet(client: Client, nodeName: string): Promise<void> {
  const answer = await client.raw('GET', `/api/v1/nodes/${nodeName}/proxy/healthz`)
  if (typeof answer !== 'string' || answer.trim() !== 'ok')
    throw new Error('the kubelet does not say that it is healthy')
}
