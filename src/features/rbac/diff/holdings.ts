import type { BindingObject, PolicyRule, RoleObject } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { type Holder, holderOf, holderText } from './holder.ts'
import { type Permission, permissionKey, permissionsOf } from './permission.ts'
import { PermissionSet } from './permission-set.ts'

export type BindingId = { kind: 'RoleBinding' | 'ClusterRoleBinding'; namespace: string; name: string; origin?: string }
export type RoleId = { kind: string; namespace: string; name: string; origin?: string }

/** One binding's gift to one holder. */
export type Grant = { binding: BindingId; role: RoleId; content: RoleContent }

/** A role's permissions; roles that grant the same share one `content`, in both worlds that are compared. */
export type RoleContent = { permissions: readonly Permission[] }

/** Contents by what they grant: makes equal roles the same object. */
export type ContentPool = Map<string, RoleContent>

/** What one holder has cluster-wide ('') and by namespace. */
export type HolderEntry = { holder: Holder; scopes: Map<string, Grant[]> }

export type DanglingGrant = { holder: Holder; binding: BindingId; role: RoleId }

export type Holdings = {
  holders: Map<string, HolderEntry>
  /** Grants whose role does not exist: they give nothing until it does. */
  dangling: DanglingGrant[]
  /** Everything that the holder has from its own bindings of exactly this scope. */
  permissions: (holder: Holder, namespace: string) => PermissionSet
}

/** Who holds what, by subject. Costs what the bindings cost, not what their rules cost: those are read once a role. */
export function holdingsOf(world: RbacWorld, pool: ContentPool): Holdings {
  const holders = new Map<string, HolderEntry>()
  const dangling: DanglingGrant[] = []
  const contentOf = roleContents(world, pool)
  const sets = new Map<string, PermissionSet>()

  const addBinding = (kind: BindingId['kind'], object: BindingObject): void => {
    const namespace = kind === 'RoleBinding' ? (object.metadata.namespace ?? '') : ''
    const origin = world.origin(object)
    const binding: BindingId = {
      kind,
      namespace,
      name: object.metadata.name ?? '',
      ...(origin === undefined ? {} : { origin }),
    }
    const { role, content } = contentOf(object, namespace)
    for (const [text, holder] of holdersOf(object, namespace)) {
      if (content === undefined) {
        dangling.push({ holder, binding, role })
        continue
      }
      let entry = holders.get(text)
      if (entry === undefined) holders.set(text, (entry = { holder, scopes: new Map() }))
      const grants = entry.scopes.get(namespace)
      if (grants === undefined) entry.scopes.set(namespace, [{ binding, role, content }])
      else grants.push({ binding, role, content })
    }
  }
  for (const binding of world.clusterRoleBindings) addBinding('ClusterRoleBinding', binding)
  for (const binding of world.roleBindings) addBinding('RoleBinding', binding)

  const permissions = (holder: Holder, namespace: string): PermissionSet => {
    const text = holderText(holder)
    const key = `${namespace}\0${text}`
    let set = sets.get(key)
    if (set !== undefined) return set
    sets.set(key, (set = new PermissionSet()))
    const contents = new Set(
      holders
        .get(text)
        ?.scopes.get(namespace)
        ?.map((grant) => grant.content),
    )
    for (const content of contents) for (const permission of content.permissions) set.add(permission)
    return set
  }
  return { holders, dangling, permissions }
}

/** Each holder once, however often the binding names it. */
function holdersOf(object: BindingObject, namespace: string): Map<string, Holder> {
  const found = new Map<string, Holder>()
  for (const subject of object.subjects ?? []) {
    const holder = holderOf(subject, namespace)
    if (holder !== undefined) found.set(holderText(holder), holder)
  }
  return found
}

type Referred = { role: RoleId; content: RoleContent | undefined }

function roleContents(world: RbacWorld, pool: ContentPool): (object: BindingObject, namespace: string) => Referred {
  const clusterRoles = new Map(world.clusterRoles.map((role) => [role.metadata.name ?? '', role]))
  const roles = new Map(world.roles.map((role) => [`${role.metadata.namespace}/${role.metadata.name}`, role]))
  const known = new Map<RoleObject, Partial<Record<'cluster' | 'namespace', RoleContent>>>()
  return ({ roleRef }, namespace) => {
    const isCluster = roleRef.kind === 'ClusterRole'
    const at = isCluster ? '' : namespace
    const object = isCluster
      ? clusterRoles.get(roleRef.name)
      : roleRef.kind === 'Role'
        ? roles.get(`${at}/${roleRef.name}`)
        : undefined
    const id: RoleId = { kind: roleRef.kind, namespace: at, name: roleRef.name }
    if (object === undefined) return { role: id, content: undefined }
    const where = namespace === '' ? 'cluster' : 'namespace'
    let contents = known.get(object)
    if (contents === undefined) known.set(object, (contents = {}))
    const origin = world.origin(object)
    return {
      role: origin === undefined ? id : { ...id, origin },
      content: (contents[where] ??= pooled(pool, object.rules ?? [], where)),
    }
  }
}

function pooled(pool: ContentPool, rules: readonly PolicyRule[], where: 'cluster' | 'namespace'): RoleContent {
  const permissions = permissionsOf(rules, where)
  const key = permissions.map(permissionKey).sort().join('\n')
  let content = pool.get(key)
  if (content === undefined) pool.set(key, (content = { permissions }))
  return content
}
