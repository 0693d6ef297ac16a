import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, nameColumn } from '../printing.ts'
import { validateIP, validateNonSpecialIP } from '../validation/addresses.ts'
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName } from '../validation/names.ts'
import { firstThree, PROTOCOLS } from './ports.ts'

type EndpointAddress = { ip?: string; hostname?: string; nodeName?: string }
type EndpointPort = { name?: string; port?: number; protocol?: string; appProtocol?: string }
type Subset = { addresses?: EndpointAddress[]; notReadyAddresses?: EndpointAddress[]; ports?: EndpointPort[] }

const subsetsOf = (object: KubeObject): Subset[] => object.subsets ?? []

function validateAddress(address: EndpointAddress, path: string): FieldError[] {
  const ip = address.ip ?? ''
  const errors = validateIP(ip, `${path}.ip`)
  if (address.hostname)
    for (const message of dns1123Label(address.hostname))
      errors.push(fieldError.invalid(`${path}.hostname`, address.hostname, message))
  if (address.nodeName !== undefined)
    for (const message of dns1123Subdomain(address.nodeName))
      errors.push(fieldError.invalid(`${path}.nodeName`, address.nodeName, message))
  return errors.concat(validateNonSpecialIP(ip, `${path}.ip`))
}

function validatePort(port: EndpointPort, requireName: boolean, path: string): FieldError[] {
  const errors: FieldError[] = []
  if (port.name)
    for (const message of dns1123Label(port.name)) errors.push(fieldError.invalid(`${path}.name`, port.name, message))
  else if (requireName) errors.push(fieldError.required(`${path}.name`))
  for (const message of portNumber(port.port ?? 0))
    errors.push(fieldError.invalid(`${path}.port`, port.port ?? 0, message))
  if (!port.protocol) errors.push(fieldError.required(`${path}.protocol`))
  else if (!PROTOCOLS.includes(port.protocol))
    errors.push(fieldError.notSupported(`${path}.protocol`, port.protocol, PROTOCOLS))
  if (port.appProtocol !== undefined)
    for (const message of qualifiedName(port.appProtocol))
      errors.push(fieldError.invalid(`${path}.appProtocol`, port.appProtocol, message))
  return errors
}

function validate(object: KubeObject): FieldError[] {
  return subsetsOf(object).flatMap((subset, i) => {
    const path = `subsets[${i}]`
    const errors: FieldError[] = []
    if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
      errors.push(fieldError.required(path, 'must specify `addresses` or `notReadyAddresses`'))
    for (const list of ['addresses', 'notReadyAddresses'] as const)
      subset[list]?.forEach((address, j) => {
        errors.push(...validateAddress(address, `${path}.${list}[${j}]`))
      })
    subset.ports?.forEach((port, j) => {
      errors.push(...validatePort(port, subset.ports!.length > 1, `${path}.ports[${j}]`))
    })
    return errors
  })
}

function formatEndpoints(object: KubeObject): string {
  const subsets = subsetsOf(object)
  if (subsets.length === 0) return '<none>'
  const hostPort = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
  return firstThree(
    subsets.flatMap(({ addresses = [], ports = [] }) =>
      ports.length === 0
        ? addresses.map((a) => a.ip ?? '')
        : ports.flatMap((port) => addresses.map((a) => hostPort(a.ip ?? '', port.port ?? 0))),
    ),
  )
}

export const endpointsKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  listKind: 'EndpointsList',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.Endpoints',
  columns: [
    nameColumn,
    column('Endpoints', 'string', 'Addresses and ports that are ready, the first three of them.', formatEndpoints),
    ageColumn,
  ],
  strategy: {
    allowCreateOnUpdate: true,
    defaults(object) {
      for (const subset of subsetsOf(object)) for (const port of subset.ports ?? []) port.protocol ||= 'TCP'
    },
    validate,
  },
}
