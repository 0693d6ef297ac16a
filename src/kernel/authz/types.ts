import type { FieldRequirement } from '../api/selectors.ts'
import type { UserInfo } from '../authn/types.ts'

/** k8s.io/apiserver/pkg/authorization/authorizer.Attributes. */
export type Attributes =
  | {
      resourceRequest: true
      user: UserInfo
      verb: string
      apiGroup: string
      apiVersion: string
      resource: string
      subresource: string
      namespace: string
      name: string
      /** Of a list, watch or deletecollection, where it can be read (KEP-4601); all requirements must hold. */
      fieldSelector?: readonly FieldRequirement[]
    }
  | { resourceRequest: false; user: UserInfo; verb: string; path: string }

/** Who decided and by which rule: printable, e.g. `ClusterRoleBinding "cluster-admin" of ClusterRole "cluster-admin" to Group "system:masters"`. */
export type DecidingRule = { authorizer: string; reason: string; [detail: string]: unknown }

export type Decision =
  | { verdict: 'allow'; by: DecidingRule }
  | { verdict: 'deny'; by: DecidingRule }
  | { verdict: 'next'; reason?: string }

export type ResourceRule = { verbs: string[]; apiGroups: string[]; resources: string[]; resourceNames?: string[] }
export type NonResourceRule = { verbs: string[]; nonResourceURLs: string[] }

export type Authorizer = {
  name: string
  /** Synchronous where it can be: a promise costs on the hot path. An error thrown is a deny. */
  authorize: (attributes: Attributes) => Decision | Promise<Decision>
  /**
   * For SelfSubjectRulesReview. `incomplete` names why the list may miss rules that the authorizer would act on; `error`
   * what went wrong on the way to a list that is all there is, such as a binding to a role that does not exist.
   */
  rulesFor?: (
    user: UserInfo,
    namespace: string,
  ) => {
    resourceRules: ResourceRule[]
    nonResourceRules: NonResourceRule[]
    incomplete?: string
    error?: string
  }
}
