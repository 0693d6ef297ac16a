import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../api/object.ts'
import { quantityOf } from '../../api/quantity.ts'
import { ApiError } from '../../api/status.ts'
import type { Client, ResourceId } from '../../client/client.ts'
import { createInformer, type Informer } from '../../controller/informer.ts'
import { runReconciler } from '../../controller/reconciler.ts'
import { keyOf, splitKey } from '../../controller/store.ts'
import { sleep, systemTimers, type Timers } from '../../controller/timers.ts'
import { WorkQueue } from '../../controller/workqueue.ts'
import type { ControllerFactory, Log } from '../../feature.ts'
import { RESOURCE_QUOTAS } from './admission.ts'
import { discoveryResolver, type ResourceResolver } from './resolver.ts'
import { scopesMatch } from './scope.ts'
import { countedKind, isFinished, usageOf } from './usage.ts'

const BY_NAMESPACE = 'namespace'
/** Everything is counted anew so often, whatever was seen or missed (kube-controller-manager's default). */
const RESYNC_MS = 300_000
/** A quota whose status was written a moment ago has creates on their way that cannot be counted yet. */
const QUIET_MS = 200
const QUIET_ATTEMPTS = 10

export type QuotaControllerOptions = {
  /** Default: what the server's discovery says. */
  resolve?: ResourceResolver
  timers?: Timers
  resyncMs?: number
  quietMs?: number
}

/**
 * Keeps the status of every ResourceQuota: takes over `spec.hard`, and counts what is there when a quota changes, when
 * something that it counts goes away, and from time to time. Level-triggered: it counts, it never subtracts.
 */
export function resourceQuotaController(options: QuotaControllerOptions = {}): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'resourcequota',
    run: async (signal) => {
      const timers = options.timers ?? systemTimers
      const resolve = options.resolve ?? discoveryResolver(client, clock)
      const queue = new WorkQueue({ timers })
      const informer = createInformer({
        client,
        resource: RESOURCE_QUOTAS,
        indexers: { [BY_NAMESPACE]: (quota) => [quota.metadata.namespace ?? ''] },
        resyncMs: options.resyncMs ?? RESYNC_MS,
        log,
        timers,
      })
      const monitors = new Monitors(client, log, signal, (namespace) => {
        for (const quota of informer.store.byIndex(BY_NAMESPACE, namespace)) queue.add(keyOf(quota))
      })
      const enqueue = (quota: KubeObject): void => queue.add(keyOf(quota))
      informer.addHandler({
        onAdd: enqueue,
        onUpdate: (quota, old) => {
          // Its own status changes with every create: that is no reason to count.
          const resync = quota === old
          if (resync || !isDeepStrictEqual(quota['spec'], old['spec']) || lacksStatus(quota)) enqueue(quota)
        },
      })
      const reconcile = async (key: string): Promise<void> => {
        const { namespace, name } = splitKey(key)
        await settle(
          { client, resolve, monitors, timers, quietMs: options.quietMs ?? QUIET_MS, signal },
          namespace,
          name,
        )
      }
      const running = informer.run(signal)
      await Promise.race([informer.synced(), running])
      await runReconciler({ queue, reconcile, workers: 2, signal, log })
      await Promise.all([running, monitors.ended()])
    },
  })
}

function lacksStatus(quota: KubeObject): boolean {
  return !isDeepStrictEqual(quota['status']?.hard ?? {}, quota['spec']?.hard ?? {})
}

type Counting = {
  client: Client
  resolve: ResourceResolver
  monitors: Monitors
  timers: Timers
  quietMs: number
  signal: AbortSignal
}

