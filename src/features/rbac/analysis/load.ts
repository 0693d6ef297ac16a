import { type KubeObject, parseApiVersion } from '../../../kernel/api/object.ts'
import { ApiError } from '../../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import { aggregatedRules, isAggregated, sameRules } from '../aggregation.ts'
import { bootstrapPolicy } from '../bootstrap/policy.ts'
import { type BindingObject, RBAC_GROUP, type RoleObject } from '../engine/types.ts'
import { CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES } from '../resource-ids.ts'
import type { AggregatedRoleObject, RbacWorld } from '../world.ts'
import { checkObject } from './check-object.ts'
import { RbacWorldError } from './world-error.ts'

export { RbacWorldError } from './world-error.ts'

/** Pods and the kinds that make pods: they say what runs as which service account. */
const WORKLOADS: Readonly<Record<string, ResourceId>> = {
  Pod: { group: '', version: 'v1', resource: 'pods' },
  ReplicationController: { group: '', version: 'v1', resource: 'replicationcontrollers' },
  Deployment: { group: 'apps', version: 'v1', resource: 'deployments' },
  StatefulSet: { group: 'apps', version: 'v1', resource: 'statefulsets' },
  DaemonSet: { group: 'apps', version: 'v1', resource: 'daemonsets' },
  ReplicaSet: { group: 'apps', version: 'v1', resource: 'replicasets' },
  Job: { group: 'batch', version: 'v1', resource: 'jobs' },
  CronJob: { group: 'batch', version: 'v1', resource: 'cronjobs' },
}
const SERVICE_ACCOUNTS: ResourceId = { group: '', version: 'v1', resource: 'serviceaccounts' }
/** ReplicaSets repeat what their Deployments say. */
const NOT_READ_LIVE = new Set(['ReplicaSet'])

const PAGE = 500
const MAX_OBJECTS = 1_000_000

export type ClientLoadOptions = {
  /** False: only what decides; the analyses of pods have nothing to look at. Default true. */
  workloads?: boolean
  /** Told of what could not be read and is left out. */
  remark?: (text: string) => void
}

/**
 * Reads a live cluster, whose controller has applied aggregation already. Rejects with ApiError when roles or bindings
 * may not be read; service accounts and workloads that may not be read, or are not served, are left out with a remark.
 */
export async function worldFromClient(client: Client, options: ClientLoadOptions = {}): Promise<RbacWorld> {
  const optional = async (kind: string, id: ResourceId): Promise<KubeObject[]> => {
    try {
      return await listAll(client, kind, id)
    } catch (error) {
      if (!(error instanceof ApiError) || (error.code !== 403 && error.code !== 404)) throw error
      if (error.code === 403) options.remark?.(`${id.resource} are left out: ${error.message}`)
      return []
    }
  }
  const kinds =
    options.workloads === false ? [] : Object.entries(WORKLOADS).filter(([kind]) => !NOT_READ_LIVE.has(kind))
  const [clusterRoles, clusterRoleBindings, roles, roleBindings, serviceAccounts, ...workloads] = await Promise.all([
    listAll(client, 'ClusterRole', CLUSTER_ROLES),
    listAll(client, 'ClusterRoleBinding', CLUSTER_ROLE_BINDINGS),
    listAll(client, 'Role', ROLES),
    listAll(client, 'RoleBinding', ROLE_BINDINGS),
    optional('ServiceAccount', SERVICE_ACCOUNTS),
    ...kinds.map(([kind, id]) => optional(kind, id)),
  ])
  return {
    clusterRoles: clusterRoles as AggregatedRoleObject[],
    clusterRoleBindings: clusterRoleBindings as (KubeObject & BindingObject)[],
    roles: roles as (KubeObject & RoleObject)[],
    roleBindings: roleBindings as (KubeObject & BindingObject)[],
    serviceAccounts,
    workloads: workloads.flat(),
    origin: () => undefined,
  }
}

/** Items of lists do not say what they are: `kind` is put in where it is missing. */
async function listAll(client: Client, kind: string, id: ResourceId): Promise<KubeObject[]> {
  const all: KubeObject[] = []
  let next: string | undefined
  do {
    const page = await client.list(id, { limit: PAGE, ...(next === undefined ? {} : { continue: next }) })
    for (const item of page.items)
      all.push(item.kind ? item : { ...item, kind, apiVersion: id.group ? `${id.group}/${id.version}` : id.version })
    if (all.length > MAX_OBJECTS) throw new RbacWorldError(`there are more than ${MAX_OBJECTS} ${id.resource}`)
    next = page.metadata.continue || undefined
  } while (next !== undefined)
  return all
}

