import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import { keyOf } from '../../../kernel/controller/store.ts'
import { WorkQueue } from '../../../kernel/controller/workqueue.ts'
import { unless } from '../../../kernel/controllers/api-errors.ts'
import { runLoop } from '../../../kernel/controllers/run-loop.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import { recordEvent } from '../events.ts'
import { NODES, PODS } from '../resource-ids.ts'
import { ClusterState } from './cluster-state.ts'
import { place } from './decide.ts'

const SCHEDULER = 'default-scheduler'
/** Whatever changed without an event that says so: what waits is tried again after this time. */
const RETRY_MS = 60_000

const waits = (pod: KubeObject): boolean =>
  !pod['spec']?.nodeName &&
  pod.metadata.deletionTimestamp === undefined &&
  (pod['spec']?.schedulerName ?? SCHEDULER) === SCHEDULER &&
  (pod['spec']?.schedulingGates ?? []).length === 0 &&
  !['Succeeded', 'Failed'].includes(pod['status']?.phase ?? '')

/**
 * A small scheduler: nodeSelector and node affinity, taints, requested CPU, memory and number of pods, host ports, and
 * spreading. Pods that fit nowhere say why (condition PodScheduled, event FailedScheduling) and are tried again when a
 * machine changes or a pod goes. No inter-pod affinity, topology spread constraints, volumes or preemption.
 */
export function scheduler(options: { random?: () => number } = {}): ControllerFactory {
  const random = options.random ?? Math.random
  return ({ client, clock, log }) => ({
    name: 'scheduler',
    run: (signal) => {
      const state = new ClusterState()
      const queue = new WorkQueue()
      const waiting = new Set<string>()
      const retryAll = (): void => {
        for (const key of waiting) queue.add(key)
      }
      const pods = createInformer({ client, resource: PODS, log })
      const nodes = createInformer({ client, resource: NODES, log })
      const upsert = (pod: KubeObject): void => {
        state.upsertPod(pod)
        if (waits(pod)) queue.add(keyOf(pod))
        else waiting.delete(keyOf(pod))
      }
      pods.addHandler({
        onAdd: upsert,
        onUpdate: (pod, old) => {
          // Its own condition and the like are no reason to try again.
          const relevant = waits(pod) && (!waits(old) || pod['spec'] !== old['spec']) && differs(pod, old)
          state.upsertPod(pod)
          if (relevant) queue.add(keyOf(pod))
          if (!waits(pod)) waiting.delete(keyOf(pod))
          if (isOver(pod) && !isOver(old)) retryAll()
        },
        onDelete: (pod) => {
          state.deletePod(pod)
          waiting.delete(keyOf(pod))
          retryAll()
        },
      })
      nodes.addHandler({
        onAdd: (node) => {
          state.upsertNode(node)
          retryAll()
        },
        onUpdate: (node, old) => {
          state.upsertNode(node)
          if (matters(node, old)) retryAll()
        },
        onDelete: (node) => {
          state.deleteNode(node)
          retryAll()
        },
      })

      const reconcile = async (key: string): Promise<{ requeueAfterMs: number } | undefined> => {
        const pod = pods.store.get(key)
        if (pod === undefined || !waits(pod)) return undefined
        const candidates = state.nodes()
        if (candidates.length === 0) {
          // A control plane alone: what it stores is left as it is until there is a machine.
          waiting.add(key)
          return undefined
        }
        const placement = place(pod, candidates, random)
        if ('message' in placement) {
          waiting.add(key)
          await sayUnschedulable(pod, placement.message)
          return { requeueAfterMs: RETRY_MS }
        }
        waiting.delete(key)
        state.assume(pod, placement.node)
        try {
          await bind(pod, placement.node)
        } catch (error) {
          state.forget(pod)
          // Somebody else was quicker, or it is gone: its event says what there is to do.
          if (error instanceof ApiError && (error.reason === 'NotFound' || error.reason === 'Conflict'))
            return undefined
          throw error
        }
        await recordEvent(
          { client, clock, log, component: SCHEDULER },
          pod,
          'Normal',
          'Scheduled',
          `Successfully assigned ${key} to ${placement.node}`,
        )
        return undefined
      }

      const bind = async (pod: KubeObject, node: string): Promise<void> => {
        const { namespace, name, uid } = pod.metadata
        await client.create(
          PODS,
          {
            apiVersion: 'v1',
            kind: 'Binding',
            metadata: { name: name!, namespace: namespace!, uid: uid! },
            target: { apiVersion: 'v1', kind: 'Node', name: node },
          } as unknown as KubeObject,
          { subresource: 'binding', name: name! },
        )
      }

      const sayUnschedulable = async (pod: KubeObject, message: string): Promise<void> => {
        type Condition = { type: string; status: string; message?: string }
        const conditions = (pod['status']?.conditions ?? []) as Condition[]
        const known = conditions.find(({ type }) => type === 'PodScheduled')
        if (known?.status === 'False' && known.message === message) return
        const condition = {
          type: 'PodScheduled',
          status: 'False',
          reason: 'Unschedulable',
          message,
          lastTransitionTime: new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
        }
        const { namespace, name } = pod.metadata
        await unless(
          client.patch(
            PODS,
            namespace!,
            name!,
            'strategic',
            { status: { conditions: [condition] } },
            { subresource: 'status' },
          ),
          'NotFound',
        )
        await recordEvent({ client, clock, log, component: SCHEDULER }, pod, 'Warning', 'FailedScheduling', message)
      }

      return runLoop({ informers: [nodes, pods], queue, reconcile, workers: 1, log }, signal)
    },
  })
}

const isOver = (pod: KubeObject): boolean => ['Succeeded', 'Failed'].includes(pod['status']?.phase ?? '')

const differs = (pod: KubeObject, old: KubeObject): boolean =>
  JSON.stringify([pod['spec'], pod.metadata.labels]) !== JSON.stringify([old['spec'], old.metadata.labels])

/** Heartbeats change a Node all the time: only what decides placements counts. */
const matters = (node: KubeObject, old: KubeObject): boolean =>
  JSON.stringify([node['spec'], node.metadata.labels, node['status']?.allocatable]) !==
  JSON.stringify([old['spec'], old.metadata.labels, old['status']?.allocatable])
