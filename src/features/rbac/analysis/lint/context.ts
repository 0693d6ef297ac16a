import type { KubeObject } from '../../../../kernel/api/object.ts'
import { compileLabelSelector, type LabelSelector, matchesSelector } from '../../../../kernel/api/selectors.ts'
import type { BindingObject, PolicyRule, RoleObject, Subject } from '../../engine/types.ts'
import type { AggregatedRoleObject, RbacWorld } from '../../world.ts'
import { objectRef } from '../describe.ts'
import type { KnownResources } from '../known-resources.ts'
import { type BindingKind, indexWorld, type RoleKind, type WorldIndex } from '../world-index.ts'
import type { Finding } from './finding.ts'
import { ruleKey, type SystemPolicy } from './system.ts'

/** Where a role counts, by its bindings and those of the roles that gather it. */
export type RoleUse = {
  everywhere: boolean
  namespaces: Set<string>
  subjects: number
  /** False when no binding refers to it and no aggregation rule gathers it. */
  used: boolean
}

export type OwnRule = { rule: PolicyRule; index: number }

/** A role that is looked at, with the rules that are not Kubernetes' own or another role's. */
export type LintedRole = { kind: RoleKind; role: RoleObject; rules: OwnRule[]; use: RoleUse; isSystem: boolean }

/** A binding with the subjects that are not Kubernetes' own. */
export type LintedBinding = {
  kind: BindingKind
  binding: BindingObject
  /** '' everywhere. */
  namespace: string
  subjects: Subject[]
  found: ReturnType<WorldIndex['roleOf']>
}

export type LintContext = {
  world: RbacWorld
  known: KnownResources
  system: SystemPolicy
  roles: LintedRole[]
  bindings: LintedBinding[]
}

/** The object of a finding, and where it stands. */
export function place(
  { world }: LintContext,
  kind: string,
  object: RoleObject | BindingObject,
): Pick<Finding, 'object' | 'at'> {
  const at = world.origin(object)
  return { object: objectRef(kind, object), ...(at === undefined ? {} : { at }) }
}

export function lintContext(world: RbacWorld, known: KnownResources, system: SystemPolicy): LintContext {
  const { roleOf } = indexWorld(world)
  const uses = new Map<RoleObject, RoleUse>()
  const useOf = (role: RoleObject): RoleUse => {
    let use = uses.get(role)
    if (use === undefined)
      uses.set(role, (use = { everywhere: false, namespaces: new Set(), subjects: 0, used: false }))
    return use
  }
  const bindings: LintedBinding[] = []
  const add = (kind: BindingKind, binding: BindingObject): void => {
    const namespace = kind === 'RoleBinding' ? (binding.metadata.namespace ?? '') : ''
    const found = roleOf(binding, kind)
    const subjects = (binding.subjects ?? []).filter((subject) => !system.isSubject(kind, binding, subject))
    bindings.push({ kind, binding, namespace, subjects, found })
    if (found === undefined) return
    const use = useOf(found.role)
    use.used = true
    if ((binding.subjects?.length ?? 0) === 0) return
    use.subjects += binding.subjects!.length
    if (namespace === '') use.everywhere = true
    else use.namespaces.add(namespace)
  }
  for (const binding of world.clusterRoleBindings) add('ClusterRoleBinding', binding)
  for (const binding of world.roleBindings) add('RoleBinding', binding)
  spreadToGathered(world.clusterRoles, useOf)

  const ownKeys = new Set<string>()
  for (const role of world.clusterRoles)
    if (!role.aggregationRule) for (const rule of role.rules ?? []) ownKeys.add(ruleKey(rule))
  const linted = (kind: RoleKind, role: AggregatedRoleObject): LintedRole => ({
    kind,
    role,
    rules: (role.rules ?? [])
      .map((rule, index) => ({ rule, index }))
      .filter(({ rule }) => !system.isRule(kind, role, rule) && !(role.aggregationRule && ownKeys.has(ruleKey(rule)))),
    use: useOf(role),
    isSystem: system.isRole(kind, role),
  })
  const roles = [
    ...world.clusterRoles.map((role) => linted('ClusterRole', role)),
    ...world.roles.map((role) => linted('Role', role)),
  ]
  return { world, known, system, roles, bindings }
}

/** What an aggregated role gives, the roles that it gathers give. */
function spreadToGathered(clusterRoles: readonly AggregatedRoleObject[], useOf: (role: RoleObject) => RoleUse): void {
  const aggregated = clusterRoles.filter((role) => role.aggregationRule)
  const gathered = aggregated.map((role) => {
    const selectors = ((role.aggregationRule!.clusterRoleSelectors ?? []) as LabelSelector[]).map(compileLabelSelector)
    const from = clusterRoles.filter(
      (other) =>
        other !== role &&
        selectors.some((s) => s !== undefined && matchesSelector(s, (other as KubeObject).metadata.labels)),
    )
    return [role, from] as const
  })
  // edit is gathered by admin: each round carries one level further.
  for (let round = 0; round < aggregated.length; round++)
    for (const [role, from] of gathered) {
      const use = useOf(role)
      for (const other of from) {
        const its = useOf(other)
        its.used = true
        its.everywhere ||= use.everywhere
        its.subjects = Math.max(its.subjects, use.subjects)
        for (const namespace of use.namespaces) its.namespaces.add(namespace)
      }
    }
}
