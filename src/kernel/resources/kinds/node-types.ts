import type { NodeConfigSource } from './node-config.ts'
import type { ResourceList, Taint } from './pod/types.ts'

/** The parts of a Node that defaults, validation and tables read. */
export type NodeSpec = {
  podCIDR?: string
  podCIDRs?: string[]
  providerID?: string
  unschedulable?: boolean
  taints?: Taint[]
  configSource?: NodeConfigSource
  externalID?: string
}
export type NodeStatus = {
  capacity?: ResourceList
  allocatable?: ResourceList
  conditions?: { type?: string; status?: string }[]
  addresses?: { type?: string; address?: string }[]
  nodeInfo?: {
    kubeletVersion?: string
    osImage?: string
    kernelVersion?: string
    containerRuntimeVersion?: string
  }
  config?: { assigned?: NodeConfigSource; active?: NodeConfigSource; lastKnownGood?: NodeConfigSource }
}
