import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { parseAddress, validateNonSpecialIP } from '../validation/addresses.ts'
import { IMMUTABLE } from '../validation/meta.ts'
import { dns1123Label, dns1123Subdomain, fullyQualifiedDomainName, qualifiedName } from '../validation/names.ts'
import { firstThree, PROTOCOLS } from './ports.ts'

type Endpoint = {
  addresses?: string[]
  hostname?: string
  nodeName?: string
  hints?: { forZones?: { name?: string }[] }
  deprecatedTopology?: Record<string, string>
}
type Port = { name?: string; port?: number; protocol?: string; appProtocol?: string }

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']
const MAX_ENDPOINTS = 1000
const MAX_ADDRESSES = 100
const MAX_PORTS = 20_000
const MAX_ZONE_HINTS = 8

const endpointsOf = (object: KubeObject): Endpoint[] => object.endpoints ?? []
const portsOf = (object: KubeObject): Port[] => object.ports ?? []

function invalidAll(path: string, value: unknown, messages: readonly string[]): FieldError[] {
  return messages.map((message) => fieldError.invalid(path, value, message))
}

function validateAddress(type: string, address: string, path: string): FieldError[] {
  if (type === 'FQDN') return invalidAll(path, address, fullyQualifiedDomainName(address))
  if (type !== 'IPv4' && type !== 'IPv6') return []
  const family = type === 'IPv4' ? 4 : 6
  const wrong = parseAddress(address)?.family === family ? [] : [`must be a valid ${type} address`]
  return [...invalidAll(path, address, wrong), ...validateNonSpecialIP(address, path)]
}

function validateEndpoint(endpoint: Endpoint, type: string, path: string): FieldError[] {
  const addresses = endpoint.addresses ?? []
  const errors: FieldError[] = []
  if (addresses.length === 0) errors.push(fieldError.required(`${path}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > MAX_ADDRESSES)
    errors.push(fieldError.tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES))
  addresses.forEach((address, i) => {
    errors.push(...validateAddress(type, address, `${path}.addresses[${i}]`))
  })
  const { nodeName, hostname } = endpoint
  if (nodeName !== undefined) errors.push(...invalidAll(`${path}.nodeName`, nodeName, dns1123Subdomain(nodeName)))
  if (hostname !== undefined) errors.push(...invalidAll(`${path}.hostname`, hostname, dns1123Label(hostname)))
  return errors.concat(validateHints(endpoint.hints?.forZones ?? [], `${path}.hints.forZones`))
}

function validateHints(zones: readonly { name?: string }[], path: string): FieldError[] {
  if (zones.length > MAX_ZONE_HINTS) return [fieldError.tooMany(path, zones.length, MAX_ZONE_HINTS)]
  const seen = new Set<string>()
  return zones.flatMap(({ name = '' }, i) => {
    const at = `${path}[${i}].name`
    if (seen.has(name)) return [fieldError.duplicate(at, name)]
    seen.add(name)
    return invalidAll(at, name, qualifiedName(name))
  })
}

function validatePorts(ports: readonly Port[]): FieldError[] {
  if (ports.length > MAX_PORTS) return [fieldError.tooMany('ports', ports.length, MAX_PORTS)]
  const seen = new Set<string>()
  return ports.flatMap(({ name = '', protocol, appProtocol }, i) => {
    const path = `ports[${i}]`
    const errors = name === '' ? [] : invalidAll(`${path}.name`, name, dns1123Label(name))
    if (seen.has(name)) errors.push(fieldError.duplicate(`${path}.name`, name))
    seen.add(name)
    if (protocol === undefined) errors.push(fieldError.required(`${path}.protocol`))
    else if (!PROTOCOLS.includes(protocol))
      errors.push(fieldError.notSupported(`${path}.protocol`, protocol, PROTOCOLS))
    if (appProtocol !== undefined)
      errors.push(...invalidAll(`${path}.appProtocol`, appProtocol, qualifiedName(appProtocol)))
    return errors
  })
}

function validate(object: KubeObject): FieldError[] {
  const type: string = object.addressType ?? ''
  const endpoints = endpointsOf(object)
  const errors: FieldError[] = []
  if (type === '') errors.push(fieldError.required('addressType'))
  else if (!ADDRESS_TYPES.includes(type)) errors.push(fieldError.notSupported('addressType', type, ADDRESS_TYPES))
  if (endpoints.length > MAX_ENDPOINTS) errors.push(fieldError.tooMany('endpoints', endpoints.length, MAX_ENDPOINTS))
  else
    endpoints.forEach((endpoint, i) => {
      errors.push(...validateEndpoint(endpoint, type, `endpoints[${i}]`))
    })
  return errors.concat(validatePorts(portsOf(object)))
}

/** v1 has no topology: its fields became nodeName and zone. */
function dropTopology(object: KubeObject): void {
  for (const endpoint of endpointsOf(object)) delete endpoint.deprecatedTopology
}

function formatPorts(object: KubeObject): string {
  return firstThree(portsOf(object).map((p) => (p.port === undefined ? (p.name ?? '*') : String(p.port)))) || '<unset>'
}

export const endpointSliceKind: ResourceDefinition = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  schema: 'io.k8s.api.discovery.v1.EndpointSlice',
  columns: [
    nameColumn,
    column('AddressType', 'string', 'IPv4, IPv6 or FQDN.', (o) => o.addressType ?? ''),
    column('Ports', 'string', 'Ports of every endpoint, the first three of them.', formatPorts),
    column(
      'Endpoints',
      'string',
      'Addresses of the endpoints, the first three of them.',
      (o) => firstThree(endpointsOf(o).flatMap((e) => e.addresses ?? [])) || '<unset>',
    ),
    ageColumn,
  ],
  strategy: {
    allowUnconditionalUpdate: true,
    hasGeneration: true,
    defaults(object) {
      for (const port of portsOf(object)) {
        port.name ??= ''
        port.protocol ??= 'TCP'
      }
    },
    prepareForCreate: dropTopology,
    prepareForUpdate: dropTopology,
    validate,
    validateUpdate: (object, old) =>
      object.addressType === old.addressType
        ? []
        : [fieldError.invalid('addressType', object.addressType ?? '', IMMUTABLE)],
  },
}
