import type { KubeObject } from '../../api/object.ts'
import type { Client, ResourceId } from '../../client/client.ts'
import { isReason } from '../api-errors.ts'
import { type DiscoveredResource, discover } from '../discovery.ts'
import type { DeletionPass } from './conditions.ts'

export type ContentPass = DeletionPass & {
  /** Seconds until pods that end gracefully should be gone; 0 when none does. */
  graceSeconds: number
}

type Counts = {
  contentFailures: string[]
  remaining: Map<string, number>
  finalizers: Map<string, number>
  graceSeconds: number
}

const PAGE = 500

/**
 * Deletes everything in the namespace and tells what is left. Pods go first, and nothing else before the last is gone:
 * otherwise a pod could outlive the NetworkPolicies that guard it (KEP-5080, ordered namespace deletion).
 */
export async function deleteContent(client: Client, namespace: string): Promise<ContentPass> {
  const counts: Counts = { contentFailures: [], remaining: new Map(), finalizers: new Map(), graceSeconds: 0 }
  const { resources, failures } = await discover(client)
  const discoveryFailures = failures.map(({ groupVersion, message }) => `${groupVersion}: ${message}`)
  const kinds = resources.filter((resource) => resource.namespaced && resource.verbs.includes('delete'))
  const isPods = ({ id }: DiscoveredResource): boolean => id.group === '' && id.resource === 'pods'
  for (const kind of kinds.filter(isPods)) await deleteKind(client, namespace, kind, counts)
  if (counts.remaining.size === 0 && counts.contentFailures.length === 0)
    for (const kind of kinds) if (!isPods(kind)) await deleteKind(client, namespace, kind, counts)
  return { ...counts, discoveryFailures }
}

async function deleteKind(client: Client, namespace: string, kind: DiscoveredResource, counts: Counts): Promise<void> {
  const { id, verbs } = kind
  try {
    const before = verbs.includes('list') ? await listAll(client, id, namespace) : []
    if (verbs.includes('list') && before.length === 0) return
    if (verbs.includes('deletecollection'))
      // Background whatever the kind's default is: the dependents are in the namespace and go as well.
      await client.deleteCollection(id, { namespace, propagationPolicy: 'Background' })
    else await deleteEach(client, id, namespace, before)
    count(id, verbs.includes('list') ? await listAll(client, id, namespace) : [], counts)
  } catch (error) {
    // The kind went away (its CustomResourceDefinition was deleted), and its objects with it.
    if (isReason(error, 'NotFound', 'MethodNotAllowed')) return
    counts.contentFailures.push(`${qualified(id)}: ${(error as Error).message}`)
  }
}

async function deleteEach(client: Client, id: ResourceId, namespace: string, objects: KubeObject[]): Promise<void> {
  for (const { metadata } of objects)
    await client.delete(id, namespace, metadata.name!, { propagationPolicy: 'Background' }).catch((error) => {
      if (!isReason(error, 'NotFound')) throw error
    })
}

async function listAll(client: Client, id: ResourceId, namespace: string): Promise<KubeObject[]> {
  const found: KubeObject[] = []
  let next: string | undefined
  do {
    const page = await client.list(id, { namespace, limit: PAGE, ...(next && { continue: next }) })
    found.push(...page.items)
    next = page.metadata.continue
  } while (next !== undefined && next !== '')
  return found
}

function count(id: ResourceId, left: readonly KubeObject[], counts: Counts): void {
  if (left.length === 0) return
  counts.remaining.set(qualified(id), left.length)
  for (const { metadata } of left) {
    for (const finalizer of metadata.finalizers ?? [])
      counts.finalizers.set(finalizer, (counts.finalizers.get(finalizer) ?? 0) + 1)
    counts.graceSeconds = Math.max(counts.graceSeconds, metadata.deletionGracePeriodSeconds ?? 0)
  }
}

const qualified = (id: ResourceId): string => `${id.resource}.${id.group}`
