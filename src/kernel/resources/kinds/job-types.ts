import type { LabelSelector } from '../../api/selectors.ts'
import type { PodTemplateSpec } from './pod/types.ts'

/** The parts of a Job that defaults, validation and tables read. */
export type PodFailurePolicyRule = {
  action?: string
  onExitCodes?: { containerName?: string; operator?: string; values?: number[] }
  onPodConditions?: { type?: string; status?: string }[]
}
export type SuccessPolicyRule = { succeededIndexes?: string; succeededCount?: number }
export type JobSpec = {
  parallelism?: number
  completions?: number
  completionMode?: string
  activeDeadlineSeconds?: number
  backoffLimit?: number
  backoffLimitPerIndex?: number
  maxFailedIndexes?: number
  ttlSecondsAfterFinished?: number
  selector?: LabelSelector
  manualSelector?: boolean
  suspend?: boolean
  managedBy?: string
  podFailurePolicy?: { rules?: PodFailurePolicyRule[] }
  podReplacementPolicy?: string
  successPolicy?: { rules?: SuccessPolicyRule[] }
  template?: PodTemplateSpec
}
export type JobStatus = {
  active?: number
  succeeded?: number
  failed?: number
  ready?: number
  terminating?: number
  startTime?: string
  completionTime?: string
  completedIndexes?: string
  failedIndexes?: string
  conditions?: { type?: string; status?: string }[]
  uncountedTerminatedPods?: { succeeded?: string[]; failed?: string[] }
}

export const isIndexed = (spec: JobSpec): boolean => spec.completionMode === 'Indexed'
