import type { PolicyRule } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { type Question, ruleMatcher } from './question.ts'
import { subjectKey } from './subject.ts'
import { type Grant, indexWorld } from './world-index.ts'

export type Holder = {
  grant: Grant
  rule: PolicyRule
  ruleIndex: number
}

export type WhoCan = {
  /** Each binding that gives it, with the first of its role's rules that does; by subject, then by where. */
  holders: Holder[]
  /** Who may do it to some names only, when none was asked for. */
  named: Holder[]
}

/**
 * Who may do what is asked. With `anywhere`, bindings of every namespace count and not only those that apply to
 * question.namespace. A subject is listed exactly when the engine allows a user who is nothing else but that subject;
 * members of system:masters, who are bound by no rule, are listed only as their binding says.
 */
export function whoCan(world: RbacWorld, question: Question, anywhere: boolean = false): WhoCan {
  const allows = ruleMatcher(question)
  const allowsNamed = namedMatcher(question)
  const inScope = ({ namespace }: Grant): boolean =>
    namespace === '' || (!('path' in question) && (anywhere || namespace === question.namespace))
  const holders: Holder[] = []
  const named: Holder[] = []
  // Many grants share one role: each role's rules are looked at once.
  const known = new Map<readonly PolicyRule[], { all: number; some: number }>()
  for (const grant of indexWorld(world).grants) {
    if (!inScope(grant)) continue
    let found = known.get(grant.rules)
    if (found === undefined) {
      found = { all: grant.rules.findIndex(allows), some: grant.rules.findIndex(allowsNamed) }
      known.set(grant.rules, found)
    }
    if (found.all >= 0) holders.push({ grant, rule: grant.rules[found.all]!, ruleIndex: found.all })
    else if (found.some >= 0) named.push({ grant, rule: grant.rules[found.some]!, ruleIndex: found.some })
  }
  return { holders: holders.sort(order), named: named.sort(order) }
}

function namedMatcher(question: Question): (rule: PolicyRule) => boolean {
  if ('path' in question || question.name !== '') return () => false
  const allows = ruleMatcher(question)
  return (rule) => {
    if ((rule.resourceNames?.length ?? 0) === 0) return false
    const { resourceNames: _, ...unlimited } = rule
    return allows(unlimited)
  }
}

const rank = { Group: 0, User: 1, ServiceAccount: 2 }

function order(a: Holder, b: Holder): number {
  return (
    rank[a.grant.subject.kind] - rank[b.grant.subject.kind] ||
    compare(subjectKey(a.grant.subject), subjectKey(b.grant.subject)) ||
    compare(a.grant.namespace, b.grant.namespace) ||
    compare(a.grant.binding.metadata.name ?? '', b.grant.binding.metadata.name ?? '')
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
