import {
  bool,
  bytes,
  embedded,
  type Field,
  integer,
  type Message,
  message,
  repeatedInteger,
  repeatedMessage,
  repeatedString,
  string,
  stringMap,
} from '../grpc/proto.ts'

/**
 * The part of CRI v1 (k8s.io/cri-api, runtime.v1) that the node agent speaks. Times are nanoseconds since the epoch,
 * exact to about 256 ns, since numbers are doubles.
 */
export type Int64Value = { value: number }
const int64Value: Message<Int64Value> = message({ value: integer(1) })
const optionalInteger = (number: number): Field<Int64Value | undefined> => embedded(number, () => int64Value)

export const NAMESPACE_MODE = { pod: 0, container: 1, node: 2, target: 3 } as const
export const PROFILE = { runtimeDefault: 0, unconfined: 1, localhost: 2 } as const
export const PROPAGATION = { private: 0, hostToContainer: 1, bidirectional: 2 } as const
export const SANDBOX_STATE = { ready: 0, notReady: 1 } as const
export const CONTAINER_STATE = { created: 0, running: 1, exited: 2, unknown: 3 } as const

export type KeyValue = { key: string; value: Uint8Array }
const keyValue: Message<KeyValue> = message({ key: string(1), value: bytes(2) })

export type DnsConfig = { servers: string[]; searches: string[]; options: string[] }
const dnsConfig: Message<DnsConfig> = message({
  servers: repeatedString(1),
  searches: repeatedString(2),
  options: repeatedString(3),
})

export type Mount = { containerPath: string; hostPath: string; readonly: boolean; propagation: number }
const mount: Message<Mount> = message({
  containerPath: string(1),
  hostPath: string(2),
  readonly: bool(3),
  propagation: integer(5),
})

export type NamespaceOption = { network: number; pid: number; ipc: number; targetId: string }
const namespaceOption: Message<NamespaceOption> = message({
  network: integer(1),
  pid: integer(2),
  ipc: integer(3),
  targetId: string(4),
})

export type SecurityProfile = { profileType: number; localhostRef: string }
const securityProfile: Message<SecurityProfile> = message({ profileType: integer(1), localhostRef: string(2) })

export type LinuxSandboxSecurityContext = {
  namespaceOptions: NamespaceOption | undefined
  runAsUser: Int64Value | undefined
  readonlyRootfs: boolean
  supplementalGroups: number[]
  privileged: boolean
  runAsGroup: Int64Value | undefined
  seccomp: SecurityProfile | undefined
}
const linuxSandboxSecurityContext: Message<LinuxSandboxSecurityContext> = message({
  namespaceOptions: embedded(1, () => namespaceOption),
  runAsUser: optionalInteger(3),
  readonlyRootfs: bool(4),
  supplementalGroups: repeatedInteger(5),
  privileged: bool(6),
  runAsGroup: optionalInteger(8),
  seccomp: embedded(9, () => securityProfile),
})

export type LinuxContainerResources = {
  cpuPeriod: number
  cpuQuota: number
  cpuShares: number
  memoryLimitInBytes: number
  oomScoreAdj: number
}
const linuxContainerResources: Message<LinuxContainerResources> = message({
  cpuPeriod: integer(1),
  cpuQuota: integer(2),
  cpuShares: integer(3),
  memoryLimitInBytes: integer(4),
  oomScoreAdj: integer(5),
})

export type LinuxPodSandboxConfig = {
  cgroupParent: string
  securityContext: Partial<LinuxSandboxSecurityContext> | undefined
  sysctls: Record<string, string>
}
const linuxPodSandboxConfig: Message<LinuxPodSandboxConfig> = message<LinuxPodSandboxConfig>({
  cgroupParent: string(1),
  securityContext: embedded(2, () => linuxSandboxSecurityContext as Message<Partial<LinuxSandboxSecurityContext>>),
  sysctls: stringMap(3),
})

export type PodSandboxMetadata = { name: string; uid: string; namespace: string; attempt: number }
const podSandboxMetadata: Message<PodSandboxMetadata> = message({
  name: string(1),
  uid: string(2),
  namespace: string(3),
  attempt: integer(4),
})

export type PodSandboxConfig = {
  metadata: PodSandboxMetadata | undefined
  hostname: string
  logDirectory: string
  dnsConfig: DnsConfig | undefined
  labels: Record<string, string>
  annotations: Record<string, string>
  linux: Partial<LinuxPodSandboxConfig> | undefined
}
export const podSandboxConfig: Message<PodSandboxConfig> = message<PodSandboxConfig>({
  metadata: embedded(1, () => podSandboxMetadata),
  hostname: string(2),
  logDirectory: string(3),
  dnsConfig: embedded(4, () => dnsConfig),
  labels: stringMap(6),
  annotations: stringMap(7),
  linux: embedded(8, () => linuxPodSandboxConfig as Message<Partial<LinuxPodSandboxConfig>>),
})

