import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Subdomain } from '../../validation/names.ts'
import { invalidEach } from './formats.ts'
import type { Container, PodSpec, WindowsOptions } from './types.ts'

/** Options for Windows nodes, and which of Linux's a pod for Windows may not have. */

const MAX_CREDENTIAL_SPEC_KIB = 64
const MAX_DOMAIN = 256
const MAX_USER = 104
const NETBIOS = /^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$/
const DNS_DOMAIN = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/
const USER_FORBIDDEN = /["/\\:;|=,+*?<>@[\]]/
const DOTS_AND_SPACES = /^[. ]+$/
const CONTROL = /[\x00-\x1f\x7f]/

export function validateWindowsOptions(options: WindowsOptions | undefined, path: string, errors: FieldError[]): void {
  if (options == null) return
  const { gmsaCredentialSpecName: name, gmsaCredentialSpec: spec, runAsUserName: user } = options
  if (name != null) invalidEach(errors, `${path}.gmsaCredentialSpecName`, name, dns1123Subdomain(name))
  if (spec === '')
    errors.push(fieldError.invalid(`${path}.gmsaCredentialSpec`, spec, 'gmsaCredentialSpec cannot be an empty string'))
  else if (spec != null && Buffer.byteLength(spec) > MAX_CREDENTIAL_SPEC_KIB * 1024)
    errors.push(
      fieldError.invalid(
        `${path}.gmsaCredentialSpec`,
        spec,
        `gmsaCredentialSpec size must be under ${MAX_CREDENTIAL_SPEC_KIB} KiB`,
      ),
    )
  if (user != null) invalidEach(errors, `${path}.runAsUserName`, user, userNameProblems(user))
}

/** `user` or `DOMAIN\user`. */
function userNameProblems(name: string): string[] {
  if (name === '') return ['runAsUserName cannot be an empty string']
  if (CONTROL.test(name)) return ['runAsUserName cannot contain control characters']
  const parts = name.split('\\')
  if (parts.length > 2) return ['runAsUserName cannot contain more than one backslash']
  const user = parts.at(-1)!
  const domain = parts.length === 2 ? parts[0]! : undefined
  const problems: string[] = []
  if (domain !== undefined) {
    if (domain.length >= MAX_DOMAIN)
      problems.push(`runAsUserName's Domain length must be under ${MAX_DOMAIN} characters`)
    if (!NETBIOS.test(domain) && !DNS_DOMAIN.test(domain))
      problems.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
  }
  if (user === '') problems.push("runAsUserName's User cannot be empty")
  else if (user.length > MAX_USER)
    problems.push(`runAsUserName's User length must not be longer than ${MAX_USER} characters`)
  if (DOTS_AND_SPACES.test(user)) problems.push("runAsUserName's User cannot contain only periods or spaces")
  if (USER_FORBIDDEN.test(user))
    problems.push(`runAsUserName's User cannot contain the following characters: "/\\:;|=,+*?<>@[]`)
  return problems
}

/** Calls `visit` for init, regular and ephemeral containers, in the order in which Kubernetes looks at them. */
export function eachContainer(spec: PodSpec, path: string, visit: (container: Container, at: string) => void): void {
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    const containers = spec[list]
    if (containers != null) for (let i = 0; i < containers.length; i++) visit(containers[i]!, `${path}.${list}[${i}]`)
  }
}

/** All containers of a pod are host processes or none is, and host processes need the host's network. */
export function validateHostProcess(spec: PodSpec, path: string, errors: FieldError[]): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess
  let containers = 0
  let hostProcesses = 0
  eachContainer(spec, path, (container, at) => {
    containers++
    const own = container.securityContext?.windowsOptions?.hostProcess
    if (own == null && ofPod == null) return
    if (own != null && ofPod != null && own !== ofPod)
      errors.push(
        fieldError.invalid(
          `${at}.securityContext.windowsOptions.hostProcess`,
          own,
          `pod hostProcess value must be identical if both are specified, was ${ofPod}`,
        ),
      )
    if (own ?? ofPod) hostProcesses++
  })
  if (hostProcesses === 0) return
  if (hostProcesses !== containers)
    errors.push(
      fieldError.invalid(
        path,
        '',
        'If pod contains any hostProcess containers then all containers must be HostProcess containers',
      ),
    )
  if (!spec.hostNetwork)
    errors.push(
      fieldError.invalid(
        `${path}.hostNetwork`,
        false,
        'hostNetwork must be true if pod contains any hostProcess containers',
      ),
    )
}

const NOT_ON_WINDOWS_POD = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'fsGroup',
  'fsGroupChangePolicy',
  'sysctls',
  'runAsUser',
  'runAsGroup',
  'supplementalGroups',
  'supplementalGroupsPolicy',
  'seLinuxChangePolicy',
] as const
const NOT_ON_WINDOWS_SPEC = ['hostUsers', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const
const NOT_ON_WINDOWS_CONTAINER = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const
const FOR_WINDOWS = 'cannot be set for a windows pod'

/** spec.os, and that nothing belongs to the other system. */
export function validateOs(spec: PodSpec, path: string, errors: FieldError[]): void {
  if (spec.os == null) return
  const name = spec.os.name ?? ''
  if (name === '') errors.push(fieldError.required(`${path}.os.name`, 'cannot be empty'))
  else if (name === 'linux') forbidWindowsOptions(spec, path, errors)
  else if (name === 'windows') forbidLinuxOptions(spec, path, errors)
  else errors.push(fieldError.notSupported(`${path}.os`, name, ['linux', 'windows']))
}

function forbidWindowsOptions(spec: PodSpec, path: string, errors: FieldError[]): void {
  const why = 'windows options cannot be set for a linux pod'
  if (spec.securityContext?.windowsOptions != null)
    errors.push(fieldError.forbidden(`${path}.securityContext.windowsOptions`, why))
  eachContainer(spec, path, (container, at) => {
    if (container.securityContext?.windowsOptions != null)
      errors.push(fieldError.forbidden(`${at}.securityContext.windowsOptions`, why))
  })
}

const isSet = (value: unknown): boolean =>
  value != null && value !== false && !(Array.isArray(value) && value.length === 0)

function forbidLinuxOptions(spec: PodSpec, path: string, errors: FieldError[]): void {
  for (const field of NOT_ON_WINDOWS_POD)
    if (isSet(spec.securityContext?.[field]))
      errors.push(fieldError.forbidden(`${path}.securityContext.${field}`, FOR_WINDOWS))
  for (const field of NOT_ON_WINDOWS_SPEC)
    if (field === 'hostUsers' || field === 'shareProcessNamespace' ? spec[field] != null : spec[field])
      errors.push(fieldError.forbidden(`${path}.${field}`, FOR_WINDOWS))
  eachContainer(spec, path, (container, at) => {
    for (const field of NOT_ON_WINDOWS_CONTAINER)
      if (container.securityContext?.[field] != null)
        errors.push(fieldError.forbidden(`${at}.securityContext.${field}`, FOR_WINDOWS))
  })
}
