import type { Socket } from 'node:net'
import type { KubeObject } from '../../api/object.ts'
import { ApiError, badRequest, notFound } from '../../api/status.ts'
import type { ApiCore } from '../core.ts'
import { namespaceOf, type ResourceRequest } from '../http/resource-request.ts'
import { current } from '../verbs/update.ts'
import { dialKubelet, type NodeConnection } from './connection.ts'
import { dialPlain, hostPort, proxy } from './http-proxy.ts'
import { nodeTarget } from './node-target.ts'
import { demandProxyable, type ProxiedName, parseProxiedName } from './proxied-name.ts'

type Port = { name?: string; port: number }
type Address = { ip: string; targetRef?: { kind?: string; name?: string; namespace?: string } }

/** `proxy` of pods, services and nodes. */
export async function connectProxy(r: ResourceRequest): Promise<void> {
  const { plural } = r.kind.definition
  const wanted = parseProxiedName(r.info.name, plural.slice(0, -1))
  const entry = await current(r.core, r.kind, namespaceOf(r), wanted.name)
  if (entry === undefined) throw notFound('', plural, wanted.name)
  const object = entry.shared()
  if (plural === 'nodes') return toKubelet(r, wanted)
  // Kubernetes would speak TLS to pods without verifying it.
  if (wanted.scheme === 'https') throw badRequest('https is not proxied: the certificate could not be verified')
  const { nodeName } = (object['spec'] ?? {}) as { nodeName?: string }
  // Where there is no machine nothing runs, whatever a status says.
  if (nodeName) await nodeTarget(r.core, nodeName)
  const { host, port } =
    plural === 'pods' ? podAddress(object, wanted) : await serviceAddress(r.core, object, namespaceOf(r), wanted)
  demandProxyable(host)
  return proxy(r, () => dialTo(r.core.kubelet, host, port), hostPort(host, port))
}

async function toKubelet(r: ResourceRequest, { name, port, scheme }: ProxiedName): Promise<void> {
  const { target, connection } = await nodeTarget(r.core, name)
  if (scheme === 'http' || (port !== '' && Number(port) !== target.port))
    throw badRequest(`only the kubelet of node ${JSON.stringify(name)} is proxied, at port ${target.port} by https`)
  return proxy(r, () => dialKubelet(target, connection), hostPort(target.host, target.port))
}

const dialTo = async (connection: NodeConnection | undefined, host: string, port: number): Promise<Socket> =>
  connection?.dial === undefined ? dialPlain(host, port) : await connection.dial(host, port)

/** pkg/registry/core/pod: ResourceLocation. */
function podAddress(pod: KubeObject, { name, port }: ProxiedName): { host: string; port: number } {
  const { nodeName, containers = [] } = (pod['spec'] ?? {}) as {
    nodeName?: string
    containers?: { ports?: { containerPort: number }[] }[]
  }
  if (!nodeName) throw badRequest(`pod ${name} does not have a host assigned`)
  const { podIP = '' } = (pod['status'] ?? {}) as { podIP?: string }
  if (podIP === '') throw new ApiError('ServiceUnavailable', `pod ${JSON.stringify(name)} has no address yet`)
  const first = containers.flatMap((c) => c.ports ?? [])[0]?.containerPort
  return { host: podIP, port: port === '' ? (first ?? 80) : portNumber(port, 'pod', name) }
}

/** pkg/registry/core/service: ResourceLocation; an address counts when the pod it speaks of has it. */
async function serviceAddress(
  core: ApiCore,
  service: KubeObject,
  namespace: string,
  wanted: ProxiedName,
): Promise<{ host: string; port: number }> {
  const { ports = [] } = (service['spec'] ?? {}) as { ports?: Port[] }
  const none = new ApiError('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(wanted.name)}`)
  let name = wanted.port
  if (/^\d+$/.test(wanted.port)) {
    const found = ports.find((port) => port.port === Number(wanted.port))
    if (found === undefined)
      throw new ApiError(
        'ServiceUnavailable',
        `no service port ${wanted.port} found for service ${JSON.stringify(wanted.name)}`,
      )
    name = found.name ?? ''
  }
  const endpoints = await stored(core, 'endpoints', namespace, wanted.name)
  const { subsets = [] } = (endpoints ?? {}) as { subsets?: { addresses?: Address[]; ports?: Port[] }[] }
  const choices: { host: string; port: number }[] = []
  for (const { addresses = [], ports: open = [] } of subsets)
    for (const port of open.filter((p) => (p.name ?? '') === name || (wanted.port === '' && ports.length === 1)))
      for (const address of addresses)
        if (await isOfPod(core, namespace, address)) choices.push({ host: address.ip, port: port.port })
  const chosen = choices[Math.floor(Math.random() * choices.length)]
  if (chosen === undefined) throw none
  return chosen
}

async function isOfPod(core: ApiCore, namespace: string, { ip, targetRef }: Address): Promise<boolean> {
  if (targetRef?.kind !== 'Pod' || (targetRef.namespace ?? namespace) !== namespace || !targetRef.name) return false
  const pod = await stored(core, 'pods', namespace, targetRef.name)
  const { podIP, podIPs = [] } = (pod?.['status'] ?? {}) as { podIP?: string; podIPs?: { ip: string }[] }
  return podIP === ip || podIPs.some((known) => known.ip === ip)
}

async function stored(core: ApiCore, plural: string, namespace: string, name: string): Promise<KubeObject | undefined> {
  const kind = core.kinds.get('', 'v1', plural)
  return kind === undefined ? undefined : (await current(core, kind, namespace, name))?.shared()
}

function portNumber(text: string, what: string, name: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65535)
    throw badRequest(`invalid ${what} request ${JSON.stringify(`${name}:${text}`)}`)
  return port
}
