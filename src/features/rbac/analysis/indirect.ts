import type { RbacWorld } from '../world.ts'
import { escalation } from './escalation/build-graph.ts'
import { type ChainStep, chainSteps } from './escalation/chain-steps.ts'
import { ADMIN, chainFrom } from './escalation/graph.ts'
import { type SubjectId, subjectKey } from './subject.ts'
import type { Holder } from './who-can.ts'

export type IndirectHolder = { subject: SubjectId; chain: ChainStep[] }

/**
 * Who can become one of the holders, or administrator: by running pods as them, by their tokens, by impersonation, by
 * bind and escalate. The shortest chain of each, the shortest first; members of a group are not listed beside it.
 */
export function indirectHolders(world: RbacWorld, holders: readonly Holder[]): IndirectHolder[] {
  const escalations = escalation(world)
  const ways = escalations.graph.waysTo([...holders.map(({ grant }) => subjectKey(grant.subject)), ADMIN])
  const found: IndirectHolder[] = []
  for (const [node, subject] of escalations.subjects) {
    const steps = chainFrom(ways, node)
    if (steps[0]?.from === node) found.push({ subject, chain: chainSteps(world, escalations, steps) })
  }
  return found.sort((a, b) => a.chain.length - b.chain.length)
}
