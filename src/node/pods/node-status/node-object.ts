import type { KubeObject } from '../../../kernel/api/object.ts'
import type { CriImage, RuntimeVersion } from '../../../platform/cri/index.ts'
import type { NodeConfig } from '../../config.ts'
import type { Machine } from '../machine.ts'
import { type NodeCondition, nodeConditions, type Observation } from './conditions.ts'

/** Version of Kubernetes whose kubelet this agent stands for. */
export const KUBELET_VERSION: string = 'v1.32.0'
const MAX_PODS = 110
const MAX_IMAGES = 50

/** Labels of every Node that the machine itself may set. */
export const nodeLabels = (config: NodeConfig, machine: Machine): Record<string, string> => ({
  'beta.kubernetes.io/arch': machine.arch,
  'beta.kubernetes.io/os': 'linux',
  'kubernetes.io/arch': machine.arch,
  'kubernetes.io/hostname': config.nodeName,
  'kubernetes.io/os': 'linux',
})

export const nodeObject = (config: NodeConfig, machine: Machine): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: config.nodeName, labels: nodeLabels(config, machine) },
  spec: {},
})

export type StatusFacts = {
  config: NodeConfig
  machine: Machine
  version: RuntimeVersion | undefined
  images: readonly CriImage[]
  diskBytes: number
  seen: Observation
  /** RFC 3339. */
  now: string
}

/** The Node's status as this machine says it; conditions and fields of others in `before` stay. */
export function nodeStatus(facts: StatusFacts, before: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { config, machine, version, seen, now } = facts
  const capacity = {
    cpu: String(machine.cpus),
    'ephemeral-storage': `${Math.floor(facts.diskBytes / 1024)}Ki`,
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    pods: String(MAX_PODS),
  }
  const conditions = (before['conditions'] ?? []) as Partial<NodeCondition>[]
  const known = (before['nodeInfo'] ?? {}) as { containerRuntimeVersion?: string }
  return {
    ...before,
    addresses: [
      { type: 'InternalIP', address: config.nodeAddress },
      { type: 'Hostname', address: config.nodeName },
    ],
    capacity,
    allocatable: capacity,
    conditions: nodeConditions(seen, conditions, now),
    daemonEndpoints: { kubeletEndpoint: { Port: config.kubeletPort } },
    images: [...facts.images]
      .sort((a, b) => b.size - a.size)
      .slice(0, MAX_IMAGES)
      .map(({ repoDigests, repoTags, size }) => ({ names: [...repoDigests, ...repoTags].slice(0, 5), sizeBytes: size }))
      .filter(({ names }) => names.length > 0),
    nodeInfo: {
      architecture: machine.arch,
      bootID: machine.bootId,
      containerRuntimeVersion:
        version === undefined
          ? (known.containerRuntimeVersion ?? 'containerd://unknown')
          : `${version.runtimeName}://${version.runtimeVersion}`,
      kernelVersion: machine.kernelVersion,
      kubeProxyVersion: '',
      kubeletVersion: KUBELET_VERSION,
      machineID: machine.machineId,
      operatingSystem: 'linux',
      osImage: machine.osImage,
      systemUUID: machine.machineId,
    },
  }
}

/** The status without what changes with every heartbeat. */
export function withoutHeartbeats(status: Readonly<Record<string, unknown>>): unknown {
  const conditions = ((status['conditions'] ?? []) as NodeCondition[]).map(({ lastHeartbeatTime: _, ...rest }) => rest)
  return JSON.parse(JSON.stringify({ ...status, conditions }))
}