export type ImageSpec = { image: string; annotations: Record<string, string>; userSpecifiedImage: string }
export const imageSpec: Message<ImageSpec> = message({
  image: string(1),
  annotations: stringMap(2),
  userSpecifiedImage: string(18),
})

export type Capability = { addCapabilities: string[]; dropCapabilities: string[] }
const capability: Message<Capability> = message({
  addCapabilities: repeatedString(1),
  dropCapabilities: repeatedString(2),
})

export type LinuxContainerSecurityContext = {
  capabilities: Capability | undefined
  privileged: boolean
  namespaceOptions: NamespaceOption | undefined
  runAsUser: Int64Value | undefined
  runAsUsername: string
  readonlyRootfs: boolean
  supplementalGroups: number[]
  noNewPrivs: boolean
  runAsGroup: Int64Value | undefined
  maskedPaths: string[]
  readonlyPaths: string[]
  seccomp: SecurityProfile | undefined
}
const linuxContainerSecurityContext: Message<LinuxContainerSecurityContext> = message({
  capabilities: embedded(1, () => capability),
  privileged: bool(2),
  namespaceOptions: embedded(3, () => namespaceOption),
  runAsUser: optionalInteger(5),
  runAsUsername: string(6),
  readonlyRootfs: bool(7),
  supplementalGroups: repeatedInteger(8),
  noNewPrivs: bool(11),
  runAsGroup: optionalInteger(12),
  maskedPaths: repeatedString(13),
  readonlyPaths: repeatedString(14),
  seccomp: embedded(15, () => securityProfile),
})

export type LinuxContainerConfig = {
  resources: Partial<LinuxContainerResources> | undefined
  securityContext: Partial<LinuxContainerSecurityContext> | undefined
}
const linuxContainerConfig: Message<LinuxContainerConfig> = message<LinuxContainerConfig>({
  resources: embedded(1, () => linuxContainerResources as Message<Partial<LinuxContainerResources>>),
  securityContext: embedded(2, () => linuxContainerSecurityContext as Message<Partial<LinuxContainerSecurityContext>>),
})

export type ContainerMetadata = { name: string; attempt: number }
const containerMetadata: Message<ContainerMetadata> = message({ name: string(1), attempt: integer(2) })

export type ContainerConfig = {
  metadata: ContainerMetadata | undefined
  image: Partial<ImageSpec> | undefined
  command: string[]
  args: string[]
  workingDir: string
  envs: KeyValue[]
  mounts: Mount[]
  labels: Record<string, string>
  annotations: Record<string, string>
  /** Relative to the sandbox's logDirectory. */
  logPath: string
  stdin: boolean
  stdinOnce: boolean
  tty: boolean
  linux: LinuxContainerConfig | undefined
}
export const containerConfig: Message<ContainerConfig> = message<ContainerConfig>({
  metadata: embedded(1, () => containerMetadata),
  image: embedded(2, () => imageSpec as Message<Partial<ImageSpec>>),
  command: repeatedString(3),
  args: repeatedString(4),
  workingDir: string(5),
  envs: repeatedMessage(6, () => keyValue),
  mounts: repeatedMessage(7, () => mount),
  labels: stringMap(9),
  annotations: stringMap(10),
  logPath: string(11),
  stdin: bool(12),
  stdinOnce: bool(13),
  tty: bool(14),
  linux: embedded(15, () => linuxContainerConfig),
})

type PodIp = { ip: string }
const podIp: Message<PodIp> = message({ ip: string(1) })
export type PodSandboxNetworkStatus = { ip: string; additionalIps: PodIp[] }
const podSandboxNetworkStatus: Message<PodSandboxNetworkStatus> = message({
  ip: string(1),
  additionalIps: repeatedMessage(2, () => podIp),
})
export type PodSandboxStatus = {
  id: string
  metadata: PodSandboxMetadata | undefined
  state: number
  createdAt: number
  network: PodSandboxNetworkStatus | undefined
  labels: Record<string, string>
  annotations: Record<string, string>
}
export const podSandboxStatus: Message<PodSandboxStatus> = message({
  id: string(1),
  metadata: embedded(2, () => podSandboxMetadata),
  state: integer(3),
  createdAt: integer(4),
  network: embedded(5, () => podSandboxNetworkStatus),
  labels: stringMap(7),
  annotations: stringMap(8),
})

export type PodSandbox = {
  id: string
  metadata: PodSandboxMetadata | undefined
  state: number
  createdAt: number
  labels: Record<string, string>
  annotations: Record<string, string>
}
export const podSandbox: Message<PodSandbox> = message({
  id: string(1),
  metadata: embedded(2, () => podSandboxMetadata),
  state: integer(3),
  createdAt: integer(4),
  labels: stringMap(5),
  annotations: stringMap(6),
})

