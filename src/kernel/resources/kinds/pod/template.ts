import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateAnnotations, validateLabels } from '../../validation/meta.ts'
import { validatePodAnnotations, validateProfileAnnotations } from './annotations.ts'
import { validatePodSpec } from './spec.ts'
import type { PodTemplateSpec } from './types.ts'

/** The template of pods inside another kind. */
export function validatePodTemplateSpec(
  template: PodTemplateSpec | null | undefined,
  path: string,
  errors: FieldError[],
): void {
  const metadata = template?.metadata ?? undefined
  const spec = template?.spec ?? {}
  errors.push(...validateLabels(metadata?.labels, `${path}.labels`))
  errors.push(...validateAnnotations(metadata?.annotations, `${path}.annotations`))
  validatePodAnnotations(metadata?.annotations, spec, `${path}.annotations`, errors)
  validatePodSpec(spec, undefined, `${path}.spec`, errors)
  validateProfileAnnotations(metadata, spec, `${path}.spec`, errors)
  if ((spec.ephemeralContainers ?? []).length > 0)
    errors.push(
      fieldError.forbidden(`${path}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template'),
    )
}
