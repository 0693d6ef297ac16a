import { setImmediate as nextTurn } from 'node:timers/promises'
import type { KubeObject } from '../../kernel/api/object.ts'
import type { Clock } from '../../kernel/feature.ts'
import type { PodSecurityConfiguration } from './configuration.ts'
import { sorted } from './engine/check.ts'
import { type Evaluator, forbiddenReason } from './engine/evaluator.ts'
import { type LevelVersion, printLevelVersion } from './engine/levels.ts'
import { podUnderTest } from './pod-template.ts'

/** As Kubernetes limits it; time in milliseconds. */
export const MAX_PODS = 3000
export const MAX_TIME_MS = 1000
/** Pods between two looks at other work. */
const TURN = 100

export type ExistingPods = {
  evaluator: Evaluator
  exemptions: PodSecurityConfiguration['exemptions']
  clock: Clock
  signal: AbortSignal
}

type Group = { /** First by name. */ pod: string; count: number }

/**
 * What is told to who tightens a namespace's policy: the pods that would not have been let in. They keep running.
 * Pods with the same reasons share one line.
 */
export async function existingPodsWarnings(
  namespace: string,
  all: Iterable<KubeObject>,
  enforce: LevelVersion,
  { evaluator, exemptions, clock, signal }: ExistingPods,
): Promise<string[]> {
  const deadline = clock.now() + MAX_TIME_MS
  const pods = prioritized(all, exemptions.runtimeClasses)
  const groups = new Map<string, Group>()
  let checked = 0
  for (const pod of pods.slice(0, MAX_PODS)) {
    const verdict = evaluator(enforce, podUnderTest(pod))
    checked++
    if (!verdict.allowed) count(groups, forbiddenReason(verdict), pod.metadata.name ?? '')
    if (clock.now() >= deadline || signal.aborted) break
    if (checked % TURN === 0) await nextTurn()
  }
  const warnings: string[] = []
  if (checked < pods.length)
    warnings.push(
      `new PodSecurity enforce level only checked against the first ${checked} of ${pods.length} existing pods`,
    )
  if (groups.size > 0)
    warnings.push(
      `existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${printLevelVersion(enforce)}"`,
    )
  return [...warnings, ...sorted([...groups].map(([reason, group]) => `${printGroup(group)}: ${reason}`))]
}

function count(groups: Map<string, Group>, reason: string, pod: string): void {
  const group = groups.get(reason)
  if (group === undefined) groups.set(reason, { pod, count: 1 })
  else groups.set(reason, { pod: pod < group.pod ? pod : group.pod, count: group.count + 1 })
}

function printGroup({ pod, count }: Group): string {
  if (count === 1) return pod
  return count === 2 ? `${pod} (and 1 other pod)` : `${pod} (and ${count - 1} other pods)`
}

/** One pod of each controller first, so that the limits are not spent on copies; exempt pods are left out. */
function prioritized(pods: Iterable<KubeObject>, exemptRuntimes: ReadonlySet<string>): KubeObject[] {
  const first: KubeObject[] = []
  const copies: KubeObject[] = []
  const controllers = new Set<string>()
  for (const pod of pods) {
    if (exemptRuntimes.has(pod['spec']?.runtimeClassName ?? '')) continue
    const controller = pod.metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid
    if (controller !== undefined && controllers.has(controller)) copies.push(pod)
    else first.push(pod)
    if (controller !== undefined) controllers.add(controller)
  }
  return [...first, ...copies]
}
