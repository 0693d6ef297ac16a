import type { KubeObject } from '../../api/object.ts'
import type { Lookup } from '../lookup.ts'

/** Where a Service's port can be reached from here. Throws an Error that says why it cannot. */
export type ServiceResolver = (
  namespace: string,
  name: string,
  port: number,
) => { host: string; port: number } | Promise<{ host: string; port: number }>

type ServicePort = { name?: string; port: number; targetPort?: number | string }
type Subset = { addresses?: { ip: string }[]; ports?: { name?: string; port: number }[] }
type Slice = {
  endpoints?: { addresses: string[]; conditions?: { ready?: boolean } }[]
  ports?: { name?: string; port?: number }[]
}

/**
 * Straight to a ready endpoint of the Service, so that the API server needs no service proxy on its machine; to the
 * cluster address when the Service has no selector's endpoints recorded. `random` in [0, 1) spreads the calls.
 */
export function endpointResolver(lookup: Lookup, random: () => number): ServiceResolver {
  return (namespace, name, port) => {
    const service = lookup.get('', 'services', namespace, name)
    if (service === undefined) throw new Error(`service ${JSON.stringify(name)} not found`)
    const spec = service['spec'] ?? {}
    if (spec.type === 'ExternalName') return { host: spec.externalName, port }
    const wanted = ((spec.ports ?? []) as ServicePort[]).find((p) => p.port === port)
    if (wanted === undefined) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`)
    const found = endpointsOf(lookup, service, wanted.name ?? '')
    if (found.length > 0) return found[Math.floor(random() * found.length)]!
    if (hasRecord(lookup, namespace, name) || !spec.clusterIP || spec.clusterIP === 'None')
      throw new Error(`no endpoints available for service ${JSON.stringify(name)}`)
    return { host: spec.clusterIP, port }
  }
}

function hasRecord(lookup: Lookup, namespace: string, name: string): boolean {
  return lookup.get('', 'endpoints', namespace, name) !== undefined || slices(lookup, namespace, name).length > 0
}

function endpointsOf(lookup: Lookup, service: KubeObject, portName: string): { host: string; port: number }[] {
  const { namespace = '', name = '' } = service.metadata
  const found: { host: string; port: number }[] = []
  const subsets = (lookup.get('', 'endpoints', namespace, name)?.['subsets'] ?? []) as Subset[]
  for (const { addresses = [], ports = [] } of subsets)
    for (const { port } of ports.filter((p) => (p.name ?? '') === portName))
      for (const { ip } of addresses) found.push({ host: ip, port })
  if (found.length > 0) return found
  for (const { endpoints = [], ports } of slices(lookup, namespace, name))
    for (const { port } of (ports ?? []).filter((p) => (p.name ?? '') === portName))
      for (const { addresses, conditions } of endpoints)
        if (conditions?.ready !== false && port !== undefined) for (const host of addresses) found.push({ host, port })
  return found
}

function slices(lookup: Lookup, namespace: string, name: string): Slice[] {
  return [...lookup.list('discovery.k8s.io', 'endpointslices', namespace)].filter(
    (slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === name,
  ) as unknown as Slice[]
}
