import { createHash } from 'node:crypto'
import type { OwnerReference } from '../../api/object.ts'
import type { Client } from '../../client/client.ts'
import { createInformer, whenSynced } from '../../controller/informer.ts'
import { runReconciler } from '../../controller/reconciler.ts'
import { sleep, systemTimers } from '../../controller/timers.ts'
import { WorkQueue } from '../../controller/workqueue.ts'
import type { Clock, ControllerContext, ControllerFactory, Log } from '../../feature.ts'
import { unless } from '../api-errors.ts'
import { discover } from '../discovery.ts'
import type { ControllerOptions } from '../options.ts'
import { CUSTOM_RESOURCE_DEFINITIONS, EVENTS } from '../resource-ids.ts'
import { AbsentOwners } from './absent-owners.ts'
import { Collector } from './collector.ts'
import { type Identity, OwnerGraph } from './graph.ts'
import { Kinds } from './kinds.ts'
import { Monitors } from './monitors.ts'

const WORKERS = 8
const REDISCOVER_MS = 30_000
/** A new CustomResourceDefinition is served a moment after it is seen. */
const SETTLE_MS = 300
/** Kinds that cannot be listed by then do not hold up the collection of the others. */
const SYNC_MS = 30_000

/** Deletes what its owners have left behind (kube-controller-manager's garbage collector). */
export function garbageCollection(options: ControllerOptions = {}): ControllerFactory {
  return (context) => ({
    name: 'garbage-collection',
    run: async (signal) => await collect(context, options, signal),
  })
}

async function collect(context: ControllerContext, options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, log } = context
  const { timers = systemTimers } = options
  const deletes = new WorkQueue({ timers })
  const orphans = new WorkQueue({ timers })
  const absent = new AbsentOwners()
  const kinds = new Kinds()
  const graph = new OwnerGraph(
    {
      attemptToDelete: (uid) => deletes.add(uid),
      attemptToOrphan: (uid) => orphans.add(uid),
      invalidNamespace: (dependent, owner) => void reportNamespace(client, clock, log, dependent, owner),
    },
    absent,
  )
  const collector = new Collector({ client, graph, absent, kinds, enqueue: (uid) => deletes.add(uid), log })
  const monitors = new Monitors(client, graph, log, options)
  const refresh = async (): Promise<void> => {
    const discovery = await discover(client)
    kinds.replace(discovery.resources)
    monitors.sync(discovery)
  }

  const stop = new AbortController()
  const own = AbortSignal.any([signal, stop.signal])
  try {
    await firstRefresh(refresh, log, timers, own)
    await Promise.race([whenSynced(monitors.informers, own), sleep(timers, SYNC_MS, own)])
    const common = { workers: WORKERS, signal: own, log }
    await Promise.all([
      followKinds(context, options, refresh, own),
      runReconciler({ queue: deletes, reconcile: (uid) => collector.attemptToDelete(uid), ...common }),
      runReconciler({ queue: orphans, reconcile: (uid) => collector.attemptToOrphan(uid), ...common }),
    ])
  } finally {
    stop.abort()
    await monitors.stop()
  }
}

async function firstRefresh(
  refresh: () => Promise<void>,
  log: Log,
  timers: typeof systemTimers,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await refresh()
      return
    } catch (error) {
      log('warn', `garbage collection: discovery failed: ${(error as Error).message}`)
      await sleep(timers, 1000, signal)
    }
  }
}

/** Looks what is served when a CustomResourceDefinition changes, and every half minute. */
async function followKinds(
  { client, log }: ControllerContext,
  options: ControllerOptions,
  refresh: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { timers = systemTimers } = options
  const queue = new WorkQueue({ timers })
  const definitions = createInformer({
    client,
    resource: CUSTOM_RESOURCE_DEFINITIONS,
    transform: ({ apiVersion, kind, metadata: { name, uid, resourceVersion } }) => ({
      apiVersion,
      kind,
      metadata: { name: name!, uid: uid!, resourceVersion: resourceVersion! },
    }),
    log,
    timers,
  })
  const changed = (): void => queue.addAfter('kinds', SETTLE_MS)
  definitions.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed })
  queue.addAfter('kinds', REDISCOVER_MS)
  const reconcile = async (): Promise<{ requeueAfterMs: number }> => {
    await refresh()
    return { requeueAfterMs: REDISCOVER_MS }
  }
  await Promise.all([definitions.run(signal), runReconciler({ queue, reconcile, workers: 1, signal, log })])
}

/** An Event on the dependent, once for each pair of dependent and owner. */
async function reportNamespace(
  client: Client,
  clock: Clock,
  log: Log,
  dependent: Identity,
  owner: OwnerReference,
): Promise<void> {
  const { apiVersion, kind, namespace, name, uid } = dependent
  const message = `ownerRef [${owner.apiVersion}/${owner.kind}, namespace: ${namespace}, name: ${owner.name}, uid: ${owner.uid}] does not exist in namespace "${namespace}"`
  const time = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
  const suffix = createHash('sha256').update(`${uid}\n${owner.uid}`).digest('hex').slice(0, 16)
  const home = namespace === '' ? 'default' : namespace
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 200)}.${suffix}`, namespace: home },
    involvedObject: { apiVersion, kind, name, uid, ...(namespace && { namespace }) },
    type: 'Warning',
    reason: 'OwnerRefInvalidNamespace',
    message,
    source: { component: 'garbage-collector-controller' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  }
  try {
    await unless(client.create(EVENTS, event), 'AlreadyExists', 'Forbidden', 'NotFound')
  } catch (error) {
    log('warn', `garbage collection: the event for ${kind} ${name} was not written: ${(error as Error).message}`)
  }
}
