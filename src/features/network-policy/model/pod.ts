import type { KubeObject } from '../../../kernel/api/object.ts'
import { type AddressFamily, type IPAddress, ipAddress } from './addresses.ts'
import { PROTOCOLS, type Protocol } from './types.ts'

export type NamedPort = { name: string; protocol: Protocol; port: number }

/** What policies see of a pod. A record never changes: an update makes another with the same slot. */
export type Pod = {
  /** Small number that stands for the pod in sets; given to another pod once this one is gone. */
  slot: number
  /** `namespace/name`. */
  key: string
  namespace: string
  name: string
  labels: Readonly<Record<string, string>>
  node: string
  /** Of both families; empty until it is known. */
  addresses: readonly IPAddress[]
  /** Shares its machine's addresses: never a subject, never a selector's peer. */
  hostNetwork: boolean
  ports: readonly NamedPort[]
  /** Equal for pods with equal ports. */
  portsKey: string
  /** The machine's end of the pod's link, on the pod's own machine. */
  link: string | undefined
}

export const podKey = (namespace: string, name: string): string => `${namespace}/${name}`

type Container = { ports?: { name?: string; protocol?: string; containerPort?: number }[]; restartPolicy?: string }

const NO_PORTS: readonly NamedPort[] = []

/** Named ports of the containers, and of those that run beside them (init containers that always restart). */
function namedPorts(spec: {
  containers?: Container[] | null
  initContainers?: Container[] | null
}): readonly NamedPort[] {
  const found: NamedPort[] = []
  const beside = (spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always')
  for (const { ports } of [...(spec.containers ?? []), ...beside])
    for (const { name, protocol = 'TCP', containerPort } of ports ?? [])
      if (name && typeof containerPort === 'number' && (PROTOCOLS as readonly string[]).includes(protocol))
        found.push({ name, protocol: protocol as Protocol, port: containerPort })
  return found.length === 0 ? NO_PORTS : found
}

/** Pods that have completed have no network: their addresses are given to others. */
export const isCompleted = (object: KubeObject): boolean =>
  object['status']?.phase === 'Succeeded' || object['status']?.phase === 'Failed'

export function addressesOf(texts: readonly (string | undefined)[]): IPAddress[] {
  const found = new Map<string, IPAddress>()
  for (const text of texts) {
    const address = text ? ipAddress(text) : undefined
    if (address !== undefined) found.set(address.text, address)
  }
  return [...found.values()]
}

export function podOf(object: KubeObject, slot: number): Pod {
  const { namespace = 'default', name = '', labels = {} } = object.metadata
  const spec = object['spec'] ?? {}
  const status = object['status'] ?? {}
  const ips = (status.podIPs ?? []) as { ip?: string }[]
  const hostNetwork = spec.hostNetwork === true
  const ports = namedPorts(spec)
  return {
    slot,
    key: podKey(namespace, name),
    namespace,
    name,
    labels: labels ?? {},
    node: spec.nodeName ?? '',
    addresses: hostNetwork ? [] : addressesOf([status.podIP, ...ips.map(({ ip }) => ip)]),
    hostNetwork,
    ports,
    portsKey: ports.map(({ name, protocol, port }) => `${name}=${port}/${protocol}`).join(),
    link: undefined,
  }
}

export const hasAddress = (pod: Pod, text: string): boolean => pod.addresses.some((address) => address.text === text)

export const addressIn = (pod: Pod, family: AddressFamily): IPAddress | undefined =>
  pod.addresses.find((address) => address.family === family)

/** Everything but labels: what the compiled rules hold of a pod beside who selects it. */
export function sameFacts(a: Pod, b: Pod): boolean {
  return (
    a.node === b.node &&
    a.link === b.link &&
    a.hostNetwork === b.hostNetwork &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every(({ text }, i) => text === b.addresses[i]!.text) &&
    a.portsKey === b.portsKey
  )
}
