import type { KubeObject } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import type { Log } from '../../../kernel/feature.ts'
import { isAggregated } from '../aggregation.ts'
import { covers } from '../engine/covers.ts'
import type { PolicyRule, RoleRef, Subject } from '../engine/types.ts'
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES } from '../resource-ids.ts'
import { AUTOUPDATE, type BootstrapPolicy, bootstrapPolicy } from './policy.ts'

const NAMESPACES: ResourceId = { group: '', version: 'v1', resource: 'namespaces' }
/** Somebody else may write the same object at the same time: another server that starts. */
const ATTEMPTS = 4

/**
 * Brings the default roles and bindings to what they should be, with the rules of Kubernetes' reconciliation: what is
 * missing is created; missing rules, subjects, labels and annotations are added; what somebody added stays; an object
 * whose annotation `rbac.authorization.kubernetes.io/autoupdate` is "false" is left alone; a binding that refers to
 * another role than it should is replaced as a whole, because its subjects were given that other role. Writes nothing when nothing is to do. Returns the number of writes.
 */
export async function reconcileBootstrapPolicy(
  client: Client,
  log: Log,
  policy: BootstrapPolicy = bootstrapPolicy(),
): Promise<number> {
  let writes = await ensureNamespaces(client, policy)
  const collections: [ResourceId, KubeObject[]][] = [
    [CLUSTER_ROLES, policy.clusterRoles],
    [ROLES, policy.roles],
    [CLUSTER_ROLE_BINDINGS, policy.clusterRoleBindings],
    [ROLE_BINDINGS, policy.roleBindings],
  ]
  const counts = await Promise.all(
    collections.map(async ([id, wanted]) => {
      const existing = new Map((await client.list(id)).items.map((object) => [keyOf(object), object]))
      const done = await Promise.all(wanted.map((object) => settle(client, id, object, existing.get(keyOf(object)))))
      return done.filter((wrote) => wrote).length
    }),
  )
  writes += counts.reduce((sum, n) => sum + n, 0)
  if (writes > 0) log('info', 'default roles and bindings are up to date', { writes })
  return writes
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}

async function ensureNamespaces(client: Client, policy: BootstrapPolicy): Promise<number> {
  const wanted = new Set([...policy.roles, ...policy.roleBindings].map((o) => o.metadata.namespace!))
  for (const { metadata } of (await client.list(NAMESPACES)).items) wanted.delete(metadata.name!)
  for (const name of wanted)
    await client
      .create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      .catch(ignore('AlreadyExists'))
  return wanted.size
}

async function settle(
  client: Client,
  id: ResourceId,
  wanted: KubeObject,
  listed: KubeObject | undefined,
): Promise<boolean> {
  let existing = listed
  for (let attempt = 1; ; attempt++) {
    try {
      return await settleOnce(client, id, wanted, existing)
    } catch (error) {
      const raced = error instanceof ApiError && ['AlreadyExists', 'Conflict', 'NotFound'].includes(error.reason)
      if (!raced || attempt === ATTEMPTS) throw error
      existing = (await client
        .get(id, wanted.metadata.namespace ?? '', wanted.metadata.name!)
        .catch(ignore('NotFound'))) as KubeObject | undefined
    }
  }
}

async function settleOnce(
  client: Client,
  id: ResourceId,
  wanted: KubeObject,
  existing: KubeObject | undefined,
): Promise<boolean> {
  if (existing === undefined) {
    await client.create(id, structuredClone(wanted))
    return true
  }
  const plan = reconciled(wanted, existing)
  if (plan === undefined) return false
  if (plan.replace) {
    const { uid } = existing.metadata
    await client.delete(id, wanted.metadata.namespace ?? '', wanted.metadata.name!, {
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    })
    await client.create(id, plan.object)
  } else await client.update(id, plan.object)
  return true
}

/**
 * What `existing` has to become; undefined when it is right, or protected. `replace`: the roleRef differs, which only
 * a delete and a create can change.
 */
export function reconciled(
  wanted: KubeObject,
  existing: KubeObject,
): { object: KubeObject; replace: boolean } | undefined {
  if (existing.metadata.annotations?.[AUTOUPDATE] === 'false') return undefined
  if (wanted['roleRef'] !== undefined && !sameRole(existing['roleRef'], wanted['roleRef']))
    return { object: structuredClone(wanted), replace: true }
  const object = structuredClone(existing)
  let changed = addMissing(object, wanted, 'labels')
  changed = addMissing(object, wanted, 'annotations') || changed
  changed = (wanted['roleRef'] === undefined ? addRules : addSubjects)(object, wanted) || changed
  return changed ? { object, replace: false } : undefined
}

/** A value that somebody has set stays as it is. */
function addMissing(object: KubeObject, wanted: KubeObject, field: 'labels' | 'annotations'): boolean {
  let changed = false
  for (const [key, value] of Object.entries(wanted.metadata[field] ?? {})) {
    const own = (object.metadata[field] ??= {})
    if (Object.hasOwn(own, key)) continue
    own[key] = value
    changed = true
  }
  return changed
}

function addRules(object: KubeObject, wanted: KubeObject): boolean {
  let changed = false
  if (isAggregated(wanted)) {
    const selectors: unknown[] = (object['aggregationRule'] ??= { clusterRoleSelectors: [] }).clusterRoleSelectors
    for (const selector of wanted['aggregationRule'].clusterRoleSelectors) {
      if (selectors.some((own) => JSON.stringify(own) === JSON.stringify(selector))) continue
      selectors.push(selector)
      changed = true
    }
    // Its rules are the aggregation controller's.
    return changed
  }
  const { missing } = covers((object['rules'] ?? []) as PolicyRule[], wanted['rules'] as PolicyRule[])
  if (missing.length === 0) return changed
  object['rules'] = [...(object['rules'] ?? []), ...missing]
  return true
}

function addSubjects(object: KubeObject, wanted: KubeObject): boolean {
  const own = (object['subjects'] ?? []) as Subject[]
  const missing = ((wanted['subjects'] ?? []) as Subject[]).filter((s) => !own.some((o) => sameSubject(o, s)))
  if (missing.length === 0) return false
  object['subjects'] = [...own, ...missing]
  return true
}

const sameSubject = (a: Subject, b: Subject): boolean =>
  a.kind === b.kind &&
  a.name === b.name &&
  (a.namespace ?? '') === (b.namespace ?? '') &&
  (a.apiGroup ?? '') === (b.apiGroup ?? '')

const sameRole = (a: RoleRef, b: RoleRef): boolean =>
  a.kind === b.kind && a.name === b.name && a.apiGroup === b.apiGroup

function ignore(reason: string): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof ApiError) || error.reason !== reason) throw error
    return undefined
  }
}
