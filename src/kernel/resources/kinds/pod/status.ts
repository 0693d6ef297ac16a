import type { KubeObject } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { IMMUTABLE } from '../../validation/meta.ts'
import { dns1123Subdomain, qualifiedName } from '../../validation/names.ts'
import { validatePodAnnotationsUpdate } from './annotations.ts'
import { idNumber, invalidEach, ipAddress, ipFamily } from './formats.ts'
import type { ContainerStatus, PodSpec, PodStatus } from './types.ts'

/** What a kubelet, or anyone else, may write into a pod's status. */

const SYSTEM_CONDITIONS: ReadonlySet<string> = new Set(['PodScheduled', 'Ready', 'Initialized'])

export function validatePodStatusUpdate(pod: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = (old['spec'] ?? {}) as PodSpec
  const status = (pod['status'] ?? {}) as PodStatus
  const before = (old['status'] ?? {}) as PodStatus
  const annotations = pod.metadata.annotations ?? {}
  validatePodAnnotationsUpdate(annotations, old.metadata.annotations ?? {}, 'metadata.annotations', errors)
  status.conditions?.forEach((condition, i) => {
    const type = condition.type ?? ''
    if (!SYSTEM_CONDITIONS.has(type)) invalidEach(errors, `metadata.conditions[${i}].Type`, type, qualifiedName(type))
  })
  const nominated = status.nominatedNodeName
  if (nominated && nominated !== before.nominatedNodeName)
    invalidEach(errors, 'status.nominatedNodeName', nominated, dns1123Subdomain(nominated))
  if ((status.qosClass ?? '') !== (before.qosClass ?? ''))
    errors.push(fieldError.invalid('status.qosClass', status.qosClass ?? '', IMMUTABLE))
  validateContainerStates(status, before, spec, errors)
  validateClaimStatuses(status, spec, errors)
  validateIps(status.podIPs ?? [], 'status.podIPs', errors)
  const hostIPs = status.hostIPs ?? []
  if (hostIPs.length > 0 && (status.hostIP ?? '') !== hostIPs[0]!.ip)
    errors.push(fieldError.invalid('status.hostIPs[0].ip', hostIPs[0]!.ip, 'must be equal to `hostIP`'))
  validateIps(hostIPs, 'status.hostIPs', errors)
  validateUsers(status, spec, errors)
  return errors
}

const LISTS = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const

/** A container that has ended for good cannot come back. */
function validateContainerStates(status: PodStatus, before: PodStatus, spec: PodSpec, errors: FieldError[]): void {
  const sidecars = new Set(spec.initContainers?.filter((c) => c.restartPolicy === 'Always').map((c) => c.name))
  for (const list of LISTS) {
    const policy = list === 'ephemeralContainerStatuses' ? 'Never' : spec.restartPolicy
    if (policy === 'Always') continue
    before[list]?.forEach((old, i) => {
      const ended = old.state?.terminated
      if (ended == null || (ended.exitCode !== 0 && policy === 'OnFailure')) return
      if (list === 'initContainerStatuses' && sidecars.has(old.name)) return
      if (status[list]?.some((c: ContainerStatus) => c.name === old.name && c.state?.terminated == null))
        errors.push(
          fieldError.forbidden(`status.${list}[${i}].state`, 'may not be transitioned to non-terminated state'),
        )
    })
  }
}

function validateClaimStatuses(status: PodStatus, spec: PodSpec, errors: FieldError[]): void {
  const names = new Set(spec.resourceClaims?.map((claim) => claim.name))
  const seen = new Set<string | undefined>()
  status.resourceClaimStatuses?.forEach(({ name, resourceClaimName }, i) => {
    const at = `status.resourceClaimStatuses[${i}].name`
    if (!names.has(name))
      errors.push(fieldError.invalid(at, name ?? '', 'must match the name of an entry in `spec.resourceClaims`'))
    if (seen.has(name)) errors.push(fieldError.duplicate(at, name))
    seen.add(name)
    if (resourceClaimName != null) invalidEach(errors, at, resourceClaimName, dns1123Subdomain(resourceClaimName))
  })
}

/** At most one address of each family. */
function validateIps(ips: readonly { ip?: string }[], path: string, errors: FieldError[]): void {
  const seen = new Set<string | undefined>()
  ips.forEach((entry, i) => {
    ipAddress(entry.ip, `${path}[${i}]`, errors)
    if (seen.has(entry.ip)) errors.push(fieldError.duplicate(`${path}[${i}]`, entry))
    seen.add(entry.ip)
  })
  if (ips.length < 2) return
  const families = ips.map(({ ip }) => ipFamily(ip ?? ''))
  if (ips.length > 2 || families[0] === families[1])
    errors.push(fieldError.invalid(path, ips, 'may specify no more than one IP for each IP family'))
}

function validateUsers(status: PodStatus, spec: PodSpec, errors: FieldError[]): void {
  for (const list of LISTS)
    status[list]?.forEach(({ user }, i) => {
      const linux = user?.linux
      if (linux == null) return
      const at = `status.${list}[${i}].linux`
      if (spec.os?.name === 'windows') {
        errors.push(fieldError.forbidden(at, 'cannot be set for a windows pod'))
        return
      }
      idNumber(linux.uid ?? 0, `${at}.uid`, errors)
      idNumber(linux.gid ?? 0, `${at}.gid`, errors)
      linux.supplementalGroups?.forEach((gid, j) => {
        idNumber(gid, `${at}.supplementalGroups[${j}]`, errors)
      })
    })
}
