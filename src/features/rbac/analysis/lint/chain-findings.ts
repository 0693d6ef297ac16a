import { bindingRef, refText, roleRefOf, ruleText } from '../describe.ts'
import { escalation } from '../escalation/build-graph.ts'
import { chainSteps, stepText } from '../escalation/chain-steps.ts'
import { ADMIN, chainFrom } from '../escalation/graph.ts'
import { subjectName } from '../subject.ts'
import { type LintContext, place } from './context.ts'
import type { Finding } from './finding.ts'

/**
 * The shortest way of every subject to everything. Not those who hold it at once, whom other rules report; not those
 * who have the first step by a group or by a default binding only, because that is whom to report.
 */
export function* chainFindings(context: LintContext): Generator<Finding> {
  const { world, system } = context
  const escalations = escalation(world)
  const ways = escalations.graph.waysTo([ADMIN])
  for (const [node, subject] of escalations.subjects) {
    const steps = chainFrom(ways, node)
    const first = steps[0]
    if (first === undefined || first.from !== node) continue
    if (steps.length === 1 && first.deed.so === 'is') continue
    const own = first.deed.by.find(({ grant }) => !system.isSubject(grant.bindingKind, grant.binding, grant.written))
    if (own === undefined) continue
    const chain = chainSteps(world, escalations, steps)
    const name = subjectName(subject)
    const isDefault = system.isRole(own.grant.roleKind, own.grant.role)
    yield {
      rule: 'escalation-chain',
      severity: 'critical',
      ...place(context, own.grant.bindingKind, own.grant.binding),
      subject: name,
      what: `${name} becomes administrator of the cluster in ${steps.length} step${steps.length === 1 ? '' : 's'}`,
      attack: chain.map(stepText).join('; then '),
      fix: `${isDefault ? '' : `take ${ruleText(own.rule)} from ${refText(roleRefOf(own.grant))}, or `}take ${name} out of ${refText(bindingRef(own.grant))}`,
      chain,
    }
  }
}
