import type { ResourceDefinition } from '../definition.ts'
import { controllerRevisionKind } from './controllerrevision.ts'
import { cronJobKind } from './cronjob.ts'
import { daemonSetKind } from './daemonset.ts'
import { deploymentKind } from './deployment.ts'
import { jobKind } from './job.ts'
import { limitRangeKind } from './limitrange.ts'
import { nodeKind } from './node.ts'
import { podKind } from './pod.ts'
import { podDisruptionBudgetKind } from './poddisruptionbudget.ts'
import { podTemplateKind } from './podtemplate.ts'
import { priorityClassKind } from './priorityclass.ts'
import { replicaSetKind } from './replicaset.ts'
import { replicationControllerKind } from './replicationcontroller.ts'
import { resourceQuotaKind } from './resourcequota.ts'
import { serviceKind } from './service.ts'
import { statefulSetKind } from './statefulset.ts'

/** Pods, nodes, services, and the kinds that are about them. */
export const workloadKinds: readonly ResourceDefinition[] = [
  podKind,
  nodeKind,
  serviceKind,
  podTemplateKind,
  replicationControllerKind,
  limitRangeKind,
  resourceQuotaKind,
  deploymentKind,
  replicaSetKind,
  daemonSetKind,
  statefulSetKind,
  controllerRevisionKind,
  jobKind,
  cronJobKind,
  priorityClassKind,
  podDisruptionBudgetKind,
]
