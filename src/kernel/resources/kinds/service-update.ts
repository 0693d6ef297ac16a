import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { semanticEqual } from './pod/equality.ts'
import {
  isExternallyAccessible,
  isHeadless,
  needsClusterIP,
  needsHealthCheck,
  needsNodePort,
  type ServiceSpec,
} from './service-types.ts'

/** What an update keeps of a service's addresses and ports, and what it may not change of them. */

/** clusterIP and clusterIPs are one thing: whoever writes one of them need not write the other. */
export function normalizeClusterIPs(spec: ServiceSpec, old: ServiceSpec): void {
  if ((spec.clusterIP ?? '') === (old.clusterIP ?? '') || !semanticEqual(spec.clusterIPs, old.clusterIPs)) return
  // Only clusterIP changed: cleared, set, or replaced.
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP]
  else delete spec.clusterIPs
}

/** Fields that belong to the old type alone go with it, unless the writer changed them too. */
export function dropTypeDependentFields(spec: ServiceSpec, old: ServiceSpec): void {
  const unchanged = (field: keyof ServiceSpec): boolean => semanticEqual(spec[field], old[field], field)
  if (needsClusterIP(old) && !needsClusterIP(spec)) {
    if (unchanged('clusterIP') && unchanged('clusterIPs')) {
      delete spec.clusterIP
      delete spec.clusterIPs
    }
    if (unchanged('ipFamilies')) delete spec.ipFamilies
    if (unchanged('ipFamilyPolicy')) delete spec.ipFamilyPolicy
  }
  if (needsNodePort(old) && !needsNodePort(spec) && sameNodePorts(spec, old))
    for (const port of spec.ports ?? []) delete port.nodePort
  if (needsHealthCheck(old) && !needsHealthCheck(spec) && unchanged('healthCheckNodePort'))
    delete spec.healthCheckNodePort
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (unchanged('allocateLoadBalancerNodePorts')) delete spec.allocateLoadBalancerNodePorts
    if (unchanged('loadBalancerClass')) delete spec.loadBalancerClass
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(spec) && unchanged('externalTrafficPolicy'))
    delete spec.externalTrafficPolicy
}

const nodePortsOf = (spec: ServiceSpec): Set<number> => new Set((spec.ports ?? []).flatMap((p) => p.nodePort || []))

function sameNodePorts(spec: ServiceSpec, old: ServiceSpec): boolean {
  const now = nodePortsOf(spec)
  const before = nodePortsOf(old)
  return now.size === before.size && [...now].every((port) => before.has(port))
}

/** Addresses and node ports that were allocated stay where the writer leaves them out. */
export function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsClusterIP(old) && needsClusterIP(spec)) {
    if (!spec.clusterIP && old.clusterIP) spec.clusterIP = old.clusterIP
    if ((spec.clusterIPs ?? []).length === 0 && spec.clusterIP === old.clusterIP && old.clusterIPs !== undefined)
      spec.clusterIPs = [...old.clusterIPs]
  }
  if (needsNodePort(old) && needsNodePort(spec)) {
    const now = nodePortsOf(spec)
    const used = new Set([...nodePortsOf(old)].filter((port) => now.has(port)))
    const byName = new Map(old.ports?.map((port) => [port.name ?? '', port.nodePort ?? 0]))
    for (const port of spec.ports ?? []) {
      const before = byName.get(port.name ?? '') ?? 0
      if (port.nodePort || before === 0 || used.has(before)) continue
      port.nodePort = before
      used.add(before)
    }
  }
  if (needsHealthCheck(old) && needsHealthCheck(spec) && !spec.healthCheckNodePort && old.healthCheckNodePort)
    spec.healthCheckNodePort = old.healthCheckNodePort
}

/**
 * Everything that an update keeps of what was allocated, in Kubernetes' order. Idempotent: whoever allocates addresses
 * may call it first, to see what is really missing.
 */
export function settleServiceUpdate(spec: ServiceSpec, old: ServiceSpec): void {
  dropTypeDependentFields(spec, old)
  keepAllocated(spec, old)
  normalizeClusterIPs(spec, old)
}

export function validateServiceChange(service: KubeObject, old: KubeObject): FieldError[] {
  const spec = (service['spec'] ?? {}) as ServiceSpec
  const before = (old['spec'] ?? {}) as ServiceSpec
  const errors: FieldError[] = []
  if (spec.type !== 'ExternalName' && before.type !== 'ExternalName') {
    validateClusterIPsChange(spec, before, errors)
    validateFamiliesChange(spec, before, errors)
  }
  if (
    spec.type === 'LoadBalancer' &&
    before.type === 'LoadBalancer' &&
    (spec.loadBalancerClass ?? null) !== (before.loadBalancerClass ?? null)
  )
    errors.push(fieldError.invalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set'))
  if (
    needsHealthCheck(before) &&
    needsHealthCheck(spec) &&
    (spec.healthCheckNodePort ?? 0) !== (before.healthCheckNodePort ?? 0)
  )
    errors.push(fieldError.forbidden('spec.healthCheckNodePort', 'field is immutable'))
  return errors
}

/** A secondary address may come and go; the primary one stays. */
function validateClusterIPsChange(spec: ServiceSpec, old: ServiceSpec, errors: FieldError[]): void {
  if (isHeadless(spec) && isHeadless(old)) return
  const now = spec.clusterIPs ?? []
  const before = old.clusterIPs ?? []
  const refuse = (i: number, why: string): void => {
    errors.push(fieldError.invalid(`spec.clusterIPs[${i}]`, now, why))
  }
  if (now.length === before.length) {
    before.forEach((ip, i) => {
      if (ip !== now[i]) refuse(i, 'may not change once set')
    })
    return
  }
  if (now.length === 0) refuse(0, 'primary clusterIP can not be unset')
  else if (before.length > 0 && now[0] !== before[0]) refuse(0, 'may not change once set')
  if (before.length > now.length && now.length === 1) mustBeSingleStack(spec, 'clusterIP', errors)
}

function validateFamiliesChange(spec: ServiceSpec, old: ServiceSpec, errors: FieldError[]): void {
  if (isHeadless(spec) || isHeadless(old)) return
  const now = spec.ipFamilies ?? []
  const before = old.ipFamilies ?? []
  const refuse = (why: string): void => {
    errors.push(fieldError.invalid('spec.ipFamilies[0]', now, why))
  }
  if (now.length === before.length) {
    before.forEach((family, i) => {
      if (family !== now[i]) refuse('may not change once set')
    })
    return
  }
  if (before.length > now.length && (spec.clusterIPs ?? []).length === 0) refuse('primary ipFamily can not be unset')
  if (before.length > 0 && now.length > 0 && now[0] !== before[0]) refuse('may not change once set')
  if (before.length > now.length && now.length === 1) mustBeSingleStack(spec, 'ipFamily', errors)
}

function mustBeSingleStack(spec: ServiceSpec, what: string, errors: FieldError[]): void {
  if (spec.ipFamilyPolicy !== 'SingleStack')
    errors.push(
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        spec.ipFamilyPolicy,
        `must be set to 'SingleStack' when releasing the secondary ${what}`,
      ),
    )
}
