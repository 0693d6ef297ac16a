import type { KubeObject } from '../../../kernel/api/object.ts'
import { aggregatedRules, isAggregated, sameRules } from '../aggregation.ts'
import type { AggregatedRoleObject, RbacWorld } from '../world.ts'

type Named = { metadata: { name?: string; namespace?: string } }

/** What the world would be once the objects of `over` are applied to `base`: same name, other object; nothing is pruned. */
export function overlay(base: RbacWorld, over: RbacWorld): RbacWorld {
  const laid = <T extends Named>(below: readonly T[], above: readonly T[], key: (object: T) => string): T[] => [
    ...new Map([...below, ...above].map((object) => [key(object), object])).values(),
  ]
  const byName = ({ metadata }: Named): string => `${metadata.namespace ?? ''}/${metadata.name}`
  const { roles, copyOf } = gathered(laid(base.clusterRoles, over.clusterRoles, byName))
  return {
    clusterRoles: roles,
    clusterRoleBindings: laid(base.clusterRoleBindings, over.clusterRoleBindings, byName),
    roles: laid(base.roles, over.roles, byName),
    roleBindings: laid(base.roleBindings, over.roleBindings, byName),
    serviceAccounts: laid(base.serviceAccounts, over.serviceAccounts, byName),
    workloads: laid(base.workloads, over.workloads, (object) => `${object.kind}/${byName(object)}`),
    origin: (object) => {
      const source = copyOf.get(object) ?? object
      return over.origin(source) ?? base.origin(source)
    },
  }
}

/**
 * Aggregated roles gather anew, as the controller would; they may gather each other, and every round settles at least
 * one. The roles given are not changed: `copyOf` leads from a copy back.
 */
function gathered(given: readonly AggregatedRoleObject[]): {
  roles: AggregatedRoleObject[]
  copyOf: Map<object, AggregatedRoleObject>
} {
  const copyOf = new Map<object, AggregatedRoleObject>()
  const roles = given.map((role) => {
    if (!isAggregated(role as unknown as KubeObject)) return role
    const copy = { ...role, rules: [] }
    copyOf.set(copy, role)
    return copy
  })
  const objects = roles as unknown as KubeObject[]
  let changed = true
  for (let round = 0; changed && round <= copyOf.size; round++) {
    changed = false
    for (const role of objects) {
      if (!isAggregated(role)) continue
      const rules = aggregatedRules(role, objects)
      if (sameRules(role['rules'], rules)) continue
      role['rules'] = rules
      changed = true
    }
  }
  return { roles, copyOf }
}
