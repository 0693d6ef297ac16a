import type { KubeObject } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { rangeMessage } from '../../validation/names.ts'
import { validateNodeAffinityMutation } from './affinity.ts'
import { validatePodAnnotationsUpdate } from './annotations.ts'
import { validateImageOfPod } from './containers.ts'
import { validatePodMetadataAndSpec } from './create.ts'
import { differences, semanticEqual } from './equality.ts'
import { MAX_INT32 } from './formats.ts'
import { validateOnlyAddedTolerations, validateOnlyDeletedGates } from './scheduling.ts'
import type { Container, PodSpec } from './types.ts'

/** Which changes a pod's spec allows once it exists. */

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',')

export function validatePodUpdate(pod: KubeObject, old: KubeObject): FieldError[] {
  const spec = pod['spec'] as PodSpec
  const before = old['spec'] as PodSpec
  const errors: FieldError[] = []
  validatePodMetadataAndSpec(pod, errors)
  const annotations = pod.metadata.annotations ?? {}
  validatePodAnnotationsUpdate(annotations, old.metadata.annotations ?? {}, 'metadata.annotations', errors)
  for (const field of ['containers', 'initContainers'] as const)
    if (!sameContainers(spec[field], before[field], `spec.${field}`, errors)) return errors
  if (!validateDeadline(spec.activeDeadlineSeconds, before.activeDeadlineSeconds, errors)) return errors
  validateOnlyAddedTolerations(spec.tolerations ?? [], before.tolerations ?? [], 'spec.tolerations', errors)
  validateOnlyDeletedGates(spec.schedulingGates ?? [], before.schedulingGates ?? [], 'spec.schedulingGates', errors)
  if (semanticEqual(spec, before)) return errors
  const masked = withoutAllowedChanges(spec, before, errors)
  const changed = differences(masked, before, 'spec')
  if (changed.length > 0)
    errors.push(
      fieldError.forbidden(
        'spec',
        `pod updates may not change fields other than ${UPDATABLE}\nchanged: ${changed.join(', ')}`,
      ),
    )
  return errors
}

function sameContainers(
  containers: readonly Container[] | undefined,
  old: readonly Container[] | undefined,
  path: string,
  errors: FieldError[],
): boolean {
  if ((containers ?? []).length !== (old ?? []).length) {
    errors.push(fieldError.forbidden(path, 'pod updates may not add or remove containers'))
    return false
  }
  containers?.forEach((container, i) => {
    if (!container.image) errors.push(fieldError.required(`${path}[${i}].image`))
    validateImageOfPod(container, `${path}[${i}]`, errors)
  })
  return true
}

/** A deadline may be set, and brought forward. False: the rest need not be looked at. */
function validateDeadline(deadline: number | undefined, old: number | undefined, errors: FieldError[]): boolean {
  const path = 'spec.activeDeadlineSeconds'
  if (deadline == null) {
    if (old != null) errors.push(fieldError.invalid(path, null, 'must not update from a positive integer to nil value'))
    return true
  }
  if (deadline < 0 || deadline > MAX_INT32) {
    errors.push(fieldError.invalid(path, deadline, rangeMessage(0, MAX_INT32)))
    return false
  }
  if (old == null || old >= deadline) return true
  errors.push(fieldError.invalid(path, deadline, 'must be less than or equal to previous value'))
  return false
}

const withImages = (containers: Container[] | undefined, old: Container[] | undefined): Container[] =>
  (containers ?? []).map((container, i) => ({ ...container, image: old?.[i]?.image ?? '' }))

/** The new spec with the old values wherever a change is allowed. */
function withoutAllowedChanges(spec: PodSpec, before: PodSpec, errors: FieldError[]): PodSpec {
  const masked: PodSpec = {
    ...spec,
    containers: withImages(spec.containers, before.containers),
    initContainers: withImages(spec.initContainers, before.initContainers),
    activeDeadlineSeconds: before.activeDeadlineSeconds!,
    schedulingGates: before.schedulingGates!,
    tolerations: before.tolerations!,
  }
  if ((before.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1)
    masked.terminationGracePeriodSeconds = before.terminationGracePeriodSeconds!
  if ((before.schedulingGates ?? []).length > 0) maskNodeChoice(masked, spec, before, errors)
  return masked
}

/** A pod with scheduling gates may still narrow down its nodes. */
function maskNodeChoice(masked: PodSpec, spec: PodSpec, before: PodSpec, errors: FieldError[]): void {
  const selector = spec.nodeSelector ?? {}
  if (Object.entries(before.nodeSelector ?? {}).some(([key, value]) => selector[key] !== value))
    errors.push(
      fieldError.invalid(
        'spec.nodeSelector',
        selector,
        'only additions to spec.nodeSelector are allowed (no mutations or deletions)',
      ),
    )
  masked.nodeSelector = before.nodeSelector!
  const affinity = spec.affinity?.nodeAffinity
  const old = before.affinity?.nodeAffinity
  if (semanticEqual(affinity, old)) return
  validateNodeAffinityMutation(affinity, old, 'spec.affinity.nodeAffinity', errors)
  const { nodeAffinity: _masked, ...others } = spec.affinity ?? {}
  masked.affinity = old === undefined ? others : { ...others, nodeAffinity: old }
}
