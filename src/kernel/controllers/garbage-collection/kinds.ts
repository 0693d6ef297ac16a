import { parseApiVersion } from '../../api/object.ts'
import type { ResourceId } from '../../client/client.ts'
import type { DiscoveredResource } from '../discovery.ts'

/** The server does not serve this kind, at least not yet: nothing can be said about its objects. */
export class UnknownKindError extends Error {
  override readonly name = 'UnknownKindError'
}

/** From an owner reference's apiVersion and kind to the resource that serves it. */
export class Kinds {
  #byKind: ReadonlyMap<string, DiscoveredResource> = new Map()

  replace(resources: readonly DiscoveredResource[]): void {
    this.#byKind = new Map(resources.map((resource) => [`${resource.id.group}/${resource.kind}`, resource]))
  }

  /** Throws UnknownKindError, also for a version that is not served. */
  resolve(apiVersion: string, kind: string): { id: ResourceId; namespaced: boolean } {
    const { group, version } = parseApiVersion(apiVersion)
    const found = this.#byKind.get(`${group}/${kind}`)
    if (found === undefined || !found.versions.includes(version))
      throw new UnknownKindError(`no resource is known for kind "${kind}" in version "${apiVersion}"`)
    return { id: { ...found.id, version }, namespaced: found.namespaced }
  }
}
