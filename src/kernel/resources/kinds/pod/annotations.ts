import type { ObjectMeta } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { localDescendingPath } from './formats.ts'
import { validateTolerations } from './scheduling.ts'
import type { LocalhostProfile, PodSpec, Toleration } from './types.ts'
import { eachContainer } from './windows.ts'

/** Annotations of pods which the API itself reads: older forms of fields, and marks of the kubelet. */

type Annotations = Readonly<Record<string, string>>

export const MIRROR_POD = 'kubernetes.io/config.mirror'
const TOLERATIONS = 'scheduler.alpha.kubernetes.io/tolerations'
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost'
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
export const APPARMOR_CONTAINER = 'container.apparmor.security.beta.kubernetes.io/'

export function validatePodAnnotations(
  annotations: Annotations | undefined,
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  if (annotations == null) return
  for (const key in annotations) {
    const value = annotations[key] ?? ''
    if (key === MIRROR_POD) {
      if (!spec.nodeName)
        errors.push(
          fieldError.invalid(`${path}[${key}]`, value, 'must set spec.nodeName if mirror pod annotation is set'),
        )
    } else if (key === DELETION_COST) {
      if (!isInt32(value)) errors.push(fieldError.invalid(`${path}[${key}]`, value, 'must be a 32bit integer'))
    } else if (key === TOLERATIONS) validateTolerationsAnnotation(value, path, errors)
    else if (key === SECCOMP_POD || key.startsWith(SECCOMP_CONTAINER))
      validateSeccompAnnotation(value, `${path}.${key}`, errors)
    else if (key.startsWith(APPARMOR_CONTAINER)) validateAppArmorAnnotation(key, value, spec, path, errors)
  }
}

/** As the controllers read it: decimal, an optional '-', no leading zeros or '+'. */
const isInt32 = (text: string): boolean => /^(?:0|-?[1-9]\d{0,9})$/.test(text) && Math.abs(Number(text) + 0.5) < 2 ** 31

function validateTolerationsAnnotation(value: string, path: string, errors: FieldError[]): void {
  if (value === '') return
  try {
    const tolerations: unknown = JSON.parse(value)
    if (!Array.isArray(tolerations) || tolerations.some((t) => typeof t !== 'object' || t === null))
      throw new SyntaxError('json: cannot unmarshal the value into a list of tolerations')
    validateTolerations(tolerations as Toleration[], `${path}.${TOLERATIONS}`, errors)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    errors.push(fieldError.invalid(path, TOLERATIONS, error.message))
  }
}

function validateSeccompAnnotation(profile: string, path: string, errors: FieldError[]): void {
  if (profile === 'runtime/default' || profile === 'docker/default' || profile === 'unconfined') return
  if (profile.startsWith('localhost/')) localDescendingPath(profile.slice('localhost/'.length), path, errors)
  else errors.push(fieldError.invalid(path, profile, 'must be a valid seccomp profile'))
}

function validateAppArmorAnnotation(
  key: string,
  profile: string,
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  const name = key.slice(APPARMOR_CONTAINER.length)
  let found = false
  eachContainer(spec, '', (container) => {
    found ||= container.name === name
  })
  if (!found) errors.push(fieldError.invalid(`${path}[${key}]`, name, 'container not found'))
  const known = profile === '' || profile === 'runtime/default' || profile === 'unconfined'
  if (!known && !profile.startsWith('localhost/'))
    errors.push(
      fieldError.invalid(`${path}[${key}]`, profile, `invalid AppArmor profile name: ${JSON.stringify(profile)}`),
    )
}

/** Annotations that say once and for all how the pod runs. */
export function validatePodAnnotationsUpdate(
  annotations: Annotations,
  old: Annotations,
  path: string,
  errors: FieldError[],
): void {
  for (const key in old) {
    if (annotations[key] === old[key]) continue
    if (key.startsWith(APPARMOR_CONTAINER))
      errors.push(fieldError.forbidden(`${path}[${key}]`, 'may not remove or update AppArmor annotations'))
    if (key === MIRROR_POD)
      errors.push(fieldError.forbidden(`${path}[${key}]`, 'may not remove or update mirror pod annotation'))
  }
  for (const key in annotations) {
    if (Object.hasOwn(old, key)) continue
    if (key.startsWith(APPARMOR_CONTAINER))
      errors.push(fieldError.forbidden(`${path}[${key}]`, 'may not add AppArmor annotations'))
    if (key === MIRROR_POD) errors.push(fieldError.forbidden(`${path}[${key}]`, 'may not add mirror pod annotation'))
  }
}

type ProfileKind = { label: string; defaults: readonly string[] }
const SECCOMP: ProfileKind = { label: 'seccomp', defaults: ['runtime/default', 'docker/default'] }
const APPARMOR: ProfileKind = { label: 'apparmor', defaults: ['runtime/default'] }

/** Where a profile is given both as a field and as an annotation, they must agree. */
export function validateProfileAnnotations(
  metadata: ObjectMeta | undefined,
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  const annotations = metadata?.annotations
  if (annotations == null || !hasProfiles(annotations)) return
  const check = (key: string, field: LocalhostProfile | undefined, at: string, kind: ProfileKind): void => {
    const annotation = annotations[key]
    if (annotation !== undefined && field != null) mustMatch(annotation, field, at, kind, errors)
  }
  const { seccompProfile, appArmorProfile } = spec.securityContext ?? {}
  check(SECCOMP_POD, seccompProfile, `${path}.securityContext.seccompProfile`, SECCOMP)
  eachContainer(spec, path, (container, at) => {
    const context = container.securityContext
    check(SECCOMP_CONTAINER + container.name, context?.seccompProfile, `${at}.securityContext.seccompProfile`, SECCOMP)
    if (spec.os?.name === 'windows') return
    const profile = context?.appArmorProfile ?? appArmorProfile
    check(APPARMOR_CONTAINER + container.name, profile, `${at}.securityContext.appArmorProfile`, APPARMOR)
  })
}

function hasProfiles(annotations: Annotations): boolean {
  for (const key in annotations)
    if (key === SECCOMP_POD || key.startsWith(SECCOMP_CONTAINER) || key.startsWith(APPARMOR_CONTAINER)) return true
  return false
}

function mustMatch(
  annotation: string,
  field: LocalhostProfile,
  path: string,
  { label, defaults }: ProfileKind,
  errors: FieldError[],
): void {
  const ofType: Record<string, boolean> = {
    Unconfined: annotation === 'unconfined',
    RuntimeDefault: defaults.includes(annotation),
    Localhost: annotation.startsWith('localhost/'),
  }
  if (ofType[field.type ?? ''] === false)
    errors.push(fieldError.forbidden(`${path}.type`, `${label} type in annotation and field must match`))
  else if (field.type === 'Localhost' && annotation.slice('localhost/'.length) !== field.localhostProfile)
    errors.push(fieldError.forbidden(`${path}.localhostProfile`, `${label} profile in annotation and field must match`))
}
