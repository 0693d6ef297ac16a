import { type FieldError, fieldError } from '../../../api/status.ts'
import { idNumber, localDescendingPath, oneOfIfSet } from './formats.ts'
import type { LocalhostProfile, PodSecurityContext, PodSpec, SecurityContext } from './types.ts'
import { validateWindowsOptions } from './windows.ts'

/** Security contexts of pods and containers: users, profiles, sysctls. */

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined']

export function validateSecurityContext(
  context: SecurityContext,
  hostUsers: boolean,
  path: string,
  errors: FieldError[],
): void {
  idNumber(context.runAsUser, `${path}.runAsUser`, errors)
  idNumber(context.runAsGroup, `${path}.runAsGroup`, errors)
  if (context.procMount != null) {
    oneOfIfSet(context.procMount, ['Default', 'Unmasked'], `${path}.procMount`, errors)
    if (hostUsers && context.procMount === 'Unmasked')
      errors.push(
        fieldError.invalid(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'),
      )
  }
  validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`, errors)
  if (context.allowPrivilegeEscalation === false) {
    const clash = (what: string): void => {
      errors.push(fieldError.invalid(path, context, `cannot set \`allowPrivilegeEscalation\` to false and ${what}`))
    }
    if (context.privileged === true) clash('`privileged` to true')
    for (const capability of context.capabilities?.add ?? [])
      if (capability === 'CAP_SYS_ADMIN') clash('`capabilities.Add` CAP_SYS_ADMIN')
  }
  validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`, errors)
  validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`, errors)
}

function validateSeccompProfile(profile: LocalhostProfile | undefined, path: string, errors: FieldError[]): void {
  if (profile == null) return
  const at = `${path}.localhostProfile`
  if (!profile.type) errors.push(fieldError.required(`${path}.type`, 'type is required when seccompProfile is set'))
  else oneOfIfSet(profile.type, PROFILE_TYPES, `${path}.type`, errors)
  if (profile.type !== 'Localhost') {
    if (profile.localhostProfile != null)
      errors.push(fieldError.invalid(at, profile, 'can only be set when seccomp type is Localhost'))
  } else if (profile.localhostProfile == null)
    errors.push(fieldError.required(at, 'must be set when seccomp type is Localhost'))
  else localDescendingPath(profile.localhostProfile, at, errors)
}

/** PATH_MAX - 1 of Linux. */
const MAX_PROFILE_BYTES = 4095

function validateAppArmorProfile(profile: LocalhostProfile | undefined, path: string, errors: FieldError[]): void {
  if (profile == null) return
  const at = `${path}.localhostProfile`
  const name = profile.localhostProfile
  if (!profile.type) errors.push(fieldError.required(`${path}.type`, 'type is required when appArmorProfile is set'))
  else if (!PROFILE_TYPES.includes(profile.type))
    errors.push(fieldError.notSupported(`${path}.type`, profile.type, PROFILE_TYPES))
  else if (profile.type !== 'Localhost') {
    if (name != null) errors.push(fieldError.invalid(at, name, 'can only be set when AppArmor type is Localhost'))
  } else if (name == null || name === '')
    errors.push(fieldError.required(at, 'must be set when AppArmor type is Localhost'))
  else {
    if (name.trim() !== name) errors.push(fieldError.invalid(at, name, 'must not be padded with whitespace'))
    if (Buffer.byteLength(name) > MAX_PROFILE_BYTES) errors.push(fieldError.tooLong(at, MAX_PROFILE_BYTES))
  }
}

export function validatePodSecurityContext(
  context: PodSecurityContext | undefined,
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  if (spec.shareProcessNamespace === true && spec.hostPID === true)
    errors.push(
      fieldError.invalid(
        `${path}.shareProcessNamespace`,
        true,
        'ShareProcessNamespace and HostPID cannot both be enabled',
      ),
    )
  if (context == null) return
  idNumber(context.fsGroup, `${path}.fsGroup`, errors)
  idNumber(context.runAsUser, `${path}.runAsUser`, errors)
  idNumber(context.runAsGroup, `${path}.runAsGroup`, errors)
  context.supplementalGroups?.forEach((group, i) => {
    idNumber(group, `${path}.supplementalGroups[${i}]`, errors)
  })
  if (context.sysctls != null) validateSysctls(context.sysctls, spec, `${path}.sysctls`, errors)
  oneOfIfSet(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${path}.fsGroupChangePolicy`, errors)
  validateSeccompProfile(context.seccompProfile, `${path}.seccompProfile`, errors)
  validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`, errors)
  validateAppArmorProfile(context.appArmorProfile, `${path}.appArmorProfile`, errors)
  oneOfIfSet(context.supplementalGroupsPolicy, ['Merge', 'Strict'], `${path}.supplementalGroupsPolicy`, errors)
  oneOfIfSet(context.seLinuxChangePolicy, ['MountOption', 'Recursive'], `${path}.seLinuxChangePolicy`, errors)
}

const SYSCTL_MAX = 253
const SYSCTL_SEGMENT = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SYSCTL_PATTERN = `^(${SYSCTL_SEGMENT}[\\./])*${SYSCTL_SEGMENT}$`
const sysctlPattern = new RegExp(SYSCTL_PATTERN)
/** Names whose values are the pod's own when it has its own network or IPC namespace. */
const NAMESPACED: readonly [RegExp, 'net' | 'ipc'][] = [
  [/^net[./]/, 'net'],
  [/^(?:kernel[./](?:shm|msg|sem$)|fs[./]mqueue[./])/, 'ipc'],
]

function validateSysctls(
  sysctls: readonly { name?: string }[],
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  sysctls.forEach((sysctl, i) => {
    const at = `${path}[${i}].name`
    const name = sysctl.name ?? ''
    if (name === '') errors.push(fieldError.required(at))
    else if (name.length > SYSCTL_MAX || !sysctlPattern.test(name))
      errors.push(
        fieldError.invalid(at, name, `must have at most ${SYSCTL_MAX} characters and match regex ${SYSCTL_PATTERN}`),
      )
    else if (seen.has(name)) errors.push(fieldError.duplicate(at, name))
    seen.add(name)
    const namespace = NAMESPACED.find(([pattern]) => pattern.test(name))?.[1]
    if (namespace === 'net' && spec.hostNetwork)
      errors.push(fieldError.invalid(at, name, "may not be specified when 'hostNetwork' is true"))
    if (namespace === 'ipc' && spec.hostIPC)
      errors.push(fieldError.invalid(at, name, "may not be specified when 'hostIPC' is true"))
  })
}
