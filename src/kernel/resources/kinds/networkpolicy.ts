import type { KubeObject } from '../../api/object.ts'
import type { LabelSelector } from '../../api/selectors.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { ageColumn, column, formatLabelSelector, nameColumn } from '../printing.ts'
import { cidrContains, parseCidr, validateCidr } from '../validation/addresses.ts'
import { validateLabelSelector } from '../validation/meta.ts'
import { portName, portNumber } from '../validation/names.ts'

type Port = { protocol?: string; port?: number | string; endPort?: number }
type IPBlock = { cidr?: string; except?: string[] }
type Peer = { podSelector?: LabelSelector; namespaceSelector?: LabelSelector; ipBlock?: IPBlock }
type Rule = { ports?: Port[]; from?: Peer[]; to?: Peer[] }
type Spec = { podSelector?: LabelSelector; ingress?: Rule[]; egress?: Rule[]; policyTypes?: string[] }

const PROTOCOLS = ['TCP', 'UDP', 'SCTP']
const POLICY_TYPES = ['Ingress', 'Egress']

function validatePort({ protocol, port, endPort }: Port, path: string): FieldError[] {
  const errors: FieldError[] = []
  const invalid = (field: string, value: unknown, messages: readonly string[]): void => {
    for (const message of messages) errors.push(fieldError.invalid(`${path}.${field}`, value, message))
  }
  if (protocol !== undefined && !PROTOCOLS.includes(protocol))
    errors.push(fieldError.notSupported(`${path}.protocol`, protocol, PROTOCOLS))
  if (port === undefined) {
    if (endPort !== undefined) invalid('endPort', endPort, ['may not be specified when `port` is not specified'])
  } else if (typeof port === 'string') {
    if (endPort !== undefined) invalid('endPort', endPort, ['may not be specified when `port` is non-numeric'])
    invalid('port', port, portName(port))
  } else {
    invalid('port', port, portNumber(port))
    if (endPort !== undefined) {
      if (endPort < port) invalid('endPort', endPort, ['must be greater than or equal to `port`'])
      invalid('endPort', endPort, portNumber(endPort))
    }
  }
  return errors
}

function validateIPBlock(block: IPBlock, path: string): FieldError[] {
  if (!block.cidr) return [fieldError.required(`${path}.cidr`)]
  const errors = validateCidr(block.cidr, `${path}.cidr`)
  const cidr = parseCidr(block.cidr)
  if (cidr === undefined) return errors
  block.except?.forEach((text, i) => {
    const at = `${path}.except[${i}]`
    errors.push(...validateCidr(text, at))
    const except = parseCidr(text)
    if (except === undefined) return
    const inside = cidrContains(cidr, { family: except.family, value: except.network })
    if (!inside || cidr.prefix >= except.prefix)
      errors.push(fieldError.invalid(at, text, 'must be a strict subset of `cidr`'))
  })
  return errors
}

function validatePeer(peer: Peer, path: string): FieldError[] {
  const errors = [
    ...validateLabelSelector(peer.podSelector, `${path}.podSelector`),
    ...validateLabelSelector(peer.namespaceSelector, `${path}.namespaceSelector`),
  ]
  const selectors = (peer.podSelector ? 1 : 0) + (peer.namespaceSelector ? 1 : 0)
  if (peer.ipBlock) {
    errors.push(...validateIPBlock(peer.ipBlock, `${path}.ipBlock`))
    if (selectors > 0) errors.push(fieldError.forbidden(path, 'may not specify both ipBlock and another peer'))
  } else if (selectors === 0) errors.push(fieldError.required(path, 'must specify a peer'))
  return errors
}

function validate(object: KubeObject): FieldError[] {
  const spec: Spec = object.spec ?? {}
  const errors = validateLabelSelector(spec.podSelector, 'spec.podSelector')
  for (const [direction, peers] of [
    ['ingress', 'from'],
    ['egress', 'to'],
  ] as const)
    spec[direction]?.forEach((rule, i) => {
      const path = `spec.${direction}[${i}]`
      rule.ports?.forEach((port, j) => {
        errors.push(...validatePort(port, `${path}.ports[${j}]`))
      })
      rule[peers]?.forEach((peer, j) => {
        errors.push(...validatePeer(peer, `${path}.${peers}[${j}]`))
      })
    })
  const types = spec.policyTypes ?? []
  if (types.length > POLICY_TYPES.length)
    errors.push(fieldError.invalid('spec.policyTypes', types, 'may not specify more than two policyTypes'))
  else
    types.forEach((type, i) => {
      if (!POLICY_TYPES.includes(type))
        errors.push(fieldError.notSupported(`spec.policyTypes[${i}]`, type, POLICY_TYPES))
    })
  return errors
}

/** A policy without policyTypes is about ingress, and about egress when it has egress rules. */
function defaults(object: KubeObject): void {
  const spec: Spec = (object.spec ??= {})
  for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
    for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
  if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
}

export const networkPolicyKind: ResourceDefinition = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  shortNames: ['netpol'],
  namespaced: true,
  schema: 'io.k8s.api.networking.v1.NetworkPolicy',
  columns: [
    nameColumn,
    column('Pod-Selector', 'string', 'Pods of its namespace that the policy applies to.', (o) =>
      formatLabelSelector(o.spec?.podSelector),
    ),
    ageColumn,
  ],
  strategy: { hasGeneration: true, defaults, validate },
}
