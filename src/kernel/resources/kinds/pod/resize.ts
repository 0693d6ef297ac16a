import type { KubeObject } from '../../../api/object.ts'
import { compareQuantity, tryQuantity } from '../../../api/quantity.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { MIRROR_POD, validatePodAnnotationsUpdate } from './annotations.ts'
import { validatePodMetadataAndSpec } from './create.ts'
import { semanticEqual } from './equality.ts'
import { podQosClass } from './qos.ts'
import type { Container, EphemeralContainer, PodSpec, PodStatus, ResourceList, ResourceRequirements } from './types.ts'

/** Writes to the subresources `ephemeralcontainers` and `resize` of a pod. */

export function validateEphemeralContainersUpdate(pod: KubeObject, old: KubeObject): FieldError[] {
  if (old.metadata.annotations?.[MIRROR_POD] !== undefined)
    return [fieldError.forbidden('', 'static pods do not support ephemeral containers')]
  const errors: FieldError[] = []
  validatePodMetadataAndSpec(pod, errors)
  const annotations = pod.metadata.annotations ?? {}
  validatePodAnnotationsUpdate(annotations, old.metadata.annotations ?? {}, 'metadata.annotations', errors)
  const path = 'spec.ephemeralContainers'
  const now = new Map<string | undefined, EphemeralContainer>()
  for (const container of (pod['spec'] as PodSpec).ephemeralContainers ?? []) now.set(container.name, container)
  for (const before of (old['spec'] as PodSpec).ephemeralContainers ?? []) {
    const container = now.get(before.name)
    const what = `existing ephemeral containers ${JSON.stringify(before.name ?? '')} may not be`
    if (container === undefined) errors.push(fieldError.forbidden(path, `${what} removed\n`))
    else if (!semanticEqual(container, before)) errors.push(fieldError.forbidden(path, `${what} changed\n`))
  }
  return errors
}

const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always'
const hasPodResources = (spec: PodSpec): boolean =>
  Object.keys({ ...spec.resources?.requests, ...spec.resources?.limits }).length > 0

export function validatePodResize(pod: KubeObject, old: KubeObject): FieldError[] {
  const spec = pod['spec'] as PodSpec
  const before = old['spec'] as PodSpec
  const refusal = resizeRefusal(spec, old, before)
  if (refusal !== undefined) return [fieldError.forbidden('', refusal)]
  const errors: FieldError[] = []
  validatePodMetadataAndSpec(pod, errors)
  const status = (old['status'] ?? {}) as PodStatus
  const qosClass = status.qosClass || podQosClass(before)
  if (qosClass !== podQosClass(spec))
    errors.push(fieldError.invalid('spec', qosClass, 'Pod QOS Class may not change as a result of resizing'))
  const running = status.containerStatuses?.find((c) => c.state?.running != null)
  if (running !== undefined && running.resources == null)
    errors.push(fieldError.forbidden('spec', 'Pod running on node without support for resize'))
  const pairs = (field: 'initContainers' | 'containers'): [Container, Container, string][] =>
    (before[field] ?? []).flatMap((c, i): [Container, Container, string][] =>
      spec[field]?.[i] === undefined ? [] : [[spec[field][i], c, `spec.${field}[${i}].resources`]],
    )
  const init = pairs('initContainers')
  for (const [now, was, path] of [...init.filter(([, c]) => isSidecar(c)), ...pairs('containers')])
    validateContainerResize(now, was.resources ?? {}, path, errors)
  for (const [now, was] of pairs('containers'))
    if (!onlyComputeChanged(now, was))
      errors.push(fieldError.forbidden('spec', 'only cpu and memory resources are mutable'))
  for (const [now, was] of init)
    if (isSidecar(now) ? !onlyComputeChanged(now, was) : !semanticEqual(now, was))
      errors.push(
        fieldError.forbidden(
          'spec',
          isSidecar(now)
            ? 'only cpu and memory resources for sidecar containers are mutable'
            : 'resources for non-sidecar init containers are immutable',
        ),
      )
  if (errors.length === 0 && !semanticEqual(withoutContainers(spec), withoutContainers(before)))
    errors.push(fieldError.forbidden('spec', 'only cpu and memory resources are mutable'))
  return errors
}

function resizeRefusal(spec: PodSpec, old: KubeObject, before: PodSpec): string | undefined {
  if (hasPodResources(spec) || hasPodResources(before)) return 'pods with pod-level resources cannot be resized'
  if (old.metadata.annotations?.[MIRROR_POD] !== undefined) return 'static pods cannot be resized'
  if (before.os?.name === 'windows') return 'windows pods cannot be resized'
  return undefined
}

/** The counts stay: containers can neither come nor go. */
const withoutContainers = (spec: PodSpec): object => ({
  ...spec,
  containers: spec.containers?.map((c) => c.name),
  initContainers: spec.initContainers?.map((c) => c.name),
})

function validateContainerResize(
  now: Container,
  before: ResourceRequirements,
  path: string,
  errors: FieldError[],
): void {
  const resources = now.resources ?? {}
  if (removes(resources.requests, before.requests))
    errors.push(fieldError.forbidden(`${path}.requests`, 'resource requests cannot be removed'))
  if (removes(resources.limits, before.limits))
    errors.push(fieldError.forbidden(`${path}.limits`, 'resource limits cannot be removed'))
  const policy = now.resizePolicy?.find((p) => p.resourceName === 'memory')?.restartPolicy
  if (policy && policy !== 'NotRequired') return
  const limit = tryQuantity(resources.limits?.['memory'])
  const old = tryQuantity(before.limits?.['memory'])
  if (limit === undefined || (old !== undefined && compareQuantity(limit, old) >= 0)) return
  const what = old === undefined ? 'added' : 'decreased'
  errors.push(
    fieldError.forbidden(
      `${path}.limits[memory]`,
      `memory limits cannot be ${what} unless resizePolicy is RestartContainer`,
    ),
  )
}

const removes = (now: ResourceList | undefined, before: ResourceList | undefined): boolean =>
  Object.keys(before ?? {}).some((name) => !Object.hasOwn(now ?? {}, name))

function onlyComputeChanged(now: Container, before: Container): boolean {
  const others = (list: ResourceList | undefined): object => {
    const { cpu: _cpu, memory: _memory, ...rest } = list ?? {}
    return rest
  }
  const strip = (container: Container): object => ({
    ...container,
    resizePolicy: undefined,
    resources: {
      limits: others(container.resources?.limits),
      requests: others(container.resources?.requests),
      claims: container.resources?.claims,
    },
  })
  return semanticEqual(strip(now), strip(before))
}
