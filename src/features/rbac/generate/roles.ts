import type { Holder } from '../diff/holder.ts'
import { compare, compareVerbs, mergePermissions } from '../diff/merge-rules.ts'
import { type Permission, permissionKey } from '../diff/permission.ts'
import { PermissionSet } from '../diff/permission-set.ts'
import { type PolicyRule, RBAC_GROUP, type RoleRef, type Subject } from '../engine/types.ts'
import { type NamesMode, namesFor } from './names.ts'
import { roleNamePart } from './role-name.ts'
import type { AccessUse, HolderUse, Usage, Use } from './usage.ts'

export type GenerateOptions = {
  /** Of the roles and bindings, or (with several holders) how their names begin. */
  name: string | undefined
  names: NamesMode
  /** Most names in `auto`. */
  maxNames: number
  /** Accesses seen less often are left out. */
  minCount: number
  /**
   * What was done in every namespace of the log, and in at least so many, is granted cluster-wide; 0: never.
   */
  minNamespaces: number
  /** Left out when it covers an access: what everybody may anyway. */
  heldAnyway?: PermissionSet
}

export type UsedRule = { rule: PolicyRule; use: Use; byVerb: [verb: string, count: number][] }

export type GeneratedRole = {
  kind: 'Role' | 'ClusterRole'
  name: string
  /** '' for a ClusterRole. */
  namespace: string
  rules: UsedRule[]
  holder: Holder
}

export type LeftOut = { holder: Holder; namespace: string; permission: Permission; use: Use }
export type Generated = { roles: GeneratedRole[]; leftOut: LeftOut[] }

type Needs = Map<string, { permission: Permission; use: Use }>

/**
 * The least that allows what was seen: for each holder a ClusterRole for what was done cluster-wide and a Role in every
 * namespace for the rest. Deterministic: it depends on what the log holds, not on its order.
 */
export function generateRoles(usage: Usage, options: GenerateOptions): Generated {
  const holders = [...usage.holders].sort(([a], [b]) => compare(a, b)).map(([, use]) => use)
  const generated: Generated = { roles: [], leftOut: [] }
  for (const use of holders) {
    const part = roleNamePart(use.holder)
    const name =
      options.name === undefined ? `audit.${part}` : holders.length === 1 ? options.name : `${options.name}.${part}`
    const { scopes, leftOut } = needsOf(use, usage, options)
    generated.leftOut.push(...leftOut)
    for (const namespace of [...scopes.keys()].sort(compare)) {
      const needs = scopes.get(namespace)!
      if (needs.size === 0) continue
      const kind = namespace === '' ? 'ClusterRole' : 'Role'
      generated.roles.push({ kind, name, namespace, rules: usedRules(needs), holder: use.holder })
    }
  }
  return generated
}

function needsOf(
  { holder, uses }: HolderUse,
  usage: Usage,
  options: GenerateOptions,
): { scopes: Map<string, Needs>; leftOut: LeftOut[] } {
  const scopes = new Map<string, Needs>([['', new Map()]])
  const leftOut: LeftOut[] = []
  for (const use of uses.values()) {
    const namespace = 'path' in use.access ? '' : use.access.namespace
    for (const [permission, one] of permissionsOfUse(use, options)) {
      if (options.heldAnyway?.covers(permission)) continue
      if (one.count < options.minCount) {
        leftOut.push({ holder, namespace, permission, use: one })
        continue
      }
      if (!scopes.has(namespace)) scopes.set(namespace, new Map())
      put(scopes.get(namespace)!, permission, one)
    }
  }
  if (options.minNamespaces > 0 && usage.namespaces.size >= options.minNamespaces) widen(scopes, usage.namespaces)
  dropCovered(scopes)
  leftOut.sort(
    (a, b) => compare(a.namespace, b.namespace) || compare(permissionKey(a.permission), permissionKey(b.permission)),
  )
  return { scopes, leftOut }
}

function* permissionsOfUse(use: AccessUse, options: GenerateOptions): Generator<[Permission, Use]> {
  const { access, count, last } = use
  if ('path' in access)
    return yield [
      { verb: access.verb, url: access.path },
      { count, last },
    ]
  const { verb, apiGroup, resource } = access
  const names = namesFor(use, options.names, options.maxNames)
  if (names === undefined)
    return yield [
      { verb, apiGroup, resource, name: undefined },
      { count, last },
    ]
  for (const [name, one] of names) yield [{ verb, apiGroup, resource, name }, one]
}

function put(needs: Needs, permission: Permission, use: Use): void {
  const key = permissionKey(permission)
  const known = needs.get(key)
  needs.set(key, {
    permission,
    use: known === undefined ? use : { count: known.use.count + use.count, last: Math.max(known.use.last, use.last) },
  })
}

/** What is needed in all namespaces alike moves into the cluster's scope. */
function widen(scopes: Map<string, Needs>, namespaces: ReadonlySet<string>): void {
  const all = [...namespaces].map((namespace) => scopes.get(namespace))
  const [first, ...others] = all
  if (first === undefined) return
  for (const [key, { permission }] of first) {
    if (!others.every((needs) => needs?.has(key))) continue
    for (const needs of all) put(scopes.get('')!, permission, needs!.get(key)!.use)
  }
}

/** What is allowed cluster-wide, or without names, need not be allowed again. Its uses count where it is allowed. */
function dropCovered(scopes: Map<string, Needs>): void {
  const cluster = scopes.get('')!
  const wide = new PermissionSet([...cluster.values()].map(({ permission }) => permission))
  for (const [namespace, needs] of scopes) {
    const own = new PermissionSet([...needs.values()].map(({ permission }) => permission))
    for (const [key, { permission }] of needs)
      if (own.coversByAnother(permission) || (namespace !== '' && wide.covers(permission))) needs.delete(key)
  }
}

function usedRules(needs: Needs): UsedRule[] {
  return mergePermissions([...needs.values()].map(({ permission }) => permission)).map(({ rule, permissions }) => {
    const uses = permissions.map((permission) => needs.get(permissionKey(permission))!)
    const byVerb = new Map<string, number>()
    for (const { permission, use } of uses) byVerb.set(permission.verb, (byVerb.get(permission.verb) ?? 0) + use.count)
    return {
      rule,
      use: {
        count: uses.reduce((sum, { use }) => sum + use.count, 0),
        last: uses.reduce((last, { use }) => Math.max(last, use.last), 0),
      },
      byVerb: [...byVerb].sort(([a], [b]) => compareVerbs(a, b)),
    }
  })
}

type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string }
  rules?: readonly PolicyRule[]
  roleRef?: RoleRef
  subjects?: Subject[]
}

/** A role and the binding that gives it to its holder, as kubectl applies them. */
export function manifestsOf(role: GeneratedRole): [role: Manifest, binding: Manifest] {
  const metadata = { name: role.name, ...(role.namespace === '' ? {} : { namespace: role.namespace }) }
  const apiVersion = `${RBAC_GROUP}/v1`
  const { holder } = role
  const subject: Subject =
    holder.kind === 'ServiceAccount'
      ? { kind: holder.kind, namespace: holder.namespace, name: holder.name }
      : { apiGroup: RBAC_GROUP, kind: holder.kind, name: holder.name }
  return [
    { apiVersion, kind: role.kind, metadata, rules: role.rules.map(({ rule }) => rule) },
    {
      apiVersion,
      kind: `${role.kind}Binding`,
      metadata,
      roleRef: { apiGroup: RBAC_GROUP, kind: role.kind, name: role.name },
      subjects: [subject],
    },
  ]
}
