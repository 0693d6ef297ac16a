import { type FieldError, fieldError } from '../../../api/status.ts'
import { dns1123Label, portName, portNumber } from '../../validation/names.ts'
import { PROTOCOLS } from '../ports.ts'
import { validateEnv, validateEnvFrom } from './environment.ts'
import { invalidEach, oneOf } from './formats.ts'
import { validateVolumeDevices, validateVolumeMounts } from './mounts.ts'
import { validateProbesAndLifecycle } from './probes.ts'
import { validateResourceRequirements } from './resources.ts'
import { validateSecurityContext } from './security.ts'
import type { Container, ContainerPort, EphemeralContainer, PodSpec } from './types.ts'
import type { VolumesByName } from './volumes.ts'

/** Regular, init and ephemeral containers. */

/** What a container's rules need to know of its pod. */
export type ContainerContext = { spec: PodSpec; volumes: VolumesByName; claimNames: ReadonlySet<string> }

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']
const MESSAGE_POLICIES = ['File', 'FallbackToLogsOnError']

export function validateContainers(context: ContainerContext, path: string, errors: FieldError[]): void {
  const containers = context.spec.containers ?? []
  if (containers.length === 0) {
    errors.push(fieldError.required(path))
    return
  }
  const names = new Set<string>()
  const hostPorts = new Set<string>()
  for (let i = 0; i < containers.length; i++) {
    const container = containers[i]!
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, context, at, errors)
    if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
    names.add(name)
    validateProbesAndLifecycle(container, context.spec.terminationGracePeriodSeconds, at, errors)
    if (container.restartPolicy != null)
      errors.push(fieldError.forbidden(`${at}.restartPolicy`, 'may not be set for non-init containers'))
    uniqueHostPorts(container.ports, hostPorts, `${at}.ports`, errors)
  }
}

const ONLY_SIDECARS = ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const

export function validateInitContainers(context: ContainerContext, path: string, errors: FieldError[]): void {
  const containers = context.spec.initContainers
  if (containers == null || containers.length === 0) return
  const names = new Set(context.spec.containers?.map((c) => c.name ?? ''))
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, context, at, errors)
    const policy = container.restartPolicy
    if (policy != null && policy !== 'Always')
      errors.push(fieldError.notSupported(`${at}.restartPolicy`, policy, ['Always']))
    if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
    else if (name !== '') names.add(name)
    // Init containers run one after another: only ports of one and the same container can collide.
    uniqueHostPorts(container.ports, new Set(), `${path}[0].ports`, errors)
    if (policy === 'Always')
      validateProbesAndLifecycle(container, context.spec.terminationGracePeriodSeconds, at, errors)
    else
      for (const field of ONLY_SIDECARS)
        if (container[field] != null)
          errors.push(
            fieldError.forbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'),
          )
  })
}

const FORBIDDEN_IN_EPHEMERAL = [
  'ports',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'resources',
  'resizePolicy',
  'restartPolicy',
] as const
const EPHEMERAL_REFUSAL = 'cannot be set for an Ephemeral Container'

export function validateEphemeralContainers(context: ContainerContext, path: string, errors: FieldError[]): void {
  const containers = context.spec.ephemeralContainers
  if (containers == null || containers.length === 0) return
  const others = new Set<string>()
  for (const c of [...(context.spec.containers ?? []), ...(context.spec.initContainers ?? [])]) others.add(c.name ?? '')
  const names = new Set(others)
  containers.forEach((container, i) => {
    const at = `${path}[${i}]`
    const name = container.name ?? ''
    validateCommon(container, context, at, errors)
    validateImageOfPod(container, at, errors)
    if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
    names.add(name)
    const target = container.targetContainerName
    if (target && !others.has(target)) errors.push(fieldError.notFound(`${at}.targetContainerName`, target))
    forbidInEphemeral(container, at, errors)
  })
}

/** Ephemeral containers are for looking into a pod, not for its work. */
function forbidInEphemeral(container: EphemeralContainer, at: string, errors: FieldError[]): void {
  for (const field of FORBIDDEN_IN_EPHEMERAL) {
    const value = container[field]
    if (value == null || value === '' || (Array.isArray(value) && value.length === 0)) continue
    const isEmpty = typeof value === 'object' && Object.keys(value).length === 0
    if (field !== 'resources' || !isEmpty) errors.push(fieldError.forbidden(`${at}.${field}`, EPHEMERAL_REFUSAL))
  }
  container.volumeMounts?.forEach((mount, i) => {
    for (const field of ['subPath', 'subPathExpr'] as const)
      if (mount[field]) errors.push(fieldError.forbidden(`${at}.volumeMounts[${i}].${field}`, EPHEMERAL_REFUSAL))
  })
}

