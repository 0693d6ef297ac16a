import type { ObjectMeta } from '../../../kernel/api/object.ts'

export const RBAC_GROUP = 'rbac.authorization.k8s.io'

/** rbac/v1 PolicyRule. Lists may be absent: the same as empty. */
export type PolicyRule = {
  verbs?: readonly string[]
  apiGroups?: readonly string[]
  resources?: readonly string[]
  resourceNames?: readonly string[]
  nonResourceURLs?: readonly string[]
}

export type Subject = { kind: string; apiGroup?: string; name: string; namespace?: string }
export type RoleRef = { apiGroup?: string; kind: string; name: string }

export type RoleObject = { metadata: ObjectMeta; rules?: readonly PolicyRule[] | null }
export type BindingObject = { metadata: ObjectMeta; roleRef: RoleRef; subjects?: readonly Subject[] | null }

/** What a decision needs of a request for a resource; `combined` is `resource` or `resource/subresource`. */
export type ResourceQuery = {
  verb: string
  apiGroup: string
  combined: string
  /** Undefined without a subresource, otherwise the form a rule may use for it: '*' + '/' + subresource. */
  anyWithSubresource: string | undefined
  name: string
}
