import type { KubeObject } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { validatePodAnnotations, validateProfileAnnotations } from './annotations.ts'
import { validateImageOfPod } from './containers.ts'
import { validatePodSpec } from './spec.ts'
import type { PodSpec, ProjectedSource } from './types.ts'

/** A pod as it is created; labels, names and the rest of metadata are checked for all kinds alike elsewhere. */
export function validatePodCreate(pod: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = (pod['spec'] ?? {}) as PodSpec
  validatePodMetadataAndSpec(pod, errors)
  if ((spec.ephemeralContainers ?? []).length > 0)
    errors.push(fieldError.forbidden('spec.ephemeralContainers', 'cannot be set on create'))
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0)
    errors.push(fieldError.forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  validateProfileAnnotations(pod.metadata, spec, 'spec', errors)
  return errors
}

/** What holds for a pod at all times. */
export function validatePodMetadataAndSpec(pod: KubeObject, errors: FieldError[]): void {
  const spec = (pod['spec'] ?? {}) as PodSpec
  validatePodAnnotations(pod.metadata.annotations, spec, 'metadata.annotations', errors)
  validatePodSpec(spec, pod.metadata, 'spec', errors)
  if (!spec.serviceAccountName) refuseTokens(spec, errors)
  for (const field of ['containers', 'initContainers'] as const)
    spec[field]?.forEach((container, i) => {
      validateImageOfPod(container, `spec.${field}[${i}]`, errors)
    })
}

/** Without a service account there is nobody whose token could be projected. */
function refuseTokens(spec: PodSpec, errors: FieldError[]): void {
  spec.volumes?.forEach((volume, i) => {
    const projected = volume['projected'] as { sources?: ProjectedSource[] } | undefined
    projected?.sources?.forEach((source, j) => {
      if (source.serviceAccountToken != null)
        errors.push(
          fieldError.forbidden(
            `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`,
            'must not be specified when serviceAccountName is not set',
          ),
        )
    })
  })
}
