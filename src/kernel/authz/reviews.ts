import type { KubeObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import type { UserInfo } from '../authn/types.ts'
import type { AuthorizerChain } from './chain.ts'
import type { Attributes, Decision } from './types.ts'

type Spec = {
  resourceAttributes?: {
    namespace?: string
    verb?: string
    group?: string
    version?: string
    resource?: string
    subresource?: string
    name?: string
  }
  nonResourceAttributes?: { path?: string; verb?: string }
  user?: string
  groups?: string[]
  uid?: string
  extra?: Record<string, string[]>
}

function attributesOf(spec: Spec, user: UserInfo): Attributes {
  const r = spec.resourceAttributes
  if (r !== undefined)
    return {
      resourceRequest: true,
      user,
      verb: r.verb ?? '',
      apiGroup: r.group ?? '',
      apiVersion: r.version || '*',
      resource: r.resource ?? '',
      subresource: r.subresource ?? '',
      namespace: r.namespace ?? '',
      name: r.name ?? '',
    }
  return {
    resourceRequest: false,
    user,
    verb: spec.nonResourceAttributes?.verb ?? '',
    path: spec.nonResourceAttributes?.path ?? '',
  }
}

function statusOf(decision: Decision): { allowed: boolean; denied?: boolean; reason?: string } {
  const reason = decision.verdict === 'next' ? decision.reason : decision.by.reason
  return {
    allowed: decision.verdict === 'allow',
    ...(decision.verdict === 'deny' ? { denied: true } : {}),
    ...(reason ? { reason } : {}),
  }
}

/** SubjectAccessReview and LocalSubjectAccessReview: about the user that the spec names. */
export async function answerSubjectAccessReview(review: KubeObject, chain: AuthorizerChain): Promise<KubeObject> {
  const spec = (review['spec'] ?? {}) as Spec
  const user: UserInfo = {
    name: spec.user ?? '',
    groups: spec.groups ?? [],
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.extra === undefined ? {} : { extra: spec.extra }),
  }
  return { ...review, status: statusOf(await chain.authorize(attributesOf(spec, user))) }
}

/** A LocalSubjectAccessReview speaks about its own namespace only. */
export function checkLocalReview(review: KubeObject, namespace: string): void {
  const wanted: string = review['spec']?.resourceAttributes?.namespace ?? ''
  if (wanted !== namespace) throw badRequest(`spec.resourceAttributes.namespace must match namespace: ${namespace}`)
}

/** SelfSubjectAccessReview: about the caller. */
export async function answerSelfSubjectAccessReview(
  review: KubeObject,
  chain: AuthorizerChain,
  caller: UserInfo,
): Promise<KubeObject> {
  const spec = (review['spec'] ?? {}) as Spec
  return { ...review, status: statusOf(await chain.authorize(attributesOf(spec, caller))) }
}

/** SelfSubjectRulesReview: what the caller may do in a namespace, as far as the authorizers can list it. */
export function answerSelfSubjectRulesReview(review: KubeObject, chain: AuthorizerChain, caller: UserInfo): KubeObject {
  const namespace: string = review['spec']?.namespace ?? ''
  if (namespace === '') throw badRequest('no namespace on request')
  const resourceRules: object[] = []
  const nonResourceRules: object[] = []
  const gaps: string[] = []
  for (const authorizer of chain.authorizers) {
    if (authorizer.rulesFor === undefined) {
      gaps.push(`${authorizer.name} cannot list its rules`)
      continue
    }
    const rules = authorizer.rulesFor(caller, namespace)
    resourceRules.push(...rules.resourceRules)
    nonResourceRules.push(...rules.nonResourceRules)
    if (rules.incomplete) gaps.push(rules.incomplete)
  }
  return {
    ...review,
    status: {
      resourceRules,
      nonResourceRules,
      incomplete: gaps.length > 0,
      ...(gaps.length > 0 ? { evaluationError: gaps.join('; ') } : {}),
    },
  }
}

/** SelfSubjectReview (KEP-3325): who the server thinks the caller is. */
export function answerSelfSubjectReview(review: KubeObject, caller: UserInfo): KubeObject {
  return {
    ...review,
    status: {
      userInfo: {
        username: caller.name,
        ...(caller.uid === undefined ? {} : { uid: caller.uid }),
        groups: [...caller.groups],
        ...(caller.extra === undefined ? {} : { extra: caller.extra }),
      },
    },
  }
}
