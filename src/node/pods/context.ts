import type { KubeObject } from '../../kernel/api/object.ts'
import type { Client } from '../../kernel/client/client.ts'
import type { Timers } from '../../kernel/controller/timers.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import type { CriClient } from '../../platform/cri/index.ts'
import type { Waiting } from './engine/actions.ts'
import type { Backoffs } from './engine/backoff.ts'
import type { Allocatable } from './engine/downward.ts'
import type { Pod, PodContainer } from './engine/pod.ts'
import type { NodeSettings } from './engine/sandbox-config.ts'
import type { EventRecorder } from './events.ts'
import type { Images } from './images.ts'
import type { ObjectSource } from './objects.ts'
import type { Prober } from './probes/prober.ts'
import type { RuntimeCache } from './runtime-cache.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'

/** The parts that work on pods share these. */
export type PodParts = {
  cri: CriClient
  client: Client
  clock: Clock
  timers: Timers
  log: Log
  cache: RuntimeCache
  volumes: PodVolumes
  objects: ObjectSource
  images: Images
  prober: Prober
  backoffs: Backoffs
  events: EventRecorder
  /** The cluster's services; undefined while nobody has said which there are. */
  services: () => Iterable<KubeObject> | undefined
  settings: NodeSettings
  allocatable: Allocatable
  nodeAddress: string
}

/** What the agent remembers of a pod from one round to the next; nothing that matters is lost with it. */
export type PodMemory = {
  startTime: number
  waiting: Map<string, Waiting>
  /** Why the agent itself ends the pod. */
  verdict: { reason: string; message: string } | undefined
  /** Given up when the pod is deleted: pulls, hooks after start. */
  starting: AbortController
  /** Given up when less time is left to stop than was thought: hooks before stop. */
  stopping: AbortController
  /** Its volumes were mounted by this agent; when they are to be refreshed. */
  refreshAt: number
  volumes: Map<string, string> | undefined
  /** Nothing of it runs, and its volumes are gone. */
  ended: boolean
  deleteSent: boolean
}

export function podEvent(
  parts: Pick<PodParts, 'events'>,
  pod: Pod,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  container?: PodContainer,
): void {
  const list = pod.initContainers.includes(container as PodContainer)
    ? 'initContainers'
    : pod.containers.includes(container as PodContainer)
      ? 'containers'
      : 'ephemeralContainers'
  const target = {
    kind: 'Pod',
    apiVersion: 'v1',
    namespace: pod.namespace,
    name: pod.name,
    uid: pod.uid,
    ...(pod.metadata.resourceVersion === undefined ? {} : { resourceVersion: pod.metadata.resourceVersion }),
    ...(container === undefined ? {} : { fieldPath: `spec.${list}{${container.name}}` }),
  }
  parts.events.event(target, type, reason, message)
}
