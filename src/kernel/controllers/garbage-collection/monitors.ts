import { apiVersionOf, type KubeObject } from '../../api/object.ts'
import type { Client } from '../../client/client.ts'
import { createInformer, type Informer } from '../../controller/informer.ts'
import type { Log } from '../../feature.ts'
import type { DiscoveredResource, Discovery } from '../discovery.ts'
import type { ControllerOptions } from '../options.ts'
import type { Identity, OwnerGraph } from './graph.ts'

type Monitor = { resource: DiscoveredResource; informer: Informer; stop: () => void; stopped: Promise<void> }

/** Written often, never owners nor owned, and gone after an hour. */
const isIgnored = ({ id }: DiscoveredResource): boolean =>
  id.resource === 'events' && (id.group === '' || id.group === 'events.k8s.io')

export const isMonitored = (resource: DiscoveredResource): boolean =>
  !isIgnored(resource) && ['delete', 'list', 'watch'].every((verb) => resource.verbs.includes(verb))

/** One informer for every kind that can be deleted; it feeds the graph. */
export class Monitors {
  readonly #client: Client
  readonly #graph: OwnerGraph
  readonly #log: Log
  readonly #options: ControllerOptions
  readonly #running: Map<string, Monitor> = new Map()

  constructor(client: Client, graph: OwnerGraph, log: Log, options: ControllerOptions) {
    this.#client = client
    this.#graph = graph
    this.#log = log
    this.#options = options
  }

  get informers(): Informer[] {
    return [...this.#running.values()].map((monitor) => monitor.informer)
  }

  /** Starts what is new, stops what is no longer served. Kinds of groups that could not be read stay as they are. */
  sync(discovery: Discovery): void {
    const wanted = new Map(discovery.resources.filter(isMonitored).map((resource) => [keyOf(resource), resource]))
    const unread = new Set(discovery.failures.map((failure) => failure.groupVersion))
    for (const [key, monitor] of this.#running) {
      const { group, version } = monitor.resource.id
      if (wanted.has(key) || unread.has(apiVersionOf(group, version))) continue
      monitor.stop()
      this.#running.delete(key)
      for (const object of monitor.informer.store.list()) this.#graph.forget(identityOf(monitor.resource, object))
    }
    for (const [key, resource] of wanted) if (!this.#running.has(key)) this.#running.set(key, this.#start(resource))
  }

  async stop(): Promise<void> {
    const all = [...this.#running.values()]
    this.#running.clear()
    for (const monitor of all) monitor.stop()
    await Promise.all(all.map((monitor) => monitor.stopped))
  }

  #start(resource: DiscoveredResource): Monitor {
    const { timers, random } = this.#options
    const informer = createInformer({
      client: this.#client,
      resource: resource.id,
      transform: ownershipOnly,
      log: this.#log,
      ...(timers && { timers }),
      ...(random && { random }),
    })
    const observe = (object: KubeObject): void => this.#graph.observe(identityOf(resource, object), object.metadata)
    informer.addHandler({
      onAdd: observe,
      onUpdate: (object, old) => {
        if (!sameOwnership(object, old)) observe(object)
      },
      onDelete: (object) => this.#graph.forget(identityOf(resource, object)),
    })
    const controller = new AbortController()
    return { resource, informer, stop: () => controller.abort(), stopped: informer.run(controller.signal) }
  }
}

/** The version is part of it: when the preferred one changes, a new informer takes over. */
const keyOf = ({ id, kind }: DiscoveredResource): string => [id.group, id.version, id.resource, kind].join('/')

function identityOf({ id, kind }: DiscoveredResource, { metadata }: KubeObject): Identity {
  const { namespace = '', name, uid } = metadata
  return { apiVersion: apiVersionOf(id.group, id.version), kind, namespace, name: name!, uid: uid! }
}

function ownershipOnly(object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = object.metadata
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: {
      name: name!,
      uid: uid!,
      resourceVersion: resourceVersion!,
      ...(namespace && { namespace }),
      ...(ownerReferences && { ownerReferences }),
      ...(finalizers && { finalizers }),
      ...(deletionTimestamp && { deletionTimestamp }),
    },
  }
}

/** Most changes do not touch ownership; without owners and finalizers that is seen at once. */
function sameOwnership(a: KubeObject, b: KubeObject): boolean {
  const [x, y] = [a.metadata, b.metadata]
  return (
    x.deletionTimestamp === y.deletionTimestamp &&
    (x.ownerReferences === y.ownerReferences ||
      JSON.stringify(x.ownerReferences) === JSON.stringify(y.ownerReferences)) &&
    (x.finalizers === y.finalizers || JSON.stringify(x.finalizers) === JSON.stringify(y.finalizers))
  )
}
