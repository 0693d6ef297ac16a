import type { ServicePort, ServiceSpec } from '../../resources/kinds/service-types.ts'

/** Types whose ports may have node ports. */
export const mayHaveNodePorts = (spec: ServiceSpec): boolean => spec.type === 'NodePort' || spec.type === 'LoadBalancer'

/** Node ports that the Service has, with the one for health checks. */
export function nodePortsOf(spec: ServiceSpec): number[] {
  const ports = mayHaveNodePorts(spec) ? (spec.ports ?? []).flatMap((port) => port.nodePort || []) : []
  return [...new Set([...ports, ...(spec.healthCheckNodePort ? [spec.healthCheckNodePort] : [])])]
}

/** A LoadBalancer may do without, NodePort not; what is named is reserved either way. */
export function wantsNodePorts(spec: ServiceSpec): boolean {
  return spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
}

/**
 * The ports that want a node port and name none, each with the number to use where another entry already has one for the
 * same port: TCP and UDP of one port share their node port.
 */
export function missingNodePorts(spec: ServiceSpec): { port: ServicePort; shared: number | undefined }[] {
  const ports = spec.ports ?? []
  if (!wantsNodePorts(spec)) return []
  return ports
    .filter((port) => !port.nodePort)
    .map((port) => ({
      port,
      shared: ports.find((p) => p.port === port.port && p.protocol !== port.protocol && p.nodePort)?.nodePort,
    }))
}
