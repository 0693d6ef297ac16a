import type { KubeObject } from '../../kernel/api/object.ts'
import type { ResourceDefinition } from '../../kernel/resources/definition.ts'
import type { Container, PodSpec, PodTemplateSpec } from '../../kernel/resources/kinds/pod/types.ts'
import type { PodUnderTest } from './engine/check.ts'

type TemplateOf = (object: KubeObject) => PodTemplateSpec | null | undefined

const ofSpec: TemplateOf = (object) => object['spec']?.template

/** Where the kinds that make pods keep the pod, by group/resource. */
const TEMPLATES: Readonly<Record<string, TemplateOf>> = {
  '/podtemplates': (object) => object['template'],
  '/replicationcontrollers': ofSpec,
  'apps/daemonsets': ofSpec,
  'apps/deployments': ofSpec,
  'apps/replicasets': ofSpec,
  'apps/statefulsets': ofSpec,
  'batch/jobs': ofSpec,
  'batch/cronjobs': (object) => object['spec']?.jobTemplate?.spec?.template,
}

const keyOf = ({ group, plural }: ResourceDefinition): string => `${group}/${plural}`

export const hasPodTemplate = (definition: ResourceDefinition): boolean => Object.hasOwn(TEMPLATES, keyOf(definition))

/** The pod that this workload makes; undefined when it says nothing of it. */
export function podOfTemplate(definition: ResourceDefinition, object: KubeObject): PodUnderTest | undefined {
  const template = TEMPLATES[keyOf(definition)]?.(object)
  return template == null ? undefined : { metadata: template.metadata ?? {}, spec: template.spec ?? {} }
}

export const podUnderTest = (pod: KubeObject): PodUnderTest => ({
  metadata: pod.metadata,
  spec: (pod['spec'] ?? {}) as PodSpec,
})

const SECCOMP_ANNOTATION = 'container.seccomp.security.alpha.kubernetes.io/'

/**
 * Whether an update may change what the checks see. Of a pod that exists only images and annotations can change, and
 * ephemeral containers can be added; a pod older than its namespace's policy can so still be labelled and finished.
 */
export function isSignificantUpdate(pod: PodUnderTest, old: PodUnderTest): boolean {
  const annotation = ({ metadata }: PodUnderTest, { name = '' }: Container): string =>
    metadata.annotations?.[SECCOMP_ANNOTATION + name] ?? ''
  const changed = (now: Container, before: Container | undefined): boolean =>
    before === undefined || now.image !== before.image || annotation(pod, now) !== annotation(old, now)
  for (const field of ['containers', 'initContainers'] as const) {
    const [now, before] = [pod.spec[field] ?? [], old.spec[field] ?? []]
    if (now.length !== before.length || now.some((container, i) => changed(container, before[i]))) return true
  }
  const before = new Map((old.spec.ephemeralContainers ?? []).map((container) => [container.name, container]))
  return (pod.spec.ephemeralContainers ?? []).some((container) => changed(container, before.get(container.name)))
}
