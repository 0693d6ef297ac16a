import { createRbacEngine, type RbacEngine } from '../engine/engine.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { type SubjectId, subjectId, subjectKey } from './subject.ts'

export type RoleKind = 'Role' | 'ClusterRole'
export type BindingKind = 'RoleBinding' | 'ClusterRoleBinding'

/** One subject of one binding whose role exists. */
export type Grant = {
  subject: SubjectId
  /** As the binding writes it. */
  written: Subject
  binding: BindingObject
  bindingKind: BindingKind
  /** Where it counts; '' everywhere. */
  namespace: string
  role: RoleObject
  roleKind: RoleKind
  rules: readonly PolicyRule[]
}

export type WorldIndex = {
  grants: readonly Grant[]
  /** By subjectKey. */
  bySubject: ReadonlyMap<string, readonly Grant[]>
  /** The role that a binding refers to; undefined when it does not exist. */
  roleOf: (binding: BindingObject, kind: BindingKind) => { role: RoleObject; kind: RoleKind } | undefined
  /** Roles by namespace. */
  rolesIn: ReadonlyMap<string, readonly RoleObject[]>
  engine: () => RbacEngine
}

const indexes = new WeakMap<RbacWorld, WorldIndex>()

/** Made once for each world, which must not change afterwards. */
export function indexWorld(world: RbacWorld): WorldIndex {
  let index = indexes.get(world)
  if (index === undefined) indexes.set(world, (index = build(world)))
  return index
}

function build(world: RbacWorld): WorldIndex {
  const clusterRoles = new Map(world.clusterRoles.map((role) => [role.metadata.name ?? '', role]))
  const roles = new Map(
    world.roles.map((role) => [`${role.metadata.namespace ?? ''}/${role.metadata.name ?? ''}`, role]),
  )
  const rolesIn = Map.groupBy(world.roles, ({ metadata }) => metadata.namespace ?? '')
  const roleOf: WorldIndex['roleOf'] = ({ roleRef, metadata }, bindingKind) => {
    if (roleRef.kind === 'ClusterRole') {
      const role = clusterRoles.get(roleRef.name)
      return role && { role, kind: 'ClusterRole' }
    }
    if (roleRef.kind !== 'Role' || bindingKind === 'ClusterRoleBinding') return undefined
    const role = roles.get(`${metadata.namespace ?? ''}/${roleRef.name}`)
    return role && { role, kind: 'Role' }
  }
  const grants: Grant[] = []
  const bySubject = new Map<string, Grant[]>()
  const add = (binding: BindingObject, bindingKind: BindingKind): void => {
    const found = roleOf(binding, bindingKind)
    if (found === undefined) return
    const namespace = bindingKind === 'RoleBinding' ? (binding.metadata.namespace ?? '') : ''
    for (const written of binding.subjects ?? []) {
      const subject = subjectId(written, namespace)
      if (subject === undefined) continue
      const { role, kind: roleKind } = found
      const grant = { subject, written, binding, bindingKind, namespace, role, roleKind, rules: role.rules ?? [] }
      grants.push(grant)
      const key = subjectKey(subject)
      const known = bySubject.get(key)
      if (known === undefined) bySubject.set(key, [grant])
      else known.push(grant)
    }
  }
  for (const binding of world.clusterRoleBindings) add(binding, 'ClusterRoleBinding')
  for (const binding of world.roleBindings) add(binding, 'RoleBinding')
  let engine: RbacEngine | undefined
  return { grants, bySubject, roleOf, rolesIn, engine: () => (engine ??= engineOf(world)) }
}

function engineOf(world: RbacWorld): RbacEngine {
  const engine = createRbacEngine()
  world.clusterRoles.forEach(engine.upsertClusterRole)
  world.roles.forEach(engine.upsertRole)
  world.clusterRoleBindings.forEach(engine.upsertClusterRoleBinding)
  world.roleBindings.forEach(engine.upsertRoleBinding)
  return engine
}
