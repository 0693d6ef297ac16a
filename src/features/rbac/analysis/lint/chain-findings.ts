import type { RbacWorld } from '../../world.ts'
import { bindingRef, refText, roleRefOf, ruleText } from '../describe.ts'
import { type Escalation, escalation } from '../escalation/build-graph.ts'
import { ADMIN, chainFrom, type Node, type Step } from '../escalation/graph.ts'
import type { Evidence } from '../escalation/holdings.ts'
import { subjectName } from '../subject.ts'
import { type LintContext, place } from './context.ts'
import type { ChainStep, Finding } from './finding.ts'

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

export function chainSteps(world: RbacWorld, { subjects }: Escalation, steps: readonly Step[]): ChainStep[] {
  return steps.map(({ from, to, deed }) => ({
    subject: nodeText(subjects, from),
    may: deed.may,
    so: `${deed.so} ${nodeText(subjects, to)}`,
    by: distinct(deed.by).map(({ grant, rule }) => {
      const at = world.origin(grant.binding)
      return {
        // A role that was gained on the way has no binding yet.
        ...(from.startsWith('role:') ? {} : { binding: bindingRef(grant) }),
        role: roleRefOf(grant),
        rule: ruleText(rule),
        ...(at === undefined ? {} : { at }),
      }
    }),
  }))
}

/** One rule often gives both halves of a deed. */
function distinct(by: readonly Evidence[]): Evidence[] {
  return by.filter((one, i) => by.findIndex(({ grant, rule }) => grant === one.grant && rule === one.rule) === i)
}

export function stepText({ subject, may, so }: ChainStep): string {
  return `${subject} may ${may} and ${so}`
}

function nodeText(subjects: Escalation['subjects'], node: Node): string {
  const subject = subjects.get(node)
  if (subject !== undefined) return subjectName(subject)
  if (node === ADMIN) return 'administrator of the cluster'
  if (node.startsWith('role:')) {
    const [namespace, kind, ...name] = node.slice('role:'.length).split('/')
    return `${kind} ${name.join('/')}${namespace === '' ? '' : ` in namespace ${namespace}`}`
  }
  return node
}
