import type { RbacWorld } from '../../world.ts'
import { bindingRef, type ObjectRef, roleRefOf, ruleText } from '../describe.ts'
import { subjectName } from '../subject.ts'
import type { Escalation } from './build-graph.ts'
import { ADMIN, type Node, type Step } from './graph.ts'
import type { Evidence } from './holdings.ts'

/** One deed of an escalation chain, in words. */
export type ChainStep = {
  /** `user/ann`, `serviceaccount/shop/web`, or a role that was gained on the way. */
  subject: string
  /** Completes "SUBJECT may …". */
  may: string
  /** Completes "SUBJECT …": what it is after the step. */
  so: string
  by: { binding?: ObjectRef; role: ObjectRef; rule: string; at?: string }[]
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
