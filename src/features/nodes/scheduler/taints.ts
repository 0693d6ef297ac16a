import type { KubeObject } from '../../../kernel/api/object.ts'
import type { Taint, Toleration } from './types.ts'

/** core/v1 Toleration.ToleratesTaint: an empty key with Exists tolerates everything, an empty effect any effect. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  if (toleration.operator === 'Exists') return true
  if (toleration.operator && toleration.operator !== 'Equal') return false
  return Boolean(toleration.key) && (toleration.value ?? '') === (taint.value ?? '')
}

export const taintsOf = (node: KubeObject): Taint[] => (node['spec']?.taints ?? []) as Taint[]
export const tolerationsOf = (pod: KubeObject): Toleration[] => (pod['spec']?.tolerations ?? []) as Toleration[]

/** The first taint with one of the effects that the pod does not tolerate. */
export function untolerated(pod: KubeObject, node: KubeObject, effects: ReadonlySet<string>): Taint | undefined {
  const tolerations = tolerationsOf(pod)
  return taintsOf(node).find((taint) => effects.has(taint.effect) && !tolerations.some((t) => tolerates(t, taint)))
}
