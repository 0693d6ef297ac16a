import type { KubeObject } from '../api/object.ts'
import type { ListOptions, ResourceId } from '../client/client.ts'
import { sleep, systemTimers } from '../controller/timers.ts'
import type { ControllerFactory } from '../feature.ts'
import { unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'

export type SweepOptions = ControllerOptions & {
  name: string
  resource: ResourceId
  select?: Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'>
  periodMs: number
  /** Why the object is to go, or undefined to keep it. `now` in milliseconds since the epoch. */
  reason: (object: KubeObject, now: number) => string | undefined
}

const PAGE = 500

/**
 * A controller that looks through a collection every `periodMs` and deletes what has outlived its use. An object that is
 * written in the meantime stays (precondition on its resourceVersion) and is judged anew in the next round.
 */
export function sweeper(options: SweepOptions): ControllerFactory {
  const { name, resource, periodMs, timers = systemTimers } = options
  return ({ client, clock, log }) => {
    const sweep = async (signal: AbortSignal): Promise<void> => {
      let next: string | undefined
      do {
        const page = await client.list(resource, { ...options.select, limit: PAGE, ...(next && { continue: next }) })
        next = page.metadata.continue
        for (const object of page.items) {
          if (signal.aborted) return
          const reason = options.reason(object, clock.now())
          if (reason === undefined) continue
          const { namespace = '', name, uid, resourceVersion } = object.metadata
          const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) }
          await unless(client.delete(resource, namespace, name!, { preconditions }), 'NotFound', 'Conflict')
          log('debug', `${options.name}: deleted ${namespace === '' ? '' : `${namespace}/`}${name}: ${reason}`)
        }
      } while (next !== undefined && next !== '')
    }
    return {
      name,
      run: async (signal) => {
        while (!signal.aborted) {
          // A list that expired while it was paged, or a server that is away: the next round looks at everything again.
          await sweep(signal).catch((error: Error) => {
            if (!signal.aborted) log('warn', `${name}: ${error.message}`)
          })
          await sleep(timers, periodMs, signal)
        }
      },
    }
  }
}
