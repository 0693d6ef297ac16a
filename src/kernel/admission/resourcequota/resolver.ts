import type { Client, ResourceId } from '../../client/client.ts'
import { discover } from '../../controllers/discovery.ts'
import type { Clock } from '../../feature.ts'

/** Collection of a kind by group and plural name: which version to ask. Undefined: not served (any more). */
export type ResourceResolver = (
  group: string,
  resource: string,
) => ResourceId | undefined | Promise<ResourceId | undefined>

/** What a new CustomResourceDefinition brings is known after so long at the latest. */
const FRESH_MS = 30_000

export function discoveryResolver(client: Pick<Client, 'raw'>, clock: Clock): ResourceResolver {
  let known = new Map<string, ResourceId>()
  let readAt = Number.NEGATIVE_INFINITY
  return async (group, resource) => {
    const key = `${group}/${resource}`
    if (clock.now() - readAt > FRESH_MS || (known.get(key) === undefined && clock.now() - readAt > 1000)) {
      const { resources } = await discover(client)
      known = new Map(resources.map(({ id }) => [`${id.group}/${id.resource}`, id]))
      readAt = clock.now()
    }
    return known.get(key)
  }
}
