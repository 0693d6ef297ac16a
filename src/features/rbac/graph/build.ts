import { createHash } from 'node:crypto'
import { membersOf } from '../diff/aggregation-changes.ts'
import { dangersOf } from '../diff/danger.ts'
import { groupsOf, type Holder, holderOf } from '../diff/holder.ts'
import { compare } from '../diff/merge-rules.ts'
import { permissionKey, permissionsOf } from '../diff/permission.ts'
import { ruleText } from '../diff/report.ts'
import type { BindingObject, PolicyRule, RoleObject } from '../engine/types.ts'
import type { AggregatedRoleObject, RbacWorld } from '../world.ts'
import { type GraphEdge, type GraphNode, KIND_ORDER, type NodeKind, type RbacGraph } from './graph.ts'
import { serviceAccountOf } from './pod-spec.ts'

/** Everything of the world as a graph; the order of its objects has no influence. */
export function buildGraph(world: RbacWorld): RbacGraph {
  const graph = new Builder(world)
  for (const role of world.clusterRoles) graph.addRole('ClusterRole', role)
  for (const role of world.roles) graph.addRole('Role', role)
  for (const role of world.clusterRoles) graph.addAggregation(role)
  for (const binding of world.clusterRoleBindings) graph.addBinding('ClusterRoleBinding', binding)
  for (const binding of world.roleBindings) graph.addBinding('RoleBinding', binding)
  for (const { metadata } of world.serviceAccounts)
    graph.addHolder({ kind: 'ServiceAccount', namespace: metadata.namespace ?? '', name: metadata.name ?? '' })
  graph.addWorkloads()
  return graph.finish()
}

class Builder {
  readonly #world: RbacWorld
  readonly #nodes = new Map<string, GraphNode>()
  readonly #edges = new Map<string, GraphEdge>()
  readonly #holders = new Map<string, Holder>()

  constructor(world: RbacWorld) {
    this.#world = world
  }

  addRole(kind: 'Role' | 'ClusterRole', role: RoleObject): void {
    const id = this.#node(kind, role.metadata.namespace, role.metadata.name ?? '', role)
    const dangers = new Set<string>()
    for (const rule of role.rules ?? []) {
      const ruleId = this.#rule(id, role.metadata.namespace, rule)
      if (ruleId === undefined) continue
      this.#edge(id, ruleId, 'grants')
      for (const why of this.#nodes.get(ruleId)!.dangers ?? []) dangers.add(why)
    }
    if (dangers.size > 0) this.#nodes.get(id)!.dangers = [...dangers].sort(compare)
  }

  addAggregation(role: AggregatedRoleObject): void {
    for (const member of membersOf(role, this.#world))
      this.#edge(
        idOf('ClusterRole', undefined, role.metadata.name ?? ''),
        idOf('ClusterRole', undefined, member),
        'gathers',
      )
  }

  addBinding(kind: 'RoleBinding' | 'ClusterRoleBinding', binding: BindingObject): void {
    const namespace = kind === 'RoleBinding' ? (binding.metadata.namespace ?? '') : ''
    const id = this.#node(kind, namespace || undefined, binding.metadata.name ?? '', binding)
    const roleKind = binding.roleRef.kind === 'ClusterRole' ? 'ClusterRole' : 'Role'
    const roleNamespace = roleKind === 'Role' ? namespace || undefined : undefined
    const roleId = idOf(roleKind, roleNamespace, binding.roleRef.name)
    if (!this.#nodes.has(roleId)) {
      this.#node(roleKind, roleNamespace, binding.roleRef.name)
      this.#nodes.get(roleId)!.missing = true
    }
    this.#edge(id, roleId, 'refers to')
    this.#endanger(id, this.#nodes.get(roleId)!.dangers)
    for (const subject of binding.subjects ?? []) {
      const holder = holderOf(subject, namespace)
      if (holder === undefined) continue
      const holderId = this.addHolder(holder)
      this.#edge(holderId, id, 'bound by')
      this.#endanger(holderId, this.#nodes.get(id)!.dangers)
    }
  }

  addHolder(holder: Holder): string {
    const id = this.#node(holder.kind, holder.kind === 'ServiceAccount' ? holder.namespace : undefined, holder.name)
    this.#holders.set(id, holder)
    return id
  }

  addWorkloads(): void {
    for (const workload of this.#world.workloads) {
      const account = serviceAccountOf(workload)
      // What a controller made is shown by its controller.
      const isOwned = workload.metadata.ownerReferences?.some((owner) => owner.controller)
      if (account === undefined || isOwned) continue
      const namespace = workload.metadata.namespace ?? ''
      const id = `Workload/${workload.kind}/${namespace}/${workload.metadata.name}`
      const origin = this.#world.origin(workload)
      this.#nodes.set(id, {
        id,
        kind: 'Workload',
        objectKind: workload.kind,
        namespace,
        name: workload.metadata.name ?? '',
        ...(origin === undefined ? {} : { origin }),
      })
      const holderId = this.addHolder({ kind: 'ServiceAccount', namespace, name: account })
      this.#edge(id, holderId, 'runs as')
    }
  }

