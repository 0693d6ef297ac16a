import type { ObjectMeta } from '../../../api/object.ts'
import type { LabelSelector } from '../../../api/selectors.ts'

/**
 * The parts of core/v1 that defaults and validation read. Everything is optional: the schema has checked types, but
 * what is missing is for validation to say.
 */
export type IntOrString = number | string
/** Amounts by resource name; a JSON number or a string, see api/quantity.ts. */
export type ResourceList = Record<string, string | number>

export type ResourceRequirements = {
  limits?: ResourceList
  requests?: ResourceList
  claims?: { name?: string; request?: string }[]
}

export type ContainerPort = {
  name?: string
  containerPort?: number
  hostPort?: number
  hostIP?: string
  protocol?: string
}

export type KeySelector = { name?: string; key?: string; optional?: boolean }
export type ObjectFieldSelector = { apiVersion?: string; fieldPath?: string }
export type ResourceFieldSelector = { containerName?: string; resource?: string; divisor?: string | number }
export type FileKeySelector = { volumeName?: string; path?: string; key?: string; optional?: boolean }

export type EnvVarSource = {
  fieldRef?: ObjectFieldSelector
  resourceFieldRef?: ResourceFieldSelector
  configMapKeyRef?: KeySelector
  secretKeyRef?: KeySelector
  fileKeyRef?: FileKeySelector
}
export type EnvVar = { name?: string; value?: string; valueFrom?: EnvVarSource }
export type EnvFromSource = { prefix?: string; configMapRef?: { name?: string }; secretRef?: { name?: string } }

export type VolumeMount = {
  name?: string
  mountPath?: string
  subPath?: string
  subPathExpr?: string
  readOnly?: boolean
  recursiveReadOnly?: string
  mountPropagation?: string
}
export type VolumeDevice = { name?: string; devicePath?: string }

export type HttpGetAction = {
  path?: string
  port?: IntOrString
  host?: string
  scheme?: string
  httpHeaders?: { name?: string; value?: string }[]
}
/** Probe handlers and lifecycle handlers together. */
export type Handler = {
  exec?: { command?: string[] }
  httpGet?: HttpGetAction
  tcpSocket?: { port?: IntOrString; host?: string }
  grpc?: { port?: number; service?: string }
  sleep?: { seconds?: number }
}
export type Probe = Handler & {
  initialDelaySeconds?: number
  timeoutSeconds?: number
  periodSeconds?: number
  successThreshold?: number
  failureThreshold?: number
  terminationGracePeriodSeconds?: number
}
export type Lifecycle = { postStart?: Handler; preStop?: Handler; stopSignal?: string }

export type LocalhostProfile = { type?: string; localhostProfile?: string }
export type WindowsOptions = {
  gmsaCredentialSpecName?: string
  gmsaCredentialSpec?: string
  runAsUserName?: string
  hostProcess?: boolean
}
export type SecurityContext = {
  privileged?: boolean
  allowPrivilegeEscalation?: boolean
  capabilities?: { add?: string[]; drop?: string[] }
  readOnlyRootFilesystem?: boolean
  runAsUser?: number
  runAsGroup?: number
  runAsNonRoot?: boolean
  procMount?: string
  seLinuxOptions?: object
  seccompProfile?: LocalhostProfile
  appArmorProfile?: LocalhostProfile
  windowsOptions?: WindowsOptions
}
export type PodSecurityContext = {
  runAsUser?: number
  runAsGroup?: number
  runAsNonRoot?: boolean
  fsGroup?: number
  fsGroupChangePolicy?: string
  supplementalGroups?: number[]
  supplementalGroupsPolicy?: string
  seLinuxOptions?: object
  seLinuxChangePolicy?: string
  sysctls?: { name?: string; value?: string }[]
  seccompProfile?: LocalhostProfile
  appArmorProfile?: LocalhostProfile
  windowsOptions?: WindowsOptions
}

export type Container = {
  name?: string
  image?: string
  command?: string[]
  args?: string[]
  workingDir?: string
  ports?: ContainerPort[]
  env?: EnvVar[]
  envFrom?: EnvFromSource[]
  resources?: ResourceRequirements
  resizePolicy?: { resourceName?: string; restartPolicy?: string }[]
  restartPolicy?: string
  restartPolicyRules?: unknown[]
  volumeMounts?: VolumeMount[]
  volumeDevices?: VolumeDevice[]
  livenessProbe?: Probe
  readinessProbe?: Probe
  startupProbe?: Probe
  lifecycle?: Lifecycle
  terminationMessagePath?: string
  terminationMessagePolicy?: string
  imagePullPolicy?: string
  securityContext?: SecurityContext
  stdin?: boolean
  stdinOnce?: boolean
  tty?: boolean
}
export type EphemeralContainer = Container & { targetContainerName?: string }

export type Toleration = {
  key?: string
  operator?: string
  value?: string
  effect?: string
  tolerationSeconds?: number
}
export type Taint = { key?: string; value?: string; effect?: string; timeAdded?: string }

