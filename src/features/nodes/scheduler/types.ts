import type { KubeObject } from '../../../kernel/api/object.ts'

export type Taint = { key: string; value?: string; effect: string }
export type Toleration = {
  key?: string
  operator?: string
  value?: string
  effect?: string
  tolerationSeconds?: number
}

/** What a pod asks for or a machine has; CPU in thousandths of a core, memory and others in their unit. */
export type Amounts = ReadonlyMap<string, bigint>

/** A machine with the pods that are bound to it, as the scheduler sees it. */
export type NodeInfo = {
  node: KubeObject
  allocatable: Amounts
  requested: Map<string, bigint>
  pods: Map<string, KubeObject>
}

/** Why a machine is out of the question, in kube-scheduler's words. */
export type Reason = string