export type SourceObject = { object: KubeObject; file: string; line: number }

export type ObjectLoadOptions = {
  /** Add the default roles and bindings of Kubernetes that the manifests do not bring themselves. Default false. */
  defaults?: boolean
  /** Of namespaced objects that name none; `default` unless told otherwise. */
  namespace?: string
}

/**
 * The world that applying these objects to an empty cluster would make: other kinds are skipped, aggregation rules
 * applied. Throws RbacWorldError, which names the places, for one object given twice and for objects of wrong form.
 */
export function worldFromObjects(objects: Iterable<SourceObject>, options: ObjectLoadOptions = {}): RbacWorld {
  const found = new Map<string, KubeObject>()
  const places = new WeakMap<object, string>()
  for (const { object, file, line } of objects) {
    const namespaced = worldKind(object)
    if (namespaced === undefined) continue
    const place = `${file}:${line}`
    checkObject(object, place)
    const own = normalised(object, namespaced ? (options.namespace ?? 'default') : undefined)
    const key = keyOf(own)
    const known = found.get(key)
    if (known !== undefined) throw new RbacWorldError(`${place}: ${key} stands at ${places.get(known)} already`)
    found.set(key, own)
    places.set(own, place)
    if (found.size > MAX_OBJECTS) throw new RbacWorldError(`${place}: more than ${MAX_OBJECTS} objects`)
  }
  if (options.defaults)
    for (const object of Object.values(bootstrapPolicy()).flat())
      if (!found.has(keyOf(object))) found.set(keyOf(object), object)
  const of = (kind: string): KubeObject[] => [...found.values()].filter((object) => object.kind === kind)
  return {
    clusterRoles: aggregated(of('ClusterRole'), places),
    clusterRoleBindings: of('ClusterRoleBinding') as (KubeObject & BindingObject)[],
    roles: of('Role'),
    roleBindings: of('RoleBinding') as (KubeObject & BindingObject)[],
    serviceAccounts: of('ServiceAccount'),
    workloads: [...found.values()].filter((object) => Object.hasOwn(WORKLOADS, object.kind)),
    origin: (object) => places.get(object),
  }
}

/** Whether a kind that a world holds is namespaced; undefined for other kinds. */
function worldKind(object: KubeObject): boolean | undefined {
  const { group } = parseApiVersion(object.apiVersion)
  if (group === RBAC_GROUP) {
    if (object.kind === 'ClusterRole' || object.kind === 'ClusterRoleBinding') return false
    return object.kind === 'Role' || object.kind === 'RoleBinding' ? true : undefined
  }
  if (group === '' && object.kind === 'ServiceAccount') return true
  // Deployments and DaemonSets were once in extensions.
  if (!Object.hasOwn(WORKLOADS, object.kind)) return undefined
  return group === WORKLOADS[object.kind]!.group || group === 'extensions' ? true : undefined
}

/** With a namespace where one belongs, and without nulls: `labels:` with nothing after it is no labels. */
function normalised(object: KubeObject, namespace: string | undefined): KubeObject {
  const metadata = Object.fromEntries(Object.entries(object.metadata).filter(([, value]) => value !== null))
  if (namespace !== undefined && !metadata['namespace']) metadata['namespace'] = namespace
  return { ...object, metadata }
}

/** Also what messages call the object: `Role shop/reader`, `ClusterRole view`. */
function keyOf({ kind, metadata: { namespace, name } }: KubeObject): string {
  const scoped = kind !== 'ClusterRole' && kind !== 'ClusterRoleBinding' && namespace
  return `${kind} ${scoped ? `${namespace}/` : ''}${name}`
}

/**
 * Gives aggregated roles the rules that they gather. An aggregated role may gather another one; each round settles one
 * level at least. The objects that were given are not changed.
 */
function aggregated(given: readonly KubeObject[], places: WeakMap<object, string>): AggregatedRoleObject[] {
  const roles = given.map((role) => (isAggregated(role) ? { ...role, rules: [] } : role))
  for (const [i, role] of roles.entries()) {
    const place = places.get(given[i]!)
    if (place !== undefined) places.set(role, place)
  }
  const gathering = roles.filter(isAggregated)
  for (let round = 0; round < gathering.length; round++) {
    let changed = false
    for (const role of gathering) {
      const rules = aggregatedRules(role, roles)
      if (sameRules(role['rules'], rules)) continue
      role['rules'] = rules
      changed = true
    }
    if (!changed) break
  }
  return roles
}
