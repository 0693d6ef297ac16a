import type { KubeObject } from '../../../kernel/api/object.ts'

type ServicePort = { name?: string; protocol?: string; port?: number }
type ServiceSpec = { clusterIP?: string; ports?: ServicePort[] }

/**
 * Variables by which containers find services: those of the pod's own namespace (when it wants them) and always
 * `kubernetes` of the default namespace (pkg/kubelet/envvars).
 */
export function serviceEnvironment(
  services: Iterable<KubeObject>,
  namespace: string,
  enableServiceLinks: boolean,
): Map<string, string> {
  const chosen = new Map<string, KubeObject>()
  for (const service of services) {
    const { name = '', namespace: of } = service.metadata
    const master = of === 'default' && name === 'kubernetes'
    if (of === namespace && (enableServiceLinks || master)) chosen.set(name, service)
    else if (master && !chosen.has(name)) chosen.set(name, service)
  }
  const result = new Map<string, string>()
  for (const name of [...chosen.keys()].sort())
    addService(name, (chosen.get(name)!['spec'] ?? {}) as ServiceSpec, result)
  return result
}

const variable = (name: string): string => name.toUpperCase().replaceAll('-', '_')

function addService(name: string, { clusterIP = '', ports = [] }: ServiceSpec, result: Map<string, string>): void {
  const first = ports[0]
  if (clusterIP === '' || clusterIP === 'None' || first === undefined) return
  const prefix = variable(name)
  const address = (port: number | undefined): string =>
    `${clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP}:${port ?? 0}`
  result.set(`${prefix}_SERVICE_HOST`, clusterIP)
  result.set(`${prefix}_SERVICE_PORT`, String(first.port ?? 0))
  for (const port of ports)
    if (port.name) result.set(`${prefix}_SERVICE_PORT_${variable(port.name)}`, String(port.port ?? 0))
  ports.forEach((port, i) => {
    const protocol = port.protocol ?? 'TCP'
    const url = `${protocol.toLowerCase()}://${address(port.port)}`
    const own = `${prefix}_PORT_${port.port ?? 0}_${protocol.toUpperCase()}`
    if (i === 0) result.set(`${prefix}_PORT`, url)
    result.set(own, url)
    result.set(`${own}_PROTO`, protocol.toLowerCase())
    result.set(`${own}_PORT`, String(port.port ?? 0))
    result.set(`${own}_ADDR`, clusterIP)
  })
}
