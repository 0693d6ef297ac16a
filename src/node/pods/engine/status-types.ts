import type { PodCondition } from '../../../kernel/resources/kinds/pod/types.ts'

export type Terminated = {
  exitCode: number
  signal?: number
  reason?: string
  message?: string
  startedAt: string | null
  finishedAt: string | null
  containerID?: string
}
export type State = {
  waiting?: { reason?: string; message?: string }
  running?: { startedAt: string }
  terminated?: Terminated
}
export type ContainerStatus = {
  name: string
  state: State
  lastState: State
  ready: boolean
  restartCount: number
  image: string
  imageID: string
  containerID?: string
  started: boolean
}
/** core/v1 PodStatus, as far as a kubelet writes it. */
export type PodStatus = {
  phase: string
  conditions: PodCondition[]
  message?: string
  reason?: string
  hostIP?: string
  hostIPs?: { ip: string }[]
  podIP?: string
  podIPs?: { ip: string }[]
  startTime?: string
  initContainerStatuses?: ContainerStatus[]
  containerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
  qosClass?: string
}
