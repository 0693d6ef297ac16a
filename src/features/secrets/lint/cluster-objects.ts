import type { KubeObject } from '../../../kernel/api/object.ts'
import { parseApiVersion } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'

type ApiResource = { name: string; kind: string; namespaced: boolean; verbs: readonly string[] }
type ClusterResource = ResourceId & { kind: string; apiVersion: string; namespaced: boolean }

const PAGE = 500
/** Groups whose kinds hold decisions, counts and addresses, but no configuration of programs. */
const SKIPPED_GROUPS: ReadonlySet<string> = new Set([
  'authorization.k8s.io',
  'authentication.k8s.io',
  'rbac.authorization.k8s.io',
  'coordination.k8s.io',
  'apiregistration.k8s.io',
  'apiextensions.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'metrics.k8s.io',
  'certificates.k8s.io',
])
const SKIPPED: ReadonlySet<string> = new Set(['events', 'endpoints', 'bindings', 'componentstatuses', 'nodes'])
/** What these own is made from their template: one finding is enough. */
const OWNERS: ReadonlySet<string> = new Set([
  'ReplicaSet',
  'Deployment',
  'StatefulSet',
  'DaemonSet',
  'Job',
  'CronJob',
  'ReplicationController',
])

/**
 * Every object of a cluster that may hold a secret in plain text, kinds of custom resources included. `unreadable` is
 * told what could not be listed and why; the rest goes on.
 */
export async function* clusterObjects(
  client: Pick<Client, 'list' | 'raw'>,
  namespace: string | undefined,
  unreadable: (what: string, why: string) => void,
): AsyncGenerator<KubeObject> {
  for (const resource of await resources(client, unreadable)) {
    if (namespace !== undefined && !resource.namespaced) continue
    let next: string | undefined
    do {
      try {
        const page = await client.list(resource, {
          limit: PAGE,
          ...(namespace === undefined ? {} : { namespace }),
          ...(next === undefined ? {} : { continue: next }),
        })
        next = page.metadata.continue || undefined
        // Items of lists need not repeat what they are.
        for (const item of page.items)
          if (!isOwned(item)) yield { ...item, kind: resource.kind, apiVersion: resource.apiVersion }
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (error.reason === 'NotFound' || error.reason === 'MethodNotAllowed') break
        unreadable(resource.group === '' ? resource.resource : `${resource.resource}.${resource.group}`, error.message)
        break
      }
    } while (next !== undefined)
  }
}

function isOwned(object: KubeObject): boolean {
  return (object.metadata.ownerReferences ?? []).some((owner) => owner.controller === true && OWNERS.has(owner.kind))
}

async function resources(
  client: Pick<Client, 'raw'>,
  unreadable: (what: string, why: string) => void,
): Promise<ClusterResource[]> {
  const groups = (await client.raw('GET', '/apis')) as { groups?: { preferredVersion?: { groupVersion?: string } }[] }
  const versions = (groups.groups ?? []).map((group) => group.preferredVersion?.groupVersion)
  const found: ClusterResource[] = []
  for (const apiVersion of ['v1', ...versions]) {
    if (apiVersion === undefined || SKIPPED_GROUPS.has(parseApiVersion(apiVersion).group)) continue
    try {
      const path = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
      const { resources: list } = (await client.raw('GET', path)) as { resources?: ApiResource[] }
      for (const { name, kind, namespaced, verbs } of list ?? [])
        if (!name.includes('/') && verbs.includes('list') && !SKIPPED.has(name))
          found.push({ ...parseApiVersion(apiVersion), resource: name, kind, apiVersion, namespaced })
    } catch (error) {
      // An aggregated API whose server is down hides its own kinds only.
      if (!(error instanceof ApiError)) throw error
      unreadable(apiVersion, error.message)
    }
  }
  return found
}