const SPACE_AT_END = /^\s|\s$/

/** Templates may carry a placeholder; a pod's image is a real one. */
export function validateImageOfPod(container: Container, at: string, errors: FieldError[]): void {
  if (container.image && SPACE_AT_END.test(container.image))
    errors.push(fieldError.invalid(`${at}.image`, container.image, 'must not have leading or trailing whitespace'))
}

/** Rules of every kind of container. */
function validateCommon(container: Container, context: ContainerContext, at: string, errors: FieldError[]): void {
  const { name, ports, env, envFrom, resizePolicy } = container
  if (!name) errors.push(fieldError.required(`${at}.name`))
  else invalidEach(errors, `${at}.name`, name, dns1123Label(name))
  if (!container.image) errors.push(fieldError.required(`${at}.image`))
  oneOf(container.terminationMessagePolicy, MESSAGE_POLICIES, `${at}.terminationMessagePolicy`, errors)
  if (ports != null && ports.length > 0) validatePorts(ports, `${at}.ports`, errors)
  if (env != null && env.length > 0) validateEnv(env, `${at}.env`, errors)
  if (envFrom != null && envFrom.length > 0) validateEnvFrom(envFrom, `${at}.envFrom`, errors)
  validateVolumeMounts(container, context.volumes, `${at}.volumeMounts`, errors)
  if (container.volumeDevices != null)
    validateVolumeDevices(
      container.volumeDevices,
      container.volumeMounts ?? [],
      context.volumes,
      `${at}.volumeDevices`,
      errors,
    )
  oneOf(container.imagePullPolicy, PULL_POLICIES, `${at}.imagePullPolicy`, errors)
  validateResourceRequirements(container.resources, context.claimNames, `${at}.resources`, errors)
  if (resizePolicy != null) validateResizePolicy(resizePolicy, context.spec, `${at}.resizePolicy`, errors)
  if (container.securityContext != null)
    validateSecurityContext(container.securityContext, context.spec.hostUsers ?? true, `${at}.securityContext`, errors)
}

function validatePorts(ports: readonly ContainerPort[], path: string, errors: FieldError[]): void {
  const names = new Set<string>()
  for (let i = 0; i < ports.length; i++) {
    const port = ports[i]!
    const at = `${path}[${i}]`
    if (port.name) {
      const messages = portName(port.name)
      invalidEach(errors, `${at}.name`, port.name, messages)
      if (messages.length === 0 && names.has(port.name)) errors.push(fieldError.duplicate(`${at}.name`, port.name))
      names.add(port.name)
    }
    if (!port.containerPort) errors.push(fieldError.required(`${at}.containerPort`))
    else invalidEach(errors, `${at}.containerPort`, port.containerPort, portNumber(port.containerPort))
    if (port.hostPort) invalidEach(errors, `${at}.hostPort`, port.hostPort, portNumber(port.hostPort))
    oneOf(port.protocol, PROTOCOLS, `${at}.protocol`, errors)
  }
}

function uniqueHostPorts(
  ports: readonly ContainerPort[] | undefined,
  taken: Set<string>,
  path: string,
  errors: FieldError[],
): void {
  ports?.forEach((port, i) => {
    if (!port.hostPort) return
    const key = `${port.protocol ?? ''}/${port.hostIP ?? ''}/${port.hostPort}`
    if (taken.has(key)) errors.push(fieldError.duplicate(`${path}[${i}].hostPort`, key))
    taken.add(key)
  })
}

const RESIZE_POLICIES = ['NotRequired', 'RestartContainer']

function validateResizePolicy(
  policies: readonly { resourceName?: string; restartPolicy?: string }[],
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string | undefined>()
  policies.forEach((policy, i) => {
    if (seen.has(policy.resourceName)) errors.push(fieldError.duplicate(`${path}[${i}]`, policy.resourceName))
    seen.add(policy.resourceName)
    oneOf(policy.resourceName, ['cpu', 'memory'], path, errors)
    oneOf(policy.restartPolicy, RESIZE_POLICIES, path, errors)
    if (spec.restartPolicy === 'Never' && policy.restartPolicy !== 'NotRequired')
      errors.push(
        fieldError.invalid(path, policy.restartPolicy ?? '', "must be 'NotRequired' when `restartPolicy` is 'Never'"),
      )
  })
}
