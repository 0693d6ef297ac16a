import type { Client, ResourceId } from '../client/client.ts'
import { isReason } from './api-errors.ts'

export type DiscoveredResource = {
  id: ResourceId
  kind: string
  namespaced: boolean
  verbs: readonly string[]
  /** All versions that serve it; `id` has the first. */
  versions: string[]
}

export type Discovery = {
  /** One version of every resource: the group's preferred one, where it serves the resource. No subresources. */
  resources: DiscoveredResource[]
  /** Group versions whose resources could not be read, with the reason. */
  failures: { groupVersion: string; message: string }[]
}

type ApiGroupList = {
  groups?: { name: string; versions: { groupVersion: string }[]; preferredVersion?: { groupVersion: string } }[]
}
type ApiResourceList = {
  resources?: { name: string; kind: string; namespaced: boolean; verbs: string[]; group?: string; version?: string }[]
}

/** Asks the server what it serves. Rejects when not even the groups can be read. */
export async function discover(client: Pick<Client, 'raw'>): Promise<Discovery> {
  const { groups = [] } = (await client.raw('GET', '/apis')) as ApiGroupList
  const discovery: Discovery = { resources: [], failures: [] }
  const versions = [['v1'], ...groups.map(preferredFirst)]
  const seen = new Map<string, DiscoveredResource>()
  for (const group of versions)
    for (const groupVersion of group) {
      const list = await readVersion(client, groupVersion, discovery)
      for (const found of list) {
        const key = `${found.id.group}/${found.id.resource}`
        const first = seen.get(key)
        if (first !== undefined) {
          first.versions.push(found.id.version)
          continue
        }
        seen.set(key, found)
        discovery.resources.push(found)
      }
    }
  return discovery
}

function preferredFirst(group: NonNullable<ApiGroupList['groups']>[number]): string[] {
  const all = group.versions.map((version) => version.groupVersion)
  const preferred = group.preferredVersion?.groupVersion
  return preferred === undefined ? all : [preferred, ...all.filter((version) => version !== preferred)]
}

async function readVersion(
  client: Pick<Client, 'raw'>,
  groupVersion: string,
  discovery: Discovery,
): Promise<DiscoveredResource[]> {
  const slash = groupVersion.indexOf('/')
  const group = slash < 0 ? '' : groupVersion.slice(0, slash)
  const version = groupVersion.slice(slash + 1)
  try {
    const path = group === '' ? `/api/${version}` : `/apis/${groupVersion}`
    const { resources = [] } = (await client.raw('GET', path)) as ApiResourceList
    return resources
      .filter((resource) => !resource.name.includes('/'))
      .map(({ name, kind, namespaced, verbs }) => ({
        id: { group, version, resource: name },
        kind,
        namespaced,
        verbs,
        versions: [version],
      }))
  } catch (error) {
    // A group that went away since the groups were listed is no failure.
    if (!isReason(error, 'NotFound')) discovery.failures.push({ groupVersion, message: (error as Error).message })
    return []
  }
}
