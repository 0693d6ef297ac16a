import type { KubeObject } from '../api/object.ts'
import { matchesSelector, parseLabelSelector } from '../api/selectors.ts'
import { alreadyExists, conflict, notFound } from '../api/status.ts'
import type { Client, ClientWatchEvent, ListOptions, ResourceId, WatchOptions } from '../client/client.ts'

/**
 * A client on a Map, for tests of what stands on the client interface: optimistic locking, lists and watches in order;
 * no validation, no admission.
 */
export class MemoryClient implements Client {
  readonly #objects: Map<string, KubeObject> = new Map()
  readonly #watchers: Set<{ id: ResourceId; namespace: string; push: (event: ClientWatchEvent) => void }> = new Set()
  #revision = 1
  /** Every write as `verb resource name`. */
  readonly writes: string[] = []

  async get(id: ResourceId, namespace: string, name: string): Promise<KubeObject> {
    return this.#read(id, namespace, name)
  }

  #read(id: ResourceId, namespace: string, name: string): KubeObject {
    const object = this.#objects.get(key(id, namespace, name))
    if (object === undefined) throw notFound(id.group, id.resource, name)
    return object
  }

  async list(id: ResourceId, options: ListOptions = {}): ReturnType<Client['list']> {
    const prefix = key(id, options.namespace ?? '', '')
    const selector = parseLabelSelector(options.labelSelector ?? '')
    const items = [...this.#objects]
      .filter(([k]) => (options.namespace ? k.startsWith(prefix) : k.startsWith(`${id.group}/${id.resource}/`)))
      .map(([, object]) => object)
      .filter((object) => matchesSelector(selector, object.metadata.labels))
    return { items, metadata: { resourceVersion: String(this.#revision) } }
  }

  async *watch(id: ResourceId, options: WatchOptions): AsyncIterable<ClientWatchEvent> {
    const queue: ClientWatchEvent[] = []
    let wake: () => void = () => undefined
    const watcher = {
      id,
      namespace: options.namespace ?? '',
      push: (event: ClientWatchEvent): void => {
        queue.push(event)
        wake()
      },
    }
    this.#watchers.add(watcher)
    // What changed between the caller's list and this watch: the fixture keeps no history, so it tells all that is new.
    const since = Number(options.resourceVersion ?? 0)
    for (const object of (await this.list(id, options)).items)
      if (Number(object.metadata.resourceVersion) > since && !queue.some((e) => e.object === object))
        queue.push({ type: 'MODIFIED', object })
    options.signal.addEventListener('abort', () => wake(), { once: true })
    try {
      while (!options.signal.aborted) {
        const event = queue.shift()
        if (event !== undefined) yield event
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  async create(id: ResourceId, object: KubeObject): Promise<KubeObject> {
    const { namespace = '', name = '' } = object.metadata
    if (this.#objects.has(key(id, namespace, name))) throw alreadyExists(id.group, id.resource, name)
    return this.#put(id, 'create', 'ADDED', {
      ...object,
      metadata: { ...object.metadata, uid: `uid-${this.#revision}` },
    })
  }

  async update(id: ResourceId, object: KubeObject, options?: { subresource?: string }): Promise<KubeObject> {
    const { namespace = '', name = '', resourceVersion } = object.metadata
    const old = this.#read(id, namespace, name)
    if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
      throw conflict(id.group, id.resource, name, 'the object has been modified')
    const written = options?.subresource === 'status' ? { ...old, status: object['status'] } : object
    return this.#put(id, 'update', 'MODIFIED', {
      ...written,
      metadata: { ...written.metadata, uid: old.metadata.uid! },
    })
  }

  async patch(id: ResourceId, namespace: string, name: string, type: string, patch: unknown): Promise<KubeObject> {
    if (type !== 'merge') throw new Error('the fixture knows merge patches only')
    const old = this.#read(id, namespace, name)
    const body = patch as { metadata?: { resourceVersion?: string }; [field: string]: unknown }
    const wanted = body.metadata?.resourceVersion
    if (wanted !== undefined && wanted !== old.metadata.resourceVersion)
      throw conflict(id.group, id.resource, name, 'the object has been modified')
    const metadata = { ...old.metadata, ...body.metadata }
    return this.#put(id, 'patch', 'MODIFIED', { ...old, ...body, metadata } as KubeObject)
  }

  async delete(id: ResourceId, namespace: string, name: string): Promise<void> {
    const old = this.#read(id, namespace, name)
    this.#objects.delete(key(id, namespace, name))
    this.writes.push(`delete ${id.resource} ${name}`)
    const resourceVersion = String(++this.#revision)
    this.#tell(id, { type: 'DELETED', object: { ...old, metadata: { ...old.metadata, resourceVersion } } })
  }

  async deleteCollection(id: ResourceId, options: ListOptions): Promise<void> {
    for (const { metadata } of (await this.list(id, options)).items)
      await this.delete(id, metadata.namespace ?? '', metadata.name!)
  }

  async raw(_method: string, path: string): Promise<unknown> {
    throw notFound('', 'path', path)
  }

  #put(id: ResourceId, verb: string, type: 'ADDED' | 'MODIFIED', object: KubeObject): KubeObject {
    const { namespace = '', name = '' } = object.metadata
    const stored = structuredClone(object)
    stored.metadata.resourceVersion = String(++this.#revision)
    this.#objects.set(key(id, namespace, name), stored)
    this.writes.push(`${verb} ${id.resource} ${name}`)
    this.#tell(id, { type, object: stored })
    return stored
  }

  #tell(id: ResourceId, event: ClientWatchEvent): void {
    for (const watcher of this.#watchers)
      if (
        watcher.id.group === id.group &&
        watcher.id.resource === id.resource &&
        (watcher.namespace === '' || watcher.namespace === (event.object as KubeObject).metadata.namespace)
      )
        watcher.push(event)
  }
}

const key = (id: ResourceId, namespace: string, name: string): string =>
  `${id.group}/${id.resource}/${namespace}/${name}`