async function settle(context: Counting, namespace: string, name: string): Promise<void> {
  const { client, timers, signal } = context
  for (let attempt = 1; !signal.aborted; attempt++) {
    const quota = await client.get(RESOURCE_QUOTAS, namespace, name).catch(ifGone)
    if (quota === undefined) return
    const status = { hard: quota['spec']?.hard ?? {}, used: await count(context, quota) }
    if (isDeepStrictEqual(quota['status'] ?? {}, status)) return
    // A count may miss objects whose room is taken but which are not stored yet: wait until nobody has taken room for a
    // moment. Under steady load that moment does not come; then the count stands, as it always does in Kubernetes.
    if (attempt < QUIET_ATTEMPTS && !lacksStatus(quota)) {
      await sleep(timers, context.quietMs, signal)
      const again = await client.get(RESOURCE_QUOTAS, namespace, name).catch(ifGone)
      if (again === undefined) return
      if (again.metadata.resourceVersion !== quota.metadata.resourceVersion) continue
      status.used = await count(context, quota)
      if (isDeepStrictEqual(quota['status'] ?? {}, status)) return
    }
    await client.update(RESOURCE_QUOTAS, { ...quota, status }, { subresource: 'status' })
    return
  }
}

/** What is used of everything in `spec.hard` that can be counted. */
async function count({ client, resolve, monitors }: Counting, quota: KubeObject): Promise<Record<string, string>> {
  const hard = Object.keys(quota['spec']?.hard ?? {}).sort()
  const used: Record<string, string> = {}
  const kinds = new Map<string, { group: string; resource: string; names: string[] }>()
  for (const name of hard) {
    const kind = countedKind(name)
    if (kind === undefined) continue
    const key = `${kind.group}/${kind.resource}`
    const known = kinds.get(key)
    if (known !== undefined) known.names.push(name)
    else kinds.set(key, { ...kind, names: [name] })
  }
  for (const { group, resource, names } of kinds.values()) {
    const id = await resolve(group, resource)
    const sums = new Map(names.map((name) => [name, 0]))
    if (id !== undefined) {
      monitors.watch(id)
      const kind = { group, plural: resource }
      const isPod = group === '' && resource === 'pods'
      for (const object of (await client.list(id, { namespace: quota.metadata.namespace! })).items) {
        if (!scopesMatch(quota, isPod, object)) continue
        const usage = usageOf(kind, object)
        for (const name of names) sums.set(name, sums.get(name)! + (usage.get(name) ?? 0))
      }
    }
    for (const [name, sum] of sums) used[name] = quantityOf(sum).text
  }
  // In the order of the names, so that equal counts are equal objects.
  return Object.fromEntries(hard.filter((name) => Object.hasOwn(used, name)).map((name) => [name, used[name]!]))
}

function ifGone(error: unknown): undefined {
  if (error instanceof ApiError && error.reason === 'NotFound') return undefined
  throw error
}

/** Informers on the collections that some quota counts; they keep next to nothing of each object. */
class Monitors {
  readonly #client: Client
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #freed: (namespace: string) => void
  readonly #informers: Map<string, Informer> = new Map()
  readonly #running: Promise<void>[] = []

  constructor(client: Client, log: Log, signal: AbortSignal, freed: (namespace: string) => void) {
    this.#client = client
    this.#log = log
    this.#signal = signal
    this.#freed = freed
  }

  watch(id: ResourceId): void {
    const key = `${id.group}/${id.version}/${id.resource}`
    if (this.#informers.has(key)) return
    const informer = createInformer({ client: this.#client, resource: id, transform: bare, log: this.#log })
    const free = (object: KubeObject): void => this.#freed(object.metadata.namespace ?? '')
    informer.addHandler({
      onDelete: free,
      onUpdate: (object, old) => {
        if (!isDeepStrictEqual(object['usage'], old['usage'])) free(object)
      },
    })
    this.#informers.set(key, informer)
    this.#running.push(informer.run(this.#signal))
  }

  async ended(): Promise<void> {
    await Promise.all(this.#running)
  }
}

/** Identity, and what of a pod or a service changes its usage while it lives. */
function bare(object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = object.metadata
  const usage =
    object.kind === 'Service'
      ? [...usageOf({ group: '', plural: 'services' }, object)]
      : object.kind === 'Pod'
        ? [isFinished(object)]
        : []
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: { name: name!, namespace: namespace ?? '', uid: uid ?? '', resourceVersion: resourceVersion ?? '' },
    usage,
  }
}
