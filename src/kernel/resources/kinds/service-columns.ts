import type { KubeObject } from '../../api/object.ts'
import type { TableColumn } from '../definition.ts'
import { ageColumn, column, formatLabels, nameColumn } from '../printing.ts'
import type { ServiceSpec, ServiceStatus } from './service-types.ts'

/** How a service looks in a table (pkg/printers/internalversion, printService). */

const BALANCER_WIDTH = 16
const specOf = (service: KubeObject): ServiceSpec => (service['spec'] ?? {}) as ServiceSpec

function balancerAddresses(service: KubeObject): string {
  const ingress = (service['status'] as ServiceStatus | undefined)?.loadBalancer?.ingress ?? []
  const addresses = new Set(ingress.flatMap(({ ip, hostname }) => (ip ? [ip] : hostname ? [hostname] : [])))
  const text = [...addresses].sort().join(',')
  return text.length > BALANCER_WIDTH ? `${text.slice(0, BALANCER_WIDTH - 3)}...` : text
}

function externalIPCell(service: KubeObject): string {
  const spec = specOf(service)
  const own = spec.externalIPs ?? []
  switch (spec.type) {
    case 'ClusterIP':
    case 'NodePort':
      return own.join(',') || '<none>'
    case 'LoadBalancer': {
      const balancer = balancerAddresses(service)
      return [...(balancer === '' ? [] : [balancer]), ...own].join(',') || '<pending>'
    }
    case 'ExternalName':
      return spec.externalName ?? ''
    default:
      return '<unknown>'
  }
}

function portsCell(service: KubeObject): string {
  const ports = (specOf(service).ports ?? []).map(({ port, nodePort, protocol }) =>
    nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
  )
  return ports.join(',') || '<none>'
}

export const serviceColumns: readonly TableColumn[] = [
  nameColumn,
  column('Type', 'string', 'How the service is reached.', (service) => specOf(service).type ?? ''),
  column(
    'Cluster-IP',
    'string',
    'Address inside the cluster; None for a headless service.',
    (service) => specOf(service).clusterIPs?.[0] ?? (specOf(service).clusterIP || '<none>'),
  ),
  column('External-IP', 'string', 'Addresses from outside the cluster.', externalIPCell),
  column('Port(s)', 'string', 'Ports, with the node port behind a colon.', portsCell),
  ageColumn,
  column(
    'Selector',
    'string',
    'Labels of the pods behind the service.',
    (service) => formatLabels(specOf(service).selector),
    1,
  ),
]