  finish(): RbacGraph {
    for (const [id, holder] of this.#holders)
      for (const group of groupsOf(holder)) {
        const groupId = idOf(group.kind, undefined, group.name)
        if (this.#nodes.has(groupId)) this.#edge(id, groupId, 'member of')
      }
    return { nodes: [...this.#nodes.values()].sort(nodeOrder), edges: [...this.#edges.values()].sort(edgeOrder) }
  }

  #node(kind: NodeKind, namespace: string | undefined, name: string, object?: object): string {
    const id = idOf(kind, namespace, name)
    if (this.#nodes.has(id)) return id
    const origin = object === undefined ? undefined : this.#world.origin(object)
    this.#nodes.set(id, {
      id,
      kind,
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(origin === undefined ? {} : { origin }),
    })
    return id
  }

  /** Rules that grant the same are one node of their role; undefined for a rule that grants nothing. */
  #rule(roleId: string, namespace: string | undefined, rule: PolicyRule): string | undefined {
    const permissions = permissionsOf([rule], 'cluster')
    if (permissions.length === 0) return undefined
    const content = permissions.map(permissionKey).sort(compare).join('\n')
    const id = `${roleId}/rules/${createHash('sha256').update(content).digest('hex').slice(0, 12)}`
    const dangers = dangersOf(rule)
    this.#nodes.set(id, {
      id,
      kind: 'Rule',
      ...(namespace === undefined ? {} : { namespace }),
      name: ruleText(sortedRule(rule)),
      ...(dangers.length === 0 ? {} : { dangers }),
    })
    return id
  }

  #edge(from: string, to: string, kind: GraphEdge['kind']): void {
    this.#edges.set(`${from}\0${to}\0${kind}`, { from, to, kind })
  }

  #endanger(id: string, dangers: readonly string[] | undefined): void {
    if (dangers === undefined) return
    const node = this.#nodes.get(id)!
    node.dangers = [...new Set([...(node.dangers ?? []), ...dangers])].sort(compare)
  }
}

/** Names hold no slash, except those of users and groups, which stand last. */
export function idOf(kind: NodeKind, namespace: string | undefined, name: string): string {
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
}

function sortedRule(rule: PolicyRule): PolicyRule {
  return Object.fromEntries(Object.entries(rule).map(([field, list]) => [field, [...(list ?? [])].sort(compare)]))
}

function nodeOrder(a: GraphNode, b: GraphNode): number {
  return KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind) || compare(a.id, b.id)
}

function edgeOrder(a: GraphEdge, b: GraphEdge): number {
  return compare(a.from, b.from) || compare(a.to, b.to) || compare(a.kind, b.kind)
}
