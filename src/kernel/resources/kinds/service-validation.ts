import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { validateCidr, validateIP, validateNonSpecialIP } from '../validation/addresses.ts'
import { validateLabels } from '../validation/meta.ts'
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName } from '../validation/names.ts'
import { invalidEach, ipFamily, oneOf, oneOfIfSet, portNumberOrName } from './pod/formats.ts'
import { PROTOCOLS } from './ports.ts'
import {
  isExternallyAccessible,
  isHeadless,
  needsClusterIP,
  needsHealthCheck,
  type ServicePort,
  type ServiceSpec,
  type ServiceStatus,
} from './service-types.ts'

/** pkg/apis/core/validation, ValidateService. */

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const TRAFFIC_POLICIES = ['Cluster', 'Local']
const ONE_DAY = 86_400
const ONLY_BALANCERS = "may only be used when `type` is 'LoadBalancer'"
const HINTS = 'service.kubernetes.io/topology-aware-hints'
const MODE = 'service.kubernetes.io/topology-mode'
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges'

export function validateService(service: KubeObject): FieldError[] {
  const spec = (service['spec'] ?? {}) as ServiceSpec
  const annotations = service.metadata.annotations ?? {}
  const errors: FieldError[] = []
  const hints = annotations[HINTS]
  const mode = annotations[MODE]
  if (hints !== undefined && mode !== undefined && hints !== mode)
    errors.push(
      fieldError.invalid(
        `metadata.annotations[${MODE}]`,
        mode,
        `must match annotations[${HINTS}] when both are specified`,
      ),
    )
  const ports = spec.ports ?? []
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName')
    errors.push(fieldError.required('spec.ports'))
  validateType(spec, errors)
  validatePorts(ports, errors)
  errors.push(...validateLabels(spec.selector, 'spec.selector'))
  validateSessionAffinity(spec, errors)
  if (spec.type !== 'ExternalName') validateClusterIPs(spec, errors)
  spec.externalIPs?.forEach((ip, i) => {
    const problems = validateIP(ip, `spec.externalIPs[${i}]`)
    errors.push(...(problems.length > 0 ? problems : validateNonSpecialIP(ip, `spec.externalIPs[${i}]`)))
  })
  oneOf(spec.type, TYPES, 'spec.type', errors)
  validateUniquePorts(spec, ports, errors)
  validateBalancer(spec, annotations, errors)
  validateTraffic(spec, errors)
  return errors
}

