import type { PolicyRule } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { type NearMiss, nearMisses } from './near-miss.ts'
import { attributesOf, type Question } from './question.ts'
import { type SubjectId, subjectKey, userId, userInfo } from './subject.ts'
import { type Grant, indexWorld } from './world-index.ts'

export type CanAnswer =
  | { allowed: true; by: { grant: Grant; rule: PolicyRule; ruleIndex: number } | 'system:masters' }
  | {
      allowed: false
      nearMisses: NearMiss[]
      /** Bindings that name the user but grant nothing, because their role is missing. */
      errors: string[]
    }

/** The engine's own decision, with the grant that made it; on a no, what nearly gave it. */
export function can(world: RbacWorld, subject: SubjectId, groups: readonly string[], question: Question): CanAnswer {
  const index = indexWorld(world)
  const user = userInfo(subject, groups)
  const decision = index.engine().decide(attributesOf(question, user))
  const held = grantsOf(world, subject, groups)
  if (decision.verdict === 'allow') {
    const by = decision.by as unknown as Deciding
    const grant = held.find(
      ({ binding: { metadata }, bindingKind, written }) =>
        bindingKind === by.binding.kind &&
        (metadata.name ?? '') === by.binding.name &&
        (bindingKind === 'ClusterRoleBinding' || (metadata.namespace ?? '') === by.binding.namespace) &&
        written === by.subject,
    )!
    return { allowed: true, by: { grant, rule: grant.rules[by.ruleIndex]!, ruleIndex: by.ruleIndex } }
  }
  if (user.groups.includes('system:masters')) return { allowed: true, by: 'system:masters' }
  const namespace = 'path' in question ? '' : question.namespace
  return {
    allowed: false,
    nearMisses: nearMisses(held, question),
    errors: index.engine().heldRules(user, namespace).errors,
  }
}

type Deciding = {
  binding: { kind: string; namespace: string; name: string }
  subject: unknown
  ruleIndex: number
}

/** Everything that the user holds, by name and by group, in whatever namespace. */
export function grantsOf(world: RbacWorld, subject: SubjectId, groups: readonly string[]): Grant[] {
  const { bySubject } = indexWorld(world)
  const user = userInfo(subject, groups)
  const subjects = [
    userId(user.name),
    ...user.groups.map((name): SubjectId => ({ kind: 'Group', namespace: '', name })),
  ]
  return subjects.flatMap((one) => bySubject.get(subjectKey(one)) ?? [])
}

/** What the user may do in a namespace ('' for what counts everywhere), rule by rule, with where each comes from. */
export function listRules(
  world: RbacWorld,
  subject: SubjectId,
  groups: readonly string[],
  namespace: string,
): { grant: Grant; rule: PolicyRule; ruleIndex: number }[] {
  return grantsOf(world, subject, groups)
    .filter((grant) => grant.namespace === '' || grant.namespace === namespace)
    .flatMap((grant) =>
      grant.rules
        .map((rule, ruleIndex) => ({ grant, rule, ruleIndex }))
        // Paths of a namespaced binding count nowhere.
        .filter(({ rule }) => grant.namespace === '' || (rule.resources?.length ?? 0) > 0),
    )
}
