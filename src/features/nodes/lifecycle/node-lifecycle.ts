import type { KubeObject } from '../../../kernel/api/object.ts'
import { createInformer, whenSynced } from '../../../kernel/controller/informer.ts'
import { sleep, systemTimers, type Timers } from '../../../kernel/controller/timers.ts'
import { unless } from '../../../kernel/controllers/api-errors.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import { recordEvent } from '../events.ts'
import { LEASES, NODE_LEASES, NODES, PODS } from '../resource-ids.ts'
import { conditionsOf, readyOf, unknownConditions, wantedTaints } from './health.ts'

/** A machine that renews neither its Lease nor its Ready condition for this long is not ready (node-monitor-grace-period). */
const GRACE_MS = 40_000
const PERIOD_MS = 5_000
const MIN_PAUSE_MS = 20

export type NodeLifecycleOptions = { timers?: Timers; graceMs?: number; periodMs?: number }

type Seen = { sign: string; at: number }

/**
 * Watches over machines: signs of life are changes of the Lease or of the Ready condition's heartbeat, timed by this
 * process's own clock, so that a machine whose clock is wrong is not taken for a dead one. A silent machine becomes
 * Ready=Unknown and tainted, its pods Unknown and not ready; they are not deleted, since nobody here would make new ones.
 */
export function nodeLifecycle(options: NodeLifecycleOptions = {}): ControllerFactory {
  const { timers = systemTimers, graceMs = GRACE_MS, periodMs = PERIOD_MS } = options
  return ({ client, clock, log }) => ({
    name: 'node-lifecycle',
    run: async (signal) => {
      const nodes = createInformer({ client, resource: NODES, log })
      const leases = createInformer({ client, resource: LEASES, namespace: NODE_LEASES, log })
      const pods = createInformer({
        client,
        resource: PODS,
        indexers: { node: (pod) => (pod['spec']?.nodeName ? [pod['spec'].nodeName as string] : []) },
        log,
      })
      const seen = new Map<string, Seen>()
      const now = (): string => new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')

      const isSilent = (node: KubeObject): boolean => {
        const name = node.metadata.name!
        const lease = leases.store.get(`${NODE_LEASES}/${name}`)
        const sign = `${lease?.['spec']?.renewTime ?? ''} ${readyOf(node)?.lastHeartbeatTime ?? ''} ${node.metadata.uid}`
        const known = seen.get(name)
        if (known === undefined || known.sign !== sign) {
          seen.set(name, { sign, at: timers.monotonic() })
          return false
        }
        return timers.monotonic() - known.at > graceMs
      }

      const check = async (node: KubeObject): Promise<void> => {
        const name = node.metadata.name!
        const silent = isSilent(node)
        let current = node
        const conditions = silent ? unknownConditions(node, now()) : undefined
        if (conditions !== undefined) {
          const wasReady = readyOf(node)?.status === 'True'
          const updated = await unless(
            client.patch(NODES, '', name, 'strategic', { status: { conditions } }, { subresource: 'status' }),
            'NotFound',
          )
          if (updated === undefined) return
          current = updated
          log('warn', `node ${name} is silent for ${graceMs / 1000} s: it is not ready`)
          if (wasReady)
            await recordEvent(
              { client, clock, log, component: 'node-controller' },
              node,
              'Normal',
              'NodeNotReady',
              `Node ${name} status is now: NodeNotReady`,
            )
        }
        const taints = wantedTaints(current, now())
        if (taints !== undefined) {
          const { resourceVersion } = current.metadata
          // Somebody else wrote in the meantime: the next round sees what.
          await unless(
            client.patch(NODES, '', name, 'merge', { metadata: { resourceVersion }, spec: { taints } }),
            'NotFound',
            'Conflict',
          )
        }
        if (readyOf(current)?.status === 'Unknown')
          for (const pod of pods.store.byIndex('node', name)) await lose(pod, name)
      }

      const lose = async (pod: KubeObject, node: string): Promise<void> => {
        const phase = pod['status']?.phase as string | undefined
        if (phase !== 'Running' && phase !== 'Pending') return
        const conditions = conditionsOf(pod)
          .filter(({ type, status }) => (type === 'Ready' || type === 'ContainersReady') && status === 'True')
          .map((condition) => ({ ...condition, status: 'False', lastTransitionTime: now(), reason: 'NodeLost' }))
        const message = `Node ${node} which was running pod ${pod.metadata.name} is unresponsive`
        await unless(
          client.patch(
            PODS,
            pod.metadata.namespace!,
            pod.metadata.name!,
            'strategic',
            {
              metadata: { uid: pod.metadata.uid },
              status: {
                phase: 'Unknown',
                reason: 'NodeLost',
                message,
                ...(conditions.length > 0 ? { conditions } : {}),
              },
            },
            { subresource: 'status' },
          ),
          'NotFound',
          'Conflict',
        )
      }

      // A machine that gets ready, or is cordoned, does not wait for the next round.
      let wake = new AbortController()
      const look = (node: KubeObject): void => {
        if (wantedTaints(node, now()) !== undefined) wake.abort()
      }
      nodes.addHandler({ onAdd: look, onUpdate: look })

      const running = [nodes, leases, pods].map((informer) => informer.run(signal))
      if (await whenSynced([nodes, leases, pods], signal))
        while (!signal.aborted) {
          wake = new AbortController()
          for (const name of seen.keys()) if (nodes.store.get(name) === undefined) seen.delete(name)
          for (const node of nodes.store.list()) {
            if (signal.aborted) break
            await check(node).catch((error: Error) => {
              if (!signal.aborted) log('warn', `node ${node.metadata.name}: ${error.message}`)
            })
          }
          await sleep(timers, periodMs, AbortSignal.any([signal, wake.signal]))
          // What is refused again and again (a conflict) must not turn the rounds into a spin.
          await sleep(timers, MIN_PAUSE_MS, signal)
        }
      await Promise.all(running)
    },
  })
}