function validateType(spec: ServiceSpec, errors: FieldError[]): void {
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort') {
    if (isHeadless(spec))
      errors.push(
        fieldError.invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`),
      )
    return
  }
  if (spec.type !== 'ExternalName') return
  const why = 'may not be set for ExternalName services'
  if ((spec.clusterIPs ?? []).length > 0) errors.push(fieldError.forbidden('spec.clusterIPs', why))
  if ((spec.ipFamilies ?? []).length > 0) errors.push(fieldError.forbidden('spec.ipFamilies', why))
  if (spec.ipFamilyPolicy != null) errors.push(fieldError.forbidden('spec.ipFamilyPolicy', why))
  const cname = (spec.externalName ?? '').replace(/\.$/, '')
  if (cname === '') errors.push(fieldError.required('spec.externalName'))
  else invalidEach(errors, 'spec.externalName', cname, dns1123Subdomain(cname))
}

function validatePorts(ports: readonly ServicePort[], errors: FieldError[]): void {
  const names = new Set<string>()
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`
    const name = port.name ?? ''
    if (name !== '') {
      invalidEach(errors, `${at}.name`, name, dns1123Label(name))
      if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name))
      names.add(name)
    } else if (ports.length > 1) errors.push(fieldError.required(`${at}.name`))
    invalidEach(errors, `${at}.port`, port.port ?? 0, portNumber(port.port ?? 0))
    oneOf(port.protocol, PROTOCOLS, `${at}.protocol`, errors)
    portNumberOrName(port.targetPort, `${at}.targetPort`, errors)
    if (port.appProtocol != null)
      invalidEach(errors, `${at}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol))
  })
}

function validateUniquePorts(spec: ServiceSpec, ports: readonly ServicePort[], errors: FieldError[]): void {
  const nodePorts = new Set<string>()
  const seen = new Set<string>()
  ports.forEach((port, i) => {
    if (!port.nodePort) return
    const at = `spec.ports[${i}].nodePort`
    if (spec.type === 'ClusterIP') errors.push(fieldError.forbidden(at, "may not be used when `type` is 'ClusterIP'"))
    const key = `${port.protocol}/${port.nodePort}`
    if (nodePorts.has(key)) errors.push(fieldError.duplicate(at, port.nodePort))
    nodePorts.add(key)
  })
  ports.forEach((port, i) => {
    const key = `${port.protocol}/${port.port}`
    if (seen.has(key))
      errors.push(fieldError.duplicate(`spec.ports[${i}]`, { protocol: port.protocol, port: port.port }))
    seen.add(key)
  })
}

function validateSessionAffinity(spec: ServiceSpec, errors: FieldError[]): void {
  oneOf(spec.sessionAffinity, ['ClientIP', 'None'], 'spec.sessionAffinity', errors)
  const path = 'spec.sessionAffinityConfig'
  const config = spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'None' && config != null)
    errors.push(fieldError.forbidden(path, 'must not be set when session affinity is None'))
  if (spec.sessionAffinity !== 'ClientIP') return
  const why = 'when session affinity type is ClientIP'
  const timeout = config?.clientIP?.timeoutSeconds
  if (config == null) errors.push(fieldError.required(path, why))
  else if (config.clientIP == null) errors.push(fieldError.required(`${path}.clientIP`, why))
  else if (timeout == null) errors.push(fieldError.required(`${path}.clientIP.timeoutSeconds`, why))
  else if (timeout <= 0 || timeout > ONE_DAY)
    errors.push(
      fieldError.invalid(`${path}.clientIP.timeoutSeconds`, timeout, `must be greater than 0 and less than ${ONE_DAY}`),
    )
}

/** clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy hang together. */
function validateClusterIPs(spec: ServiceSpec, errors: FieldError[]): void {
  const ips = spec.clusterIPs ?? []
  const families = spec.ipFamilies ?? []
  const path = 'spec.clusterIPs'
  if (spec.clusterIP) {
    if (ips.length === 0) errors.push(fieldError.required(path))
    else if (ips[0] !== spec.clusterIP) errors.push(fieldError.invalid(path, ips, 'first value must match `clusterIP`'))
  } else if (ips.length > 0)
    errors.push(fieldError.invalid(path, ips, 'must be empty when `clusterIP` is not specified'))
  const seen = new Set<string>()
  families.forEach((family, i) => {
    oneOfIfSet(family, ['IPv4', 'IPv6'], `spec.ipFamilies[${i}]`, errors)
    if (seen.has(family)) errors.push(fieldError.duplicate(`spec.ipFamilies[${i}]`, family))
    seen.add(family)
  })
  oneOfIfSet(spec.ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack'], 'spec.ipFamilyPolicy', errors)
  const before = errors.length
  ips.forEach((ip, i) => {
    if (i > 0 || ip !== 'None') errors.push(...validateIP(ip, `${path}[${i}]`))
    else if (ips.length > 1) errors.push(fieldError.invalid(path, ips, "'None' must be the first and only value"))
  })
  const broken = errors.length > before
  if (ips.length > 2) errors.push(fieldError.invalid(path, ips, 'may only hold up to 2 values'))
  if (broken) return
  const versions = ips.map(ipFamily)
  if (ips.length > 1 && new Set(versions).size < 2)
    errors.push(fieldError.invalid(path, ips, 'may specify no more than one IP for each IP family'))
  if (isHeadless(spec)) return
  ips.forEach((ip, i) => {
    const family = families[i]
    if ((family === 'IPv4' && versions[i] === 6) || (family === 'IPv6' && versions[i] !== 6))
      errors.push(
        fieldError.invalid(`${path}[${i}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``),
      )
  })
}

