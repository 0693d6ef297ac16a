import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../api/object.ts'
import type { Client, ResourceId } from '../client/client.ts'
import type { Log } from '../feature.ts'
import { definitionsFromCrd, establish, withTermination } from '../resources/custom/index.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import { CLEANUP_FINALIZER } from '../resources/kinds/customresourcedefinition.ts'
import type { WatchCache } from './cache/watch-cache.ts'
import { resourcePrefix } from './cache/watch-cache.ts'
import type { KindRegistry } from './kind-registry.ts'

const GROUP = 'apiextensions.k8s.io'
const CRDS: ResourceId = { group: GROUP, version: 'v1', resource: 'customresourcedefinitions' }

/**
 * Serves what CustomResourceDefinitions define: registers their kinds as soon as they are established, writes their
 * status, and empties them before they go. Level-triggered: each round looks at the definition as it is now.
 */
export class CustomResources {
  readonly #cache: WatchCache
  readonly #kinds: KindRegistry
  readonly #client: Client
  readonly #log: Log
  #stop: (() => void) | undefined
  readonly #busy = new Map<string, Promise<void>>()
  #closed = false

  constructor(cache: WatchCache, kinds: KindRegistry, client: Client, log: Log) {
    this.#cache = cache
    this.#kinds = kinds
    this.#client = client
    this.#log = log
  }

  /** Everything that is established already is served before this returns. */
  start(): void {
    const resource = this.#cache.resource(resourcePrefix(GROUP, CRDS.resource))
    for (const entry of resource.readable()) this.#see(entry.copy())
    this.#stop = resource.listen({
      namespace: undefined,
      name: undefined,
      onEvent: (event) => {
        if (event.deleted) this.#kinds.setCustom(event.entry.name, [])
        else this.#see(event.entry.copy())
      },
      onEnd: () => this.start(),
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stop?.()
    await Promise.all(this.#busy.values())
  }

  #see(crd: KubeObject): void {
    const name = crd.metadata.name!
    // Whatever its status says: nothing takes the place of a built-in kind.
    const established = isTrue(crd, 'Established') && !this.#clashes(crd)
    this.#kinds.setCustom(name, established ? definitionsFromCrd(crd) : [])
    this.#later(name)
  }

  /** One round at a time per definition, after the event that caused it is delivered to everyone. */
  #later(name: string): void {
    const before = this.#busy.get(name) ?? Promise.resolve()
    const round = before
      .then(() => (this.#closed ? undefined : this.#reconcile(name)))
      .catch((error: Error) => {
        if (this.#closed) return
        this.#log('warn', 'a custom resource definition could not be reconciled', { name, error: error.message })
        setTimeout(() => this.#later(name), 1000).unref()
      })
    this.#busy.set(name, round)
    void round.finally(() => {
      if (this.#busy.get(name) === round) this.#busy.delete(name)
    })
  }

  async #reconcile(name: string): Promise<void> {
    const entry = this.#cache.resource(resourcePrefix(GROUP, CRDS.resource)).get(name)
    if (entry === undefined) return
    const crd = entry.copy()
    if (crd.metadata.deletionTimestamp) return this.#cleanUp(crd)
    const status = establish(crd, this.#others(crd))
    if (isDeepStrictEqual(status, crd['status'])) return
    await this.#client.update(CRDS, { ...crd, status }, { subresource: 'status' })
  }

  /** Names that other definitions and built-in kinds hold in the group of this one. */
  #others(crd: KubeObject): KubeObject[] {
    const resource = this.#cache.resource(resourcePrefix(GROUP, CRDS.resource))
    const [from, to] = resource.range('')
    const others: KubeObject[] = this.#kinds.builtIn(crd['spec'].group).map(asAccepted)
    for (let i = from; i < to; i++) {
      const other = resource.at(i)
      if (other.name !== crd.metadata.name) others.push(other.shared())
    }
    return others
  }

  /** Objects of a built-in kind are not this definition's, to serve or to delete. */
  #clashes(crd: KubeObject): boolean {
    const { group, names } = crd['spec']
    return this.#kinds.builtIn(group).some((d) => d.plural === names.plural || d.kind === names.kind)
  }

  async #cleanUp(crd: KubeObject): Promise<void> {
    if (!(crd.metadata.finalizers ?? []).includes(CLEANUP_FINALIZER)) return
    // The event of this change leads to the next round.
    if (!isTrue(crd, 'Terminating')) return this.#terminate(crd, 'started')
    const { group, names, versions } = crd['spec']
    const prefix = resourcePrefix(group, names.plural)
    if (!this.#clashes(crd) && this.#cache.resource(prefix).size > 0) {
      const version = versions.find((v: { storage: boolean }) => v.storage) ?? versions[0]
      const id: ResourceId = { group, version: version.name, resource: names.plural }
      const { items } = await this.#client.list(id)
      for (const item of items) {
        const { namespace = '', name = '' } = item.metadata
        await this.#client.delete(id, namespace, name)
      }
      if (this.#cache.resource(prefix).size > 0) {
        await this.#terminate(crd, 'waiting')
        throw new Error('its objects wait for their finalizers')
      }
    }
    const finalizers = (crd.metadata.finalizers ?? []).filter((f) => f !== CLEANUP_FINALIZER)
    const done = finalizers.length > 0 ? withTermination(crd, 'done') : crd['status']
    const { metadata } = await this.#client.update(CRDS, { ...crd, status: done }, { subresource: 'status' })
    await this.#client.update(CRDS, { ...crd, metadata: { ...metadata, finalizers } })
  }

  async #terminate(crd: KubeObject, step: 'started' | 'waiting'): Promise<void> {
    const status = withTermination(crd, step)
    if (status !== crd['status']) await this.#client.update(CRDS, { ...crd, status }, { subresource: 'status' })
  }
}

/** A built-in kind as a definition that holds its names. */
function asAccepted({ group, plural, singular, shortNames, kind, listKind }: ResourceDefinition): KubeObject {
  const acceptedNames = {
    plural,
    singular,
    shortNames: [...(shortNames ?? [])],
    kind,
    listKind: listKind ?? `${kind}List`,
  }
  return {
    kind: 'CustomResourceDefinition',
    apiVersion: `${GROUP}/v1`,
    metadata: {},
    spec: { group },
    status: { acceptedNames },
  }
}

function isTrue(crd: KubeObject, type: string): boolean {
  const conditions = (crd['status']?.conditions ?? []) as { type: string; status: string }[]
  return conditions.some((c) => c.type === type && c.status === 'True')
}
