export type NodeKind =
  | 'Workload'
  | 'ServiceAccount'
  | 'User'
  | 'Group'
  | 'RoleBinding'
  | 'ClusterRoleBinding'
  | 'Role'
  | 'ClusterRole'
  | 'Rule'

export type GraphNode = {
  /** `User/alice`, `RoleBinding/shop/readers`, `Role/shop/reader/rules/0c5f…`: the same as long as the thing is the same. */
  id: string
  kind: NodeKind
  /** The object's kind where the node's is a wider one (`Deployment`). */
  objectKind?: string
  namespace?: string
  name: string
  /** A role that a binding names and that does not exist. */
  missing?: true
  /** Why this is dangerous, or leads to what is: distinct and sorted. */
  dangers?: string[]
  /** `file:line` for objects from manifests. */
  origin?: string
}

export type EdgeKind = 'runs as' | 'member of' | 'bound by' | 'refers to' | 'gathers' | 'grants'

/** Points from who holds to what is held. */
export type GraphEdge = { from: string; to: string; kind: EdgeKind }

/** Nodes by kind, namespace and name; edges by their ends. */
export type RbacGraph = { nodes: GraphNode[]; edges: GraphEdge[] }

export const KIND_ORDER: readonly NodeKind[] = [
  'Workload',
  'ServiceAccount',
  'User',
  'Group',
  'ClusterRoleBinding',
  'RoleBinding',
  'ClusterRole',
  'Role',
  'Rule',
]
