import { splitServiceAccountName } from '../../../kernel/authn/service-account-name.ts'
import type { GraphNode, RbacGraph } from './graph.ts'

export type GraphFilter = {
  namespace?: string
  /** `user:NAME`, `group:NAME`, `sa:NAMESPACE/NAME`, or a name alone. */
  subjects?: readonly string[]
  /** `NAME`, `NAMESPACE/NAME`. */
  roles?: readonly string[]
}

/**
 * What the chosen nodes reach and what reaches them; with several filters, what passes all of them. Going on from there
 * the other way is not reaching: whoever else has the same role stays out.
 */
export function filterGraph(graph: RbacGraph, filter: GraphFilter): RbacGraph {
  const seeds: ((node: GraphNode) => boolean)[] = []
  const { namespace, subjects = [], roles = [] } = filter
  if (namespace !== undefined) seeds.push((node) => node.namespace === namespace)
  if (subjects.length > 0) seeds.push((node) => subjects.some((subject) => isSubject(node, subject)))
  if (roles.length > 0) seeds.push((node) => roles.some((role) => isRole(node, role)))
  let kept = graph
  for (const isSeed of seeds) {
    const start = graph.nodes.filter(isSeed).map((node) => node.id)
    const reached = new Set([...reach(graph, start, 'from', 'to'), ...reach(graph, start, 'to', 'from')])
    kept = {
      nodes: kept.nodes.filter((node) => reached.has(node.id)),
      edges: kept.edges.filter((edge) => reached.has(edge.from) && reached.has(edge.to)),
    }
  }
  return kept
}

function reach(graph: RbacGraph, start: readonly string[], near: 'from' | 'to', far: 'from' | 'to'): Set<string> {
  const next = new Map<string, string[]>()
  for (const edge of graph.edges) {
    const known = next.get(edge[near])
    if (known === undefined) next.set(edge[near], [edge[far]])
    else known.push(edge[far])
  }
  const reached = new Set(start)
  // A Set hands out what is added while it is walked.
  for (const id of reached) for (const other of next.get(id) ?? []) reached.add(other)
  return reached
}

const SUBJECT_KINDS: Readonly<Record<string, GraphNode['kind']>> = {
  user: 'User',
  group: 'Group',
  sa: 'ServiceAccount',
  serviceaccount: 'ServiceAccount',
}

function isSubject(node: GraphNode, wanted: string): boolean {
  const account = splitServiceAccountName(wanted.replace(/^user:/i, ''))
  if (account !== undefined)
    return node.kind === 'ServiceAccount' && node.namespace === account.namespace && node.name === account.name
  const colon = wanted.indexOf(':')
  const kind = colon < 0 ? undefined : SUBJECT_KINDS[wanted.slice(0, colon).toLowerCase()]
  if (kind === undefined) return Object.values(SUBJECT_KINDS).includes(node.kind) && nameOf(node, wanted)
  return node.kind === kind && nameOf(node, wanted.slice(colon + 1))
}

function isRole(node: GraphNode, wanted: string): boolean {
  return (node.kind === 'Role' || node.kind === 'ClusterRole') && nameOf(node, wanted)
}

function nameOf(node: GraphNode, wanted: string): boolean {
  return node.name === wanted || (node.namespace !== undefined && `${node.namespace}/${node.name}` === wanted)
}
