import { compileLabelSelector, type LabelSelector, matchesSelector } from '../../../kernel/api/selectors.ts'
import type { PolicyRule } from '../engine/types.ts'
import type { AggregatedRoleObject, RbacWorld } from '../world.ts'
import { compare, mergeRules } from './merge-rules.ts'
import { permissionsOf } from './permission.ts'
import { PermissionSet } from './permission-set.ts'

/** An aggregated ClusterRole that gathers other permissions now, whether or not anybody is bound to it yet. */
export type AggregationChange = {
  clusterRole: string
  /** Names of the ClusterRoles that it begins and ceases to gather. */
  joined: string[]
  left: string[]
  gained: PolicyRule[]
  lost: PolicyRule[]
}

/** Only of roles that both worlds have: one that comes or goes changes somebody's rights through bindings or not at all. */
export function aggregationChanges(before: RbacWorld, now: RbacWorld): AggregationChange[] {
  const old = new Map(before.clusterRoles.map((role) => [role.metadata.name ?? '', role]))
  const changes: AggregationChange[] = []
  for (const role of now.clusterRoles) {
    const was = old.get(role.metadata.name ?? '')
    if (was === undefined || (selectorsOf(role).length === 0 && selectorsOf(was).length === 0)) continue
    const gained = uncovered(was, role)
    const lost = uncovered(role, was)
    if (gained.length + lost.length === 0) continue
    const [members, others] = [membersOf(role, now), membersOf(was, before)]
    changes.push({
      clusterRole: role.metadata.name ?? '',
      joined: [...members.difference(others)].sort(compare),
      left: [...others.difference(members)].sort(compare),
      gained,
      lost,
    })
  }
  return changes.sort((a, b) => compare(a.clusterRole, b.clusterRole))
}

function selectorsOf(role: AggregatedRoleObject): LabelSelector[] {
  return (role.aggregationRule?.clusterRoleSelectors ?? []) as LabelSelector[]
}

/** What `role` grants beyond `than`. */
function uncovered(than: AggregatedRoleObject, role: AggregatedRoleObject): PolicyRule[] {
  const held = new PermissionSet(permissionsOf(than.rules ?? [], 'cluster'))
  const missing = permissionsOf(role.rules ?? [], 'cluster').filter((permission) => !held.covers(permission))
  return missing.length === 0 ? [] : mergeRules(missing)
}

/** Names of the ClusterRoles that an aggregated one gathers directly; none for a role that gathers nothing. */
export function membersOf(role: AggregatedRoleObject, world: RbacWorld): Set<string> {
  const members = new Set<string>()
  for (const labels of selectorsOf(role)) {
    const selector = compileLabelSelector(labels)
    if (selector === undefined) continue
    for (const other of world.clusterRoles)
      if (other.metadata.name !== role.metadata.name && matchesSelector(selector, other.metadata.labels))
        members.add(other.metadata.name ?? '')
  }
  return members
}