export type CriContainer = {
  id: string
  podSandboxId: string
  metadata: ContainerMetadata | undefined
  image: ImageSpec | undefined
  imageRef: string
  state: number
  createdAt: number
  labels: Record<string, string>
  annotations: Record<string, string>
}
export const criContainer: Message<CriContainer> = message({
  id: string(1),
  podSandboxId: string(2),
  metadata: embedded(3, () => containerMetadata),
  image: embedded(4, () => imageSpec),
  imageRef: string(5),
  state: integer(6),
  createdAt: integer(7),
  labels: stringMap(8),
  annotations: stringMap(9),
})

export type CriContainerStatus = {
  id: string
  metadata: ContainerMetadata | undefined
  state: number
  createdAt: number
  startedAt: number
  finishedAt: number
  exitCode: number
  image: ImageSpec | undefined
  imageRef: string
  reason: string
  message: string
  labels: Record<string, string>
  annotations: Record<string, string>
  mounts: Mount[]
  logPath: string
}
export const criContainerStatus: Message<CriContainerStatus> = message({
  id: string(1),
  metadata: embedded(2, () => containerMetadata),
  state: integer(3),
  createdAt: integer(4),
  startedAt: integer(5),
  finishedAt: integer(6),
  exitCode: integer(7),
  image: embedded(8, () => imageSpec),
  imageRef: string(9),
  reason: string(10),
  message: string(11),
  labels: stringMap(12),
  annotations: stringMap(13),
  mounts: repeatedMessage(14, () => mount),
  logPath: string(15),
})

export type CriImage = {
  id: string
  repoTags: string[]
  repoDigests: string[]
  /** Bytes. */
  size: number
  uid: Int64Value | undefined
  username: string
  pinned: boolean
}
export const criImage: Message<CriImage> = message({
  id: string(1),
  repoTags: repeatedString(2),
  repoDigests: repeatedString(3),
  size: integer(4),
  uid: optionalInteger(5),
  username: string(6),
  pinned: bool(8),
})

export type RuntimeCondition = { type: string; status: boolean; reason: string; message: string }
const runtimeCondition: Message<RuntimeCondition> = message({
  type: string(1),
  status: bool(2),
  reason: string(3),
  message: string(4),
})
export type RuntimeStatus = { conditions: RuntimeCondition[] }
export const runtimeStatus: Message<RuntimeStatus> = message({ conditions: repeatedMessage(1, () => runtimeCondition) })

type FilesystemIdentifier = { mountpoint: string }
const filesystemIdentifier: Message<FilesystemIdentifier> = message({ mountpoint: string(1) })
export type FilesystemUsage = {
  timestamp: number
  fsId: FilesystemIdentifier | undefined
  usedBytes: Int64Value | undefined
  inodesUsed: Int64Value | undefined
}
export const filesystemUsage: Message<FilesystemUsage> = message({
  timestamp: integer(1),
  fsId: embedded(2, () => filesystemIdentifier),
  usedBytes: optionalInteger(3),
  inodesUsed: optionalInteger(4),
})

export type ContainerAttributes = {
  id: string
  metadata: ContainerMetadata | undefined
  labels: Record<string, string>
  annotations: Record<string, string>
}
const containerAttributes: Message<ContainerAttributes> = message({
  id: string(1),
  metadata: embedded(2, () => containerMetadata),
  labels: stringMap(3),
  annotations: stringMap(4),
})
export type CpuUsage = {
  timestamp: number
  usageCoreNanoSeconds: Int64Value | undefined
  usageNanoCores: Int64Value | undefined
}
const cpuUsage: Message<CpuUsage> = message({
  timestamp: integer(1),
  usageCoreNanoSeconds: optionalInteger(2),
  usageNanoCores: optionalInteger(3),
})
export type MemoryUsage = {
  timestamp: number
  workingSetBytes: Int64Value | undefined
  availableBytes: Int64Value | undefined
  usageBytes: Int64Value | undefined
  rssBytes: Int64Value | undefined
}
const memoryUsage: Message<MemoryUsage> = message({
  timestamp: integer(1),
  workingSetBytes: optionalInteger(2),
  availableBytes: optionalInteger(3),
  usageBytes: optionalInteger(4),
  rssBytes: optionalInteger(5),
})
export type ContainerStats = {
  attributes: ContainerAttributes | undefined
  cpu: CpuUsage | undefined
  memory: MemoryUsage | undefined
  writableLayer: FilesystemUsage | undefined
}
export const containerStats: Message<ContainerStats> = message({
  attributes: embedded(1, () => containerAttributes),
  cpu: embedded(2, () => cpuUsage),
  memory: embedded(3, () => memoryUsage),
  writableLayer: embedded(4, () => filesystemUsage),
})

export type AuthConfig = {
  username: string
  password: string
  auth: string
  serverAddress: string
  identityToken: string
  registryToken: string
}
export const authConfig: Message<AuthConfig> = message({
  username: string(1),
  password: string(2),
  auth: string(3),
  serverAddress: string(4),
  identityToken: string(5),
  registryToken: string(6),
})
