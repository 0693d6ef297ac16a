import type { Client } from '../client/client.ts'
import { sleep, systemTimers } from '../controller/timers.ts'
import type { ControllerFactory } from '../feature.ts'
import { ifFound, unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { NAMESPACES } from './resource-ids.ts'

export const SYSTEM_NAMESPACES: readonly string[] = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

const CHECK_MS = 60_000
const RETRY_MS = 1000

/** Once, before the server serves: nobody is to find the cluster without them. */
export async function ensureSystemNamespaces(client: Client): Promise<void> {
  for (const name of SYSTEM_NAMESPACES) await ensureNamespace(client, name)
}

async function ensureNamespace(client: Client, name: string): Promise<void> {
  if ((await ifFound(client.get(NAMESPACES, '', name))) !== undefined) return
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  await unless(client.create(NAMESPACES, namespace), 'AlreadyExists')
}

/** Makes the namespaces that everything relies on, and makes them again when they are missing. */
export function systemNamespaces(options: ControllerOptions = {}): ControllerFactory {
  const { timers = systemTimers } = options
  return ({ client, log }) => ({
    name: 'system-namespaces',
    run: async (signal) => {
      while (!signal.aborted) {
        let wait = CHECK_MS
        for (const name of SYSTEM_NAMESPACES) {
          try {
            await ensureNamespace(client, name)
          } catch (error) {
            log('warn', `system-namespaces: ${name}: ${(error as Error).message}`)
            wait = RETRY_MS
          }
        }
        await sleep(timers, wait, signal)
      }
    },
  })
}
