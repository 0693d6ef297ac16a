import { quantityMilliValue, quantityValue, tryQuantity } from '../../../kernel/api/quantity.ts'
import type { ResourceFieldSelector } from '../../../kernel/resources/kinds/pod/types.ts'
import { everyContainer, type Pod } from './pod.ts'

/** Addresses as they are now: the API server may not have heard of them yet. */
export type Addresses = { podIPs: readonly string[]; hostIP: string }

export type Allocatable = { milliCpu: number; memoryBytes: number }

const SUBSCRIPT = /^metadata\.(labels|annotations)\['(.*)'\]$/s

/** The value of a fieldRef; throws for a path that has none. */
export function fieldValue(pod: Pod, path: string, addresses: Addresses): string {
  const subscript = SUBSCRIPT.exec(path)
  if (subscript !== null) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? ''
  switch (path) {
    case 'metadata.name':
      return pod.name
    case 'metadata.namespace':
      return pod.namespace
    case 'metadata.uid':
      return pod.uid
    case 'metadata.labels':
      return formatMap(pod.metadata.labels)
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations)
    case 'spec.nodeName':
      return pod.spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? ''
    case 'status.hostIP':
    case 'status.hostIPs':
      return addresses.hostIP
    case 'status.podIP':
      return addresses.podIPs[0] ?? ''
    case 'status.podIPs':
      return addresses.podIPs.join(',')
    default:
      throw new Error(`unsupported fieldPath: ${path}`)
  }
}

/** One `key="value"` a line, in the order of keys, quoted as Go's %q does. */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${JSON.stringify(map![key])}`)
    .join('\n')
}

/** The value of a resourceFieldRef: limits that are not set read as what the node has. */
export function resourceValue(
  pod: Pod,
  selector: ResourceFieldSelector,
  container: string,
  allocatable: Allocatable,
): string {
  const name = selector.containerName || container
  const found = everyContainer(pod).find((c) => c.name === name)
  if (found === undefined) throw new Error(`container ${name} not found`)
  const [list, resource] = split(selector.resource ?? '')
  const { limits, requests } = found.resources ?? {}
  const given = list === 'limits' ? limits?.[resource] : requests?.[resource]
  const quantity = tryQuantity(given)
  const divisor = tryQuantity(selector.divisor) ?? tryQuantity('1')!
  const one = divisor.nanos === 0n ? tryQuantity('1')! : divisor
  if (resource === 'cpu') {
    const milli = quantity === undefined ? absent(list, allocatable.milliCpu) : quantityMilliValue(quantity)
    return String(ceil(milli, quantityMilliValue(one)))
  }
  const fallback = resource === 'memory' ? allocatable.memoryBytes : 0
  const value = quantity === undefined ? absent(list, fallback) : quantityValue(quantity)
  return String(ceil(value, quantityValue(one)))
}

const split = (path: string): [list: string, resource: string] => {
  const dot = path.indexOf('.')
  return [path.slice(0, dot), path.slice(dot + 1)]
}
const absent = (list: string, amount: number): bigint => (list === 'limits' ? BigInt(Math.floor(amount)) : 0n)
const ceil = (value: bigint, divisor: bigint): bigint => (value + divisor - 1n) / divisor
