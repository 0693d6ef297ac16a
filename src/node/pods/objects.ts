import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import type { Clock } from '../../kernel/feature.ts'

export const CONFIG_MAPS: ResourceId = { group: '', version: 'v1', resource: 'configmaps' }
export const SECRETS: ResourceId = { group: '', version: 'v1', resource: 'secrets' }

type Entry = { object: KubeObject | undefined; at: number; used: number }
const UNUSED_MS = 10 * 60_000

/**
 * ConfigMaps and Secrets that the node's pods name, in memory only. While the API server is away, what it last said
 * holds.
 */
export class ObjectSource {
  readonly #client: Pick<Client, 'get'>
  readonly #clock: Clock
  readonly #entries: Map<string, Entry> = new Map()
  readonly #inFlight: Map<string, Promise<KubeObject | undefined>> = new Map()

  constructor(client: Pick<Client, 'get'>, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /**
   * undefined: there is none of the name. What is known is taken when it is not older than `maxAgeMs`. Rejects when the
   * API server refuses, or cannot be reached and has never said anything.
   */
  async get(resource: ResourceId, namespace: string, name: string, maxAgeMs: number): Promise<KubeObject | undefined> {
    const key = `${resource.resource}/${namespace}/${name}`
    const now = this.#clock.now()
    const known = this.#entries.get(key)
    if (known !== undefined) {
      known.used = now
      if (now - known.at <= maxAgeMs || known.object?.['immutable'] === true) return known.object
    }
    let request = this.#inFlight.get(key)
    if (request === undefined) {
      request = this.#fetch(key, resource, namespace, name, now).finally(() => this.#inFlight.delete(key))
      this.#inFlight.set(key, request)
    }
    return await request
  }

  /** Forgets what has not been asked for in ten minutes. */
  sweep(): void {
    const oldest = this.#clock.now() - UNUSED_MS
    for (const [key, { used }] of this.#entries) if (used < oldest) this.#entries.delete(key)
  }

  async #fetch(
    key: string,
    resource: ResourceId,
    namespace: string,
    name: string,
    now: number,
  ): Promise<KubeObject | undefined> {
    const known = this.#entries.get(key)
    try {
      const object = await this.#client.get(resource, namespace, name)
      this.#entries.set(key, { object, at: now, used: now })
      return object
    } catch (error) {
      if (error instanceof ApiError && error.reason === 'NotFound') {
        this.#entries.set(key, { object: undefined, at: now, used: now })
        return undefined
      }
      if (known !== undefined && !(error instanceof ApiError && error.reason === 'Forbidden')) return known.object
      throw error
    }
  }
}