function validateBalancer(
  spec: ServiceSpec,
  annotations: Readonly<Record<string, string>>,
  errors: FieldError[],
): void {
  const isBalancer = spec.type === 'LoadBalancer'
  const ranges = spec.loadBalancerSourceRanges ?? []
  const annotated = annotations[SOURCE_RANGES]
  if (ranges.length > 0) {
    const path = 'spec.LoadBalancerSourceRanges'
    if (!isBalancer) errors.push(fieldError.forbidden(path, ONLY_BALANCERS))
    ranges.forEach((range, i) => {
      errors.push(...validateCidr(range.trim(), `${path}[${i}]`))
    })
  } else if (annotated !== undefined) {
    const path = `metadata.annotations[${SOURCE_RANGES}]`
    if (!isBalancer) errors.push(fieldError.forbidden(path, ONLY_BALANCERS))
    if (annotated.trim() !== '')
      for (const range of annotated.split(',')) errors.push(...validateCidr(range.trim(), path))
  }
  if (spec.allocateLoadBalancerNodePorts != null && !isBalancer)
    errors.push(fieldError.forbidden('spec.allocateLoadBalancerNodePorts', ONLY_BALANCERS))
  if (isBalancer && spec.allocateLoadBalancerNodePorts == null)
    errors.push(fieldError.required('allocateLoadBalancerNodePorts'))
  if (spec.loadBalancerClass == null) return
  if (isBalancer)
    invalidEach(errors, 'spec.loadBalancerClass', spec.loadBalancerClass, qualifiedName(spec.loadBalancerClass))
  else errors.push(fieldError.forbidden('spec.loadBalancerClass', ONLY_BALANCERS))
}

function validateTraffic(spec: ServiceSpec, errors: FieldError[]): void {
  const external = 'spec.externalTrafficPolicy'
  if (isExternallyAccessible(spec)) oneOf(spec.externalTrafficPolicy, TRAFFIC_POLICIES, external, errors)
  else if (spec.externalTrafficPolicy)
    errors.push(
      fieldError.invalid(external, spec.externalTrafficPolicy, 'may only be set for externally-accessible services'),
    )
  const port = spec.healthCheckNodePort ?? 0
  const at = 'spec.healthCheckNodePort'
  if (!needsHealthCheck(spec)) {
    if (port !== 0)
      errors.push(
        fieldError.invalid(
          at,
          port,
          "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
      )
  } else if (port === 0) errors.push(fieldError.required(at))
  else invalidEach(errors, at, port, portNumber(port))
  if (spec.internalTrafficPolicy == null) {
    if (needsClusterIP(spec)) errors.push(fieldError.required('spec.internalTrafficPolicy'))
  } else oneOfIfSet(spec.internalTrafficPolicy, TRAFFIC_POLICIES, 'spec.internalTrafficPolicy', errors)
  oneOfIfSet(spec.trafficDistribution, ['PreferClose'], 'spec.trafficDistribution', errors)
}

/** What a load balancer may report. */
export function validateServiceStatus(service: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const path = 'status.loadBalancer.ingress'
  const ingress = (service['status'] as ServiceStatus | undefined)?.loadBalancer?.ingress ?? []
  if ((service['spec'] as ServiceSpec | undefined)?.type !== 'LoadBalancer' && ingress.length > 0)
    return [fieldError.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
  ingress.forEach(({ ip, hostname, ipMode }, i) => {
    const at = `${path}[${i}]`
    if (ip) errors.push(...validateIP(ip, `${at}.ip`))
    if (ipMode == null) {
      if (ip) errors.push(fieldError.required(`${at}.ipMode`, 'must be specified when `ip` is set'))
    } else if (!ip) errors.push(fieldError.forbidden(`${at}.ipMode`, 'may not be specified when `ip` is not set'))
    else oneOfIfSet(ipMode, ['Proxy', 'VIP'], `${at}.ipMode`, errors)
    if (!hostname) return
    invalidEach(errors, `${at}.hostname`, hostname, dns1123Subdomain(hostname))
    if (ipFamily(hostname) !== 0)
      errors.push(fieldError.invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'))
  })
  return errors
}
