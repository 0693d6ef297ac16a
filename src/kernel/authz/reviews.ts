import type { KubeObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import type { UserInfo } from '../authn/types.ts'
import type { AuthorizerChain } from './chain.ts'
import { reviewedSelectors, type SelectorAttributes } from './review-selectors.ts'
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
    fieldSelector?: SelectorAttributes | null
    labelSelector?: SelectorAttributes | null
  }
  nonResourceAttributes?: { path?: string; verb?: string }
  user?: string
  groups?: string[]
  uid?: string
  extra?: Record<string, string[]>
}

type Question = { attributes: Attributes /** What of the question could not be read. */; problems: readonly string[] }

function questionOf(spec: Spec, user: UserInfo): Question {
  const r = spec.resourceAttributes
  if (r === undefined || r === null) {
    const { verb = '', path = '' } = spec.nonResourceAttributes ?? {}
    return { attributes: { resourceRequest: false, user, verb, path }, problems: [] }
  }
  const { problems, ...selectors } = reviewedSelectors(r.fieldSelector, r.labelSelector)
  const attributes: Attributes = {
    resourceRequest: true,
    user,
    verb: r.verb ?? '',
    apiGroup: r.group ?? '',
    apiVersion: r.version || '*',
    resource: r.resource ?? '',
    subresource: r.subresource ?? '',
    namespace: r.namespace ?? '',
    name: r.name ?? '',
    ...selectors,
  }
  return { attributes, problems }
}

type Status = { allowed: boolean; denied?: boolean; reason?: string; evaluationError?: string }

function statusOf(decision: Decision, problems: readonly string[]): Status {
  const reason = decision.verdict === 'next' ? decision.reason : decision.by.reason
  return {
    allowed: decision.verdict === 'allow',
    ...(decision.verdict === 'deny' ? { denied: true } : {}),
    ...(reason ? { reason } : {}),
    ...(problems.length > 0 ? { evaluationError: problems.join('; ') } : {}),
  }
}

async function answer(review: KubeObject, chain: AuthorizerChain, user: UserInfo): Promise<KubeObject> {
  const { attributes, problems } = questionOf((review['spec'] ?? {}) as Spec, user)
  return { ...review, status: statusOf(await chain.authorize(attributes), problems) }
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
  return answer(review, chain, user)
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
  return answer(review, chain, caller)
}

/** SelfSubjectRulesReview: what the caller may do in a namespace, as far as the authorizers can list it. */
export function answerSelfSubjectRulesReview(review: KubeObject, chain: AuthorizerChain, caller: UserInfo): KubeObject {
  const namespace: string = review['spec']?.namespace ?? ''
  if (namespace === '') throw badRequest('no namespace on request')
  const resourceRules: object[] = []
  const nonResourceRules: object[] = []
  const errors: string[] = []
  let incomplete = false
  for (const authorizer of chain.authorizers) {
    const rules = authorizer.rulesFor?.(caller, namespace)
    // Not by spreading: there may be more rules than a call may have arguments.
    for (const rule of rules?.resourceRules ?? []) resourceRules.push(rule)
    for (const rule of rules?.nonResourceRules ?? []) nonResourceRules.push(rule)
    const gap = rules === undefined ? `${authorizer.name} cannot list its rules` : rules.incomplete
    if (gap) incomplete = true
    for (const error of [gap, rules?.error]) if (error) errors.push(error)
  }
  return {
    ...review,
    status: {
      resourceRules,
      nonResourceRules,
      incomplete,
      ...(errors.length > 0 ? { evaluationError: errors.join('; ') } : {}),
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
