export type { CriClient, ExecOutput, LabelFilter, RuntimeVersion, StreamRequest } from './client.ts'
export { createCriClient } from './client.ts'
export { CriError, isCriError, said } from './connection.ts'
export type {
  AuthConfig,
  ContainerConfig,
  ContainerStats,
  CriContainer,
  CriContainerStatus,
  CriImage,
  DnsConfig,
  FilesystemUsage,
  KeyValue,
  LinuxContainerResources,
  LinuxContainerSecurityContext,
  Mount,
  NamespaceOption,
  PodSandbox,
  PodSandboxConfig,
  PodSandboxStatus,
  RuntimeCondition,
  SecurityProfile,
} from './messages.ts'
export { CONTAINER_STATE, NAMESPACE_MODE, PROFILE, PROPAGATION, SANDBOX_STATE } from './messages.ts'