export type NodeSelectorRequirement = { key?: string; operator?: string; values?: string[] }
export type NodeSelectorTerm = { matchExpressions?: NodeSelectorRequirement[]; matchFields?: NodeSelectorRequirement[] }
export type NodeSelector = { nodeSelectorTerms?: NodeSelectorTerm[] }
export type NodeAffinity = {
  requiredDuringSchedulingIgnoredDuringExecution?: NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution?: { weight?: number; preference?: NodeSelectorTerm }[]
}
export type PodAffinityTerm = {
  labelSelector?: LabelSelector
  namespaceSelector?: LabelSelector
  namespaces?: string[]
  topologyKey?: string
  matchLabelKeys?: string[]
  mismatchLabelKeys?: string[]
}
export type PodAffinity = {
  requiredDuringSchedulingIgnoredDuringExecution?: PodAffinityTerm[]
  preferredDuringSchedulingIgnoredDuringExecution?: { weight?: number; podAffinityTerm?: PodAffinityTerm }[]
}
export type Affinity = { nodeAffinity?: NodeAffinity; podAffinity?: PodAffinity; podAntiAffinity?: PodAffinity }

export type TopologySpreadConstraint = {
  maxSkew?: number
  topologyKey?: string
  whenUnsatisfiable?: string
  labelSelector?: LabelSelector
  minDomains?: number
  nodeAffinityPolicy?: string
  nodeTaintsPolicy?: string
  matchLabelKeys?: string[]
}

export type KeyToPath = { key?: string; path?: string; mode?: number }
export type DownwardApiFile = {
  path?: string
  fieldRef?: ObjectFieldSelector
  resourceFieldRef?: ResourceFieldSelector
  mode?: number
}
export type ProjectedSource = {
  secret?: { name?: string; items?: KeyToPath[] }
  configMap?: { name?: string; items?: KeyToPath[] }
  downwardAPI?: { items?: DownwardApiFile[] }
  serviceAccountToken?: { audience?: string; expirationSeconds?: number; path?: string }
  clusterTrustBundle?: { name?: string; signerName?: string; labelSelector?: LabelSelector; path?: string }
  podCertificate?: object
}
export type ClaimSpec = {
  accessModes?: string[]
  selector?: LabelSelector
  resources?: ResourceRequirements
  storageClassName?: string
  volumeMode?: string
  volumeAttributesClassName?: string
  dataSource?: { apiGroup?: string; kind?: string; name?: string }
  dataSourceRef?: { apiGroup?: string; kind?: string; name?: string; namespace?: string }
}
/** A volume: its name and one source. Sources that only have texts to check are read by field name. */
export type Volume = { name?: string } & { [source: string]: VolumeSource | string | undefined }
export type VolumeSource = { [field: string]: unknown }

export type PodSpec = {
  activeDeadlineSeconds?: number
  affinity?: Affinity
  automountServiceAccountToken?: boolean
  containers?: Container[]
  dnsConfig?: { nameservers?: string[]; searches?: string[]; options?: { name?: string; value?: string }[] }
  dnsPolicy?: string
  enableServiceLinks?: boolean
  ephemeralContainers?: EphemeralContainer[]
  hostAliases?: { ip?: string; hostnames?: string[] }[]
  hostIPC?: boolean
  hostNetwork?: boolean
  hostPID?: boolean
  hostUsers?: boolean
  hostname?: string
  imagePullSecrets?: { name?: string }[]
  initContainers?: Container[]
  nodeName?: string
  nodeSelector?: Record<string, string>
  os?: { name?: string }
  overhead?: ResourceList
  preemptionPolicy?: string
  priority?: number
  priorityClassName?: string
  readinessGates?: { conditionType?: string }[]
  resourceClaims?: { name?: string; resourceClaimName?: string; resourceClaimTemplateName?: string }[]
  resources?: ResourceRequirements
  restartPolicy?: string
  runtimeClassName?: string
  schedulerName?: string
  schedulingGates?: { name?: string }[]
  securityContext?: PodSecurityContext
  serviceAccount?: string
  serviceAccountName?: string
  setHostnameAsFQDN?: boolean
  shareProcessNamespace?: boolean
  subdomain?: string
  terminationGracePeriodSeconds?: number
  tolerations?: Toleration[]
  topologySpreadConstraints?: TopologySpreadConstraint[]
  volumes?: Volume[]
}

export type PodTemplateSpec = { metadata?: ObjectMeta; spec?: PodSpec }

export type ContainerState = {
  waiting?: { reason?: string; message?: string }
  running?: { startedAt?: string }
  terminated?: { exitCode?: number; signal?: number; reason?: string; finishedAt?: string }
}
export type ContainerStatus = {
  name?: string
  ready?: boolean
  started?: boolean
  restartCount?: number
  state?: ContainerState
  lastState?: ContainerState
  resources?: ResourceRequirements
  user?: { linux?: { uid?: number; gid?: number; supplementalGroups?: number[] } }
  allocatedResourcesStatus?: { name?: string; resources?: { resourceID?: string; health?: string }[] }[]
}
export type PodCondition = {
  type?: string
  status?: string
  reason?: string
  message?: string
  lastTransitionTime?: string
}
export type PodStatus = {
  phase?: string
  reason?: string
  message?: string
  qosClass?: string
  nominatedNodeName?: string
  conditions?: PodCondition[]
  hostIP?: string
  hostIPs?: { ip?: string }[]
  podIP?: string
  podIPs?: { ip?: string }[]
  containerStatuses?: ContainerStatus[]
  initContainerStatuses?: ContainerStatus[]
  ephemeralContainerStatuses?: ContainerStatus[]
  resourceClaimStatuses?: { name?: string; resourceClaimName?: string }[]
}
