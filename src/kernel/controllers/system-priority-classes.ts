import type { Client } from '../client/client.ts'
import { sleep, systemTimers } from '../controller/timers.ts'
import type { ControllerFactory } from '../feature.ts'
import { SYSTEM_CLASSES } from '../resources/kinds/priorityclass.ts'
import { ifFound, unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { PRIORITY_CLASSES } from './resource-ids.ts'

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  'system-node-critical': 'For pods that a node cannot do without.',
  'system-cluster-critical': 'For pods that the cluster cannot do without, on whatever node.',
}

const CHECK_MS = 60_000
const RETRY_MS = 1000

/** Makes the two classes that Kubernetes itself defines, and makes them again when they are missing. */
export function systemPriorityClasses(options: ControllerOptions = {}): ControllerFactory {
  const { timers = systemTimers } = options
  return ({ client, log }) => ({
    name: 'system-priority-classes',
    run: async (signal) => {
      while (!signal.aborted) {
        let wait = CHECK_MS
        for (const [name, value] of Object.entries(SYSTEM_CLASSES)) {
          try {
            await ensure(client, name, value)
          } catch (error) {
            log('warn', `system-priority-classes: ${name}: ${(error as Error).message}`)
            wait = RETRY_MS
          }
        }
        await sleep(timers, wait, signal)
      }
    },
  })
}

async function ensure(client: Client, name: string, value: number): Promise<void> {
  if ((await ifFound(client.get(PRIORITY_CLASSES, '', name))) !== undefined) return
  const priorityClass = {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name },
    value,
    description: DESCRIPTIONS[name],
  }
  await unless(client.create(PRIORITY_CLASSES, priorityClass), 'AlreadyExists')
}
