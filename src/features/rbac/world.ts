import type { KubeObject, ObjectMeta } from '../../kernel/api/object.ts'
import type { BindingObject, RoleObject } from './engine/types.ts'

export type AggregatedRoleObject = RoleObject & {
  aggregationRule?: { clusterRoleSelectors?: readonly Record<string, unknown>[] | null } | null
}

/**
 * Everything that decides who may do what, as plain objects: read live through a client or offline from manifests.
 * What every analysis (who-can, can, lint, graph, diff) works on; none of them does I/O.
 */
export type RbacWorld = {
  clusterRoles: readonly AggregatedRoleObject[]
  clusterRoleBindings: readonly BindingObject[]
  /** Namespaced ones carry metadata.namespace. */
  roles: readonly RoleObject[]
  roleBindings: readonly BindingObject[]
  serviceAccounts: readonly { metadata: ObjectMeta }[]
  /** Pods and pod templates' owners: what runs as which service account. May be empty. */
  workloads: readonly KubeObject[]
  /** Where each object came from, for messages: `file.yaml:12` offline, absent live. Keyed by the object itself. */
  origin: (object: object) => string | undefined
}
