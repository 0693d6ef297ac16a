import type { KubeObject, ObjectMeta } from '../../../api/object.ts'
import { APPARMOR_CONTAINER } from './annotations.ts'
import { podQosClass } from './qos.ts'
import type { Container, LocalhostProfile, PodAffinityTerm, PodSpec, PodStatus } from './types.ts'
import { eachContainer } from './windows.ts'

/** What the server itself decides about a pod when it is created or updated (pkg/registry/core/pod/strategy.go). */

export function preparePodForCreate(pod: KubeObject): void {
  const spec = (pod['spec'] ??= {}) as PodSpec
  const status: PodStatus = { phase: 'Pending', qosClass: podQosClass(spec) }
  if ((spec.schedulingGates ?? []).length > 0)
    status.conditions = [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'SchedulingGated',
        message: 'Scheduling is blocked due to non-empty scheduling gates',
      },
    ]
  pod['status'] = status
  mergeLabelKeys(spec, pod.metadata.labels ?? {})
  syncAppArmor(pod.metadata, spec)
}

/** matchLabelKeys and mismatchLabelKeys become terms of the selector, with the values of the pod's own labels. */
function mergeLabelKeys(spec: PodSpec, labels: Readonly<Record<string, string>>): void {
  for (const affinity of [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity]) {
    for (const term of affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) mergeInto(term, labels)
    for (const { podAffinityTerm } of affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
      if (podAffinityTerm != null) mergeInto(podAffinityTerm, labels)
  }
}

function mergeInto(term: PodAffinityTerm, labels: Readonly<Record<string, string>>): void {
  const selector = term.labelSelector
  if (selector == null) return
  const add = (keys: readonly string[] | undefined, operator: 'In' | 'NotIn'): void => {
    for (const key of keys ?? []) {
      if (!Object.hasOwn(labels, key)) continue
      selector.matchExpressions = [...(selector.matchExpressions ?? []), { key, operator, values: [labels[key]!] }]
    }
  }
  add(term.matchLabelKeys, 'In')
  add(term.mismatchLabelKeys, 'NotIn')
}

const ANNOTATED: Readonly<Record<string, (profile: LocalhostProfile) => string>> = {
  Unconfined: () => 'unconfined',
  RuntimeDefault: () => 'runtime/default',
  Localhost: (profile) => `localhost/${profile.localhostProfile ?? ''}`,
}

function profileOf(annotation: string): LocalhostProfile | undefined {
  if (annotation === 'unconfined') return { type: 'Unconfined' }
  if (annotation === 'runtime/default') return { type: 'RuntimeDefault' }
  if (!annotation.startsWith('localhost/')) return undefined
  const localhostProfile = annotation.slice('localhost/'.length)
  return localhostProfile === '' ? undefined : { type: 'Localhost', localhostProfile }
}

/** KEP-24: an AppArmor profile given as an annotation becomes a field, and one given as a field an annotation. */
function syncAppArmor(metadata: ObjectMeta, spec: PodSpec): void {
  if (spec.os?.name === 'windows') return
  const ofPod = spec.securityContext?.appArmorProfile
  eachContainer(spec, '', (container: Container) => {
    const key = APPARMOR_CONTAINER + container.name
    const annotation = metadata.annotations?.[key]
    const profile = container.securityContext?.appArmorProfile
    if (annotation === undefined) {
      const shown = profile ?? ofPod
      const text = shown?.type === undefined ? undefined : ANNOTATED[shown.type]?.(shown)
      if (text === undefined) return
      metadata.annotations ??= {}
      metadata.annotations[key] = text
    } else if (profile == null) {
      const field = profileOf(annotation)
      if (field === undefined || (ofPod?.type === field.type && ofPod?.localhostProfile === field.localhostProfile))
        return
      container.securityContext ??= {}
      container.securityContext.appArmorProfile = field
    }
  })
}

/** Writes to `ephemeralcontainers` change that list alone, writes to `resize` resources and resizePolicy alone. */
export function preparePodForUpdate(pod: KubeObject, old: KubeObject, subresource: string): void {
  if (subresource === 'status') {
    keepStatus(pod, old)
    return
  }
  if (subresource === 'binding') return
  // These change the spec in one place, and nothing of what the pod is called or labelled.
  if (subresource !== '') pod.metadata = { ...old.metadata }
  if (subresource === 'ephemeralcontainers') {
    const added: unknown = pod['spec']?.ephemeralContainers
    pod['spec'] = { ...old['spec'] }
    if (added != null) pod['spec'].ephemeralContainers = added
    else delete pod['spec'].ephemeralContainers
  } else if (subresource === 'resize') keepAllButResources(pod, old)
  pod['status'] = old['status']
}

/** The kubelet's old versions drop what they do not know: owners and the QoS class stay as they were. */
function keepStatus(pod: KubeObject, old: KubeObject): void {
  if (old.metadata.ownerReferences === undefined) delete pod.metadata.ownerReferences
  else pod.metadata.ownerReferences = old.metadata.ownerReferences
  const status = pod['status'] as PodStatus | undefined
  const qosClass = (old['status'] as PodStatus | undefined)?.qosClass
  if (status != null && !status.qosClass && qosClass !== undefined) status.qosClass = qosClass
}

function keepAllButResources(pod: KubeObject, old: KubeObject): void {
  const spec = (pod['spec'] ?? {}) as PodSpec
  const before = (old['spec'] ?? {}) as PodSpec
  const containers = withResources(spec.containers, before.containers)
  const initContainers = withResources(spec.initContainers, before.initContainers)
  // Added, removed, renamed or reordered containers stay: validation refuses them.
  if (containers === undefined || initContainers === undefined) return
  pod['spec'] = { ...before, containers }
  if (before.initContainers != null) pod['spec'].initContainers = initContainers
}

function withResources(containers: Container[] | undefined, old: Container[] | undefined): Container[] | undefined {
  const now = containers ?? []
  const before = old ?? []
  if (now.length !== before.length || now.some((c, i) => c.name !== before[i]!.name)) return undefined
  return before.map((container, i) => {
    const { resources: _resources, resizePolicy: _resizePolicy, ...rest } = container
    const { resources, resizePolicy } = now[i]!
    return {
      ...rest,
      ...(resources === undefined ? {} : { resources }),
      ...(resizePolicy === undefined ? {} : { resizePolicy }),
    }
  })
}
