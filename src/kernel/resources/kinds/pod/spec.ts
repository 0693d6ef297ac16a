import type { ObjectMeta } from '../../../api/object.ts'
import { type FieldError, fieldError } from '../../../api/status.ts'
import { validateLabels } from '../../validation/meta.ts'
import { dns1123Label, dns1123Subdomain, qualifiedName, rangeMessage } from '../../validation/names.ts'
import { validateAffinity } from './affinity.ts'
import {
  type ContainerContext,
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from './containers.ts'
import { validateDnsConfig, validateHostAliases } from './dns.ts'
import { invalidEach, MAX_INT32, oneOf } from './formats.ts'
import { validatePodResources } from './pod-resources.ts'
import { validateResourceRequirements } from './resources.ts'
import { validateSchedulingGates, validateTolerations, validateTopologySpread } from './scheduling.ts'
import { validatePodSecurityContext } from './security.ts'
import type { PodSpec } from './types.ts'
import { validateVolumes } from './volumes.ts'
import { validateHostProcess, validateOs } from './windows.ts'

/** A pod's spec, in a pod or in the template of another kind (pkg/apis/core/validation, ValidatePodSpec). */

const NO_NAMES: ReadonlySet<string> = new Set()

/** `pod`: metadata of the pod itself; undefined for a template, where some values may still be open. */
export function validatePodSpec(spec: PodSpec, pod: ObjectMeta | undefined, path: string, errors: FieldError[]): void {
  if (spec.terminationGracePeriodSeconds == null)
    errors.push(fieldError.required(`${path}.terminationGracePeriodSeconds`))
  const volumes = validateVolumes(spec.volumes ?? [], { pod }, `${path}.volumes`, errors)
  const claims = spec.resourceClaims ?? []
  const claimNames = claims.length === 0 ? NO_NAMES : new Set(claims.flatMap((c) => (c.name ? [c.name] : [])))
  if (claims.length > 0) validateResourceClaims(claims, `${path}.resourceClaims`, errors)
  const context: ContainerContext = { spec, volumes, claimNames }
  validateContainers(context, `${path}.containers`, errors)
  validateInitContainers(context, `${path}.initContainers`, errors)
  validateEphemeralContainers(context, `${path}.ephemeralContainers`, errors)
  if (spec.resources != null) validatePodResources(spec, claimNames, `${path}.resources`, errors)
  if (spec.hostNetwork) validateHostNetworkPorts(spec, pod !== undefined, path, errors)
  validatePolicies(spec, path, errors)
  validatePlacement(spec, path, errors)
  validatePodSecurityContext(spec.securityContext, spec, `${path}.securityContext`, errors)
  validateDnsConfig(spec, `${path}.dnsConfig`, errors)
  validateHostProcess(spec, path, errors)
  if (spec.hostUsers === false) validateOwnUsers(spec, path, errors)
  validateNames(spec, path, errors)
  if (spec.overhead != null)
    validateResourceRequirements({ limits: spec.overhead }, NO_NAMES, `${path}.overhead`, errors)
  validateOs(spec, path, errors)
}

function validatePolicies(spec: PodSpec, path: string, errors: FieldError[]): void {
  oneOf(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${path}.restartPolicy`, errors)
  oneOf(spec.dnsPolicy, ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'], `${path}.dnsPolicy`, errors)
  if (spec.preemptionPolicy != null)
    oneOf(spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'], `${path}.preemptionPolicy`, errors)
  const deadline = spec.activeDeadlineSeconds
  if (deadline != null && (deadline < 1 || deadline > MAX_INT32))
    errors.push(fieldError.invalid(`${path}.activeDeadlineSeconds`, deadline, rangeMessage(1, MAX_INT32)))
}

function validatePlacement(spec: PodSpec, path: string, errors: FieldError[]): void {
  errors.push(...validateLabels(spec.nodeSelector, `${path}.nodeSelector`))
  if (spec.affinity != null) validateAffinity(spec.affinity, `${path}.affinity`, errors)
  spec.readinessGates?.forEach((gate, i) => {
    const type = gate.conditionType ?? ''
    invalidEach(errors, `${path}.readinessGates[${i}].conditionType`, type, qualifiedName(type))
  })
  if (spec.schedulingGates != null) validateSchedulingGates(spec.schedulingGates, `${path}.schedulingGates`, errors)
  if (spec.topologySpreadConstraints != null)
    validateTopologySpread(spec.topologySpreadConstraints, `${path}.topologySpreadConstraints`, errors)
  if (spec.tolerations != null) validateTolerations(spec.tolerations, `${path}.tolerations`, errors)
}

const SUBDOMAIN_NAMES = ['serviceAccountName', 'nodeName', 'priorityClassName', 'runtimeClassName'] as const

function validateNames(spec: PodSpec, path: string, errors: FieldError[]): void {
  for (const field of SUBDOMAIN_NAMES) {
    const name = spec[field]
    if (name || (name === '' && field === 'runtimeClassName'))
      invalidEach(errors, `${path}.${field}`, name, dns1123Subdomain(name))
  }
  for (const field of ['hostname', 'subdomain'] as const) {
    const name = spec[field]
    if (name) invalidEach(errors, `${path}.${field}`, name, dns1123Label(name))
  }
  if (spec.hostAliases != null) validateHostAliases(spec.hostAliases, `${path}.hostAliases`, errors)
}

/** On the host's network a container's port is the host's: in a pod it must say so, in a template it may. */
function validateHostNetworkPorts(spec: PodSpec, isPod: boolean, path: string, errors: FieldError[]): void {
  spec.containers?.forEach((container, i) => {
    container.ports?.forEach((port, j) => {
      const hostPort = port.hostPort ?? 0
      if ((isPod || hostPort !== 0) && hostPort !== (port.containerPort ?? 0))
        errors.push(
          fieldError.invalid(
            `${path}.containers[${i}].ports[${j}].hostPort`,
            hostPort,
            'must match `containerPort` when `hostNetwork` is true',
          ),
        )
    })
  })
}

function validateOwnUsers(spec: PodSpec, path: string, errors: FieldError[]): void {
  const why = 'when `pod.Spec.HostUsers` is false'
  if (spec.hostNetwork) errors.push(fieldError.forbidden(`${path}.hostNetwork`, why))
  if (spec.hostPID) errors.push(fieldError.forbidden(`${path}.HostPID`, why))
  if (spec.hostIPC) errors.push(fieldError.forbidden(`${path}.HostIPC`, why))
}

function validateResourceClaims(
  claims: NonNullable<PodSpec['resourceClaims']>,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  claims.forEach((claim, i) => {
    const at = `${path}[${i}]`
    const name = claim.name ?? ''
    if (name === '') errors.push(fieldError.required(`${at}.name`))
    else if (seen.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
    else invalidEach(errors, `${at}.name`, name, dns1123Label(name))
    seen.add(name)
    const given = (['resourceClaimName', 'resourceClaimTemplateName'] as const).filter((f) => claim[f] != null)
    if (given.length === 2)
      errors.push(
        fieldError.invalid(
          at,
          claim,
          'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified',
        ),
      )
    if (given.length === 0)
      errors.push(
        fieldError.invalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'),
      )
    for (const field of given) invalidEach(errors, `${at}.${field}`, claim[field], dns1123Subdomain(claim[field]!))
  })
}
