import { canonicalQuantity } from '../../../api/quantity.ts'
import { imageTag } from './image-reference.ts'
import { defaultPodRequests } from './pod-resources.ts'
import { canonicalizeRequirements, canonicalizeResourceList } from './resources.ts'
import type {
  ClaimSpec,
  Container,
  DownwardApiFile,
  EnvVarSource,
  Handler,
  PodSpec,
  PodTemplateSpec,
  Probe,
  ProjectedSource,
  Volume,
  VolumeSource,
} from './types.ts'

/** Defaults which the schema does not carry (pkg/apis/core/v1, SetDefaults_*). */

const DEFAULT_GRACE_SECONDS = 30
const DEFAULT_FILE_MODE = 0o644
const TOKEN_SECONDS = 3600

/** A null field is a missing one; so is a null in a list. In place. */
export function dropNulls(value: unknown): void {
  if (Array.isArray(value)) {
    if (value.includes(null)) {
      const kept = value.filter((item) => item !== null)
      value.length = 0
      value.push(...kept)
    }
    for (const item of value) if (typeof item === 'object') dropNulls(item)
  } else if (typeof value === 'object' && value !== null) {
    const record = value as Record<string, unknown>
    for (const key in record) {
      const field = record[key]
      if (field === null) delete record[key]
      else if (typeof field === 'object') dropNulls(field)
    }
  }
}

/** Defaults of a spec, wherever it stands. */
export function defaultPodSpec(spec: PodSpec): void {
  spec.dnsPolicy ||= 'ClusterFirst'
  spec.restartPolicy ||= 'Always'
  spec.securityContext ??= {}
  spec.terminationGracePeriodSeconds ??= DEFAULT_GRACE_SECONDS
  spec.schedulerName ||= 'default-scheduler'
  // serviceAccount is the older name of serviceAccountName; the API shows both.
  const account = spec.serviceAccountName || spec.serviceAccount
  if (account) {
    spec.serviceAccountName = account
    spec.serviceAccount = account
  }
  canonicalizeResourceList(spec.overhead)
  canonicalizeRequirements(spec.resources)
  if (spec.volumes != null) for (const volume of spec.volumes) defaultVolume(volume)
  if (spec.containers != null) for (const container of spec.containers) defaultContainer(container)
  if (spec.initContainers != null) for (const container of spec.initContainers) defaultContainer(container)
  if (spec.ephemeralContainers != null) for (const container of spec.ephemeralContainers) defaultContainer(container)
}

/** Defaults of a template's spec; a template without one has nothing to default. */
export function defaultPodTemplate(template: PodTemplateSpec | null | undefined): void {
  if (template?.spec != null) defaultPodSpec(template.spec)
}

/** Defaults that only a pod itself gets, after those of its spec. */
export function defaultPod(spec: PodSpec): void {
  for (const containers of [spec.containers, spec.initContainers])
    for (const container of containers ?? []) {
      requestLimits(container)
      if (!spec.hostNetwork) continue
      for (const port of container.ports ?? [])
        if (!port.hostPort && port.containerPort) port.hostPort = port.containerPort
    }
  defaultPodRequests(spec)
  spec.enableServiceLinks ??= true
}

/** Who limits a resource and requests none of it requests the limit. */
function requestLimits(container: Container): void {
  const limits = container.resources?.limits
  if (limits == null) return
  container.resources!.requests ??= {}
  const requests = container.resources!.requests
  for (const name in limits) if (!Object.hasOwn(requests, name)) requests[name] = limits[name]!
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ||= pullPolicyOf(container.image)
  container.terminationMessagePath ||= '/dev/termination-log'
  container.terminationMessagePolicy ||= 'File'
  canonicalizeRequirements(container.resources)
  if (container.ports != null) for (const port of container.ports) port.protocol ||= 'TCP'
  if (container.env != null)
    for (const variable of container.env) if (variable.valueFrom != null) defaultFieldRefs(variable.valueFrom)
  if (container.livenessProbe != null) defaultProbe(container.livenessProbe)
  if (container.readinessProbe != null) defaultProbe(container.readinessProbe)
  if (container.startupProbe != null) defaultProbe(container.startupProbe)
  if (container.lifecycle != null) {
    defaultHandler(container.lifecycle.postStart)
    defaultHandler(container.lifecycle.preStop)
  }
}

const pullPolicyOf = (image: string | undefined): string =>
  imageTag(image ?? '') === 'latest' ? 'Always' : 'IfNotPresent'

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ||= 1
  probe.periodSeconds ||= 10
  probe.successThreshold ||= 1
  probe.failureThreshold ||= 3
  defaultHandler(probe)
}

function defaultHandler(handler: Handler | undefined): void {
  if (handler?.httpGet == null) return
  handler.httpGet.path ||= '/'
  handler.httpGet.scheme ||= 'HTTP'
}

function defaultFieldRefs(source: EnvVarSource | DownwardApiFile): void {
  if (source.fieldRef != null) source.fieldRef.apiVersion ||= 'v1'
  const ref = source.resourceFieldRef
  if (ref != null) ref.divisor = ref.divisor == null ? '0' : (canonicalQuantity(ref.divisor) ?? ref.divisor)
}

function defaultVolume(volume: Volume): void {
  let hasSource = false
  for (const field in volume) {
    if (field === 'name') continue
    const source = volume[field]
    if (typeof source !== 'object' || source === null) continue
    hasSource = true
    defaultSource(field, source)
  }
  if (!hasSource) volume['emptyDir'] = {}
}

function defaultSource(field: string, source: VolumeSource): void {
  switch (field) {
    case 'secret':
    case 'configMap':
      source['defaultMode'] ??= DEFAULT_FILE_MODE
      break
    case 'downwardAPI':
      source['defaultMode'] ??= DEFAULT_FILE_MODE
      for (const file of (source['items'] as DownwardApiFile[] | undefined) ?? []) defaultFieldRefs(file)
      break
    case 'projected':
      source['defaultMode'] ??= DEFAULT_FILE_MODE
      for (const projection of (source['sources'] as ProjectedSource[] | undefined) ?? []) defaultProjection(projection)
      break
    case 'hostPath':
      source['type'] ??= ''
      break
    case 'emptyDir':
      if (source['sizeLimit'] != null)
        source['sizeLimit'] = canonicalQuantity(source['sizeLimit']) ?? source['sizeLimit']
      break
    case 'image':
      source['pullPolicy'] ||= pullPolicyOf(source['reference'] as string | undefined)
      break
    case 'ephemeral':
      defaultClaimSpec((source['volumeClaimTemplate'] as { spec?: ClaimSpec } | undefined)?.spec)
      break
    default:
  }
}

function defaultProjection(projection: ProjectedSource): void {
  if (projection.serviceAccountToken != null) projection.serviceAccountToken.expirationSeconds ??= TOKEN_SECONDS
  for (const file of projection.downwardAPI?.items ?? []) defaultFieldRefs(file)
}

/** The spec of a PersistentVolumeClaim. */
export function defaultClaimSpec(spec: ClaimSpec | undefined): void {
  if (spec == null) return
  spec.volumeMode ??= 'Filesystem'
  canonicalizeRequirements(spec.resources)
}
