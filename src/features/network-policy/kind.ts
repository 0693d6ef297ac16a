import type { KubeObject } from '../../kernel/api/object.ts'
import { type FieldError, fieldError } from '../../kernel/api/status.ts'
import type { ResourceDefinition } from '../../kernel/resources/definition.ts'
import { ageColumn, column, nameColumn } from '../../kernel/resources/printing.ts'
import type { Schema } from '../../kernel/resources/schema.ts'
import { validateCidr } from '../../kernel/resources/validation/addresses.ts'
import { validateLabelSelector } from '../../kernel/resources/validation/meta.ts'
import { portName, portNumber } from '../../kernel/resources/validation/names.ts'
import {
  type ClusterNetworkPolicyPeer,
  type ClusterNetworkPolicyPort,
  type ClusterNetworkPolicyProtocol,
  type ClusterNetworkPolicyRule,
  type ClusterNetworkPolicySpec,
  MODE_ANNOTATION,
  type NamespacedPod,
} from './model/types.ts'

/** Most rules of a direction, peers of a rule, protocols of a rule, networks of a peer. */
const MOST = 25
const TIERS = ['Admin', 'Baseline']
const ACTIONS = ['Accept', 'Deny', 'Pass']
const TRANSPORTS = ['tcp', 'udp', 'sctp'] as const

const specOf = (object: KubeObject): ClusterNetworkPolicySpec => (object['spec'] ?? {}) as ClusterNetworkPolicySpec

function validateNamespacedPod({ namespaceSelector, podSelector }: NamespacedPod, path: string): FieldError[] {
  return [
    ...validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`),
    ...validateLabelSelector(podSelector, `${path}.podSelector`),
  ]
}

/** One of several fields has to be set, and no more. */
function exactlyOne(value: object, fields: readonly string[], path: string): FieldError[] {
  const set = fields.filter((field) => (value as Record<string, unknown>)[field] != null)
  if (set.length === 0) return [fieldError.required(path, `one of ${fields.join(', ')} must be set`)]
  return set.length === 1 ? [] : [fieldError.forbidden(path, `may not specify both ${set.join(' and ')}`)]
}

function tooMany(list: readonly unknown[] | null | undefined, path: string): FieldError[] {
  return (list?.length ?? 0) > MOST ? [fieldError.invalid(path, list!.length, `must have at most ${MOST} items`)] : []
}

function validatePeer(peer: ClusterNetworkPolicyPeer, path: string, egress: boolean): FieldError[] {
  if (peer.domainNames?.length)
    return [fieldError.forbidden(`${path}.domainNames`, 'peers by domain name are not supported')]
  const errors = exactlyOne(peer, egress ? ['namespaces', 'pods', 'nodes', 'networks'] : ['namespaces', 'pods'], path)
  errors.push(...validateLabelSelector(peer.namespaces, `${path}.namespaces`))
  errors.push(...validateLabelSelector(peer.nodes, `${path}.nodes`))
  if (peer.pods) errors.push(...validateNamespacedPod(peer.pods, `${path}.pods`))
  errors.push(...tooMany(peer.networks, `${path}.networks`))
  peer.networks?.slice(0, MOST).forEach((text, i) => {
    errors.push(...validateCidr(text, `${path}.networks[${i}]`))
  })
  return errors
}

function validatePort(port: ClusterNetworkPolicyPort, path: string): FieldError[] {
  const errors = exactlyOne(port, ['number', 'range'], path)
  const { number, range } = port
  const invalid = (value: number, at: string): void => {
    for (const message of portNumber(value)) errors.push(fieldError.invalid(`${path}.${at}`, value, message))
  }
  if (number !== undefined) invalid(number, 'number')
  if (!range) return errors
  const { start = 0, end = 0 } = range
  invalid(start, 'range.start')
  invalid(end, 'range.end')
  if (start >= end) errors.push(fieldError.invalid(`${path}.range.end`, end, 'must be greater than `start`'))
  return errors
}

function validateProtocol(protocol: ClusterNetworkPolicyProtocol, path: string): FieldError[] {
  const errors = exactlyOne(protocol, [...TRANSPORTS, 'destinationNamedPort'], path)
  for (const transport of TRANSPORTS) {
    const port = protocol[transport]?.destinationPort
    if (port) errors.push(...validatePort(port, `${path}.${transport}.destinationPort`))
  }
  const { destinationNamedPort } = protocol
  if (destinationNamedPort)
    for (const message of portName(destinationNamedPort))
      errors.push(fieldError.invalid(`${path}.destinationNamedPort`, destinationNamedPort, message))
  return errors
}

function validateRule(rule: ClusterNetworkPolicyRule, path: string, egress: boolean): FieldError[] {
  const side = egress ? 'to' : 'from'
  const peers = rule[side] ?? []
  const errors: FieldError[] = []
  if (!rule.action) errors.push(fieldError.required(`${path}.action`))
  else if (!ACTIONS.includes(rule.action)) errors.push(fieldError.notSupported(`${path}.action`, rule.action, ACTIONS))
  if ((rule.name?.length ?? 0) > 100)
    errors.push(fieldError.invalid(`${path}.name`, rule.name, 'must be no more than 100 characters'))
  if (peers.length === 0) errors.push(fieldError.required(`${path}.${side}`, 'must name a peer'))
  errors.push(...tooMany(peers, `${path}.${side}`), ...tooMany(rule.protocols, `${path}.protocols`))
  peers.slice(0, MOST).forEach((peer, i) => {
    errors.push(...validatePeer(peer ?? {}, `${path}.${side}[${i}]`, egress))
  })
  rule.protocols?.slice(0, MOST).forEach((protocol, i) => {
    errors.push(...validateProtocol(protocol ?? {}, `${path}.protocols[${i}]`))
  })
  const named = rule.protocols?.findIndex((protocol) => protocol?.destinationNamedPort) ?? -1
  if (named >= 0 && peers.some((peer) => peer?.networks || peer?.nodes))
    errors.push(
      fieldError.forbidden(
        `${path}.protocols[${named}].destinationNamedPort`,
        'networks and nodes have no named ports',
      ),
    )
  return errors
}

function validate(object: KubeObject): FieldError[] {
  const spec = specOf(object)
  const errors: FieldError[] = []
  if (!spec.tier) errors.push(fieldError.required('spec.tier'))
  else if (!TIERS.includes(spec.tier)) errors.push(fieldError.notSupported('spec.tier', spec.tier, TIERS))
  const { priority, subject } = spec
  if (priority === undefined) errors.push(fieldError.required('spec.priority'))
  else if (!Number.isInteger(priority) || priority < 0 || priority > 1000)
    errors.push(fieldError.invalid('spec.priority', priority, 'must be between 0 and 1000, inclusive'))
  if (!subject) errors.push(fieldError.required('spec.subject'))
  else {
    errors.push(...exactlyOne(subject, ['namespaces', 'pods'], 'spec.subject'))
    errors.push(...validateLabelSelector(subject.namespaces, 'spec.subject.namespaces'))
    if (subject.pods) errors.push(...validateNamespacedPod(subject.pods, 'spec.subject.pods'))
  }
  for (const direction of ['ingress', 'egress'] as const) {
    errors.push(...tooMany(spec[direction], `spec.${direction}`))
    spec[direction]?.slice(0, MOST).forEach((rule, i) => {
      errors.push(...validateRule(rule ?? {}, `spec.${direction}[${i}]`, direction === 'egress'))
    })
  }
  return errors
}

/** Cluster policies are for guarding: one that only watches would be taken for one that guards. */
function warnings(object: KubeObject): string[] {
  return object.metadata.annotations?.[MODE_ANNOTATION] === undefined
    ? []
    : [`metadata.annotations: ${MODE_ANNOTATION} is for NetworkPolicy: a ClusterNetworkPolicy is always enforced`]
}

const text = { type: 'string' } as const satisfies Schema
const texts = { type: 'array', items: text, 'x-kubernetes-list-type': 'atomic' } as const satisfies Schema
const port = { type: 'integer', format: 'int32' } as const satisfies Schema
const selector: Schema = { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector' }
const list = (items: Schema): Schema => ({ type: 'array', items, 'x-kubernetes-list-type': 'atomic' })
const object = (properties: Record<string, Schema>): Schema => ({ type: 'object', properties })

const namespacedPod = object({ namespaceSelector: selector, podSelector: selector })
const transport = object({
  destinationPort: object({ number: port, range: object({ start: port, end: port }) }),
})
const rules = (side: 'from' | 'to', peer: Record<string, Schema>): Schema =>
  list(
    object({
      name: text,
      action: text,
      [side]: list(object(peer)),
      protocols: list(object({ tcp: transport, udp: transport, sctp: transport, destinationNamedPort: text })),
    }),
  )
const podPeers = { namespaces: selector, pods: namespacedPod }

/** policy.networking.k8s.io/v1alpha2 (network-policy-api); everything but peers by domain name. */
export const clusterNetworkPolicyKind: ResourceDefinition = {
  group: 'policy.networking.k8s.io',
  version: 'v1alpha2',
  kind: 'ClusterNetworkPolicy',
  plural: 'clusternetworkpolicies',
  singular: 'clusternetworkpolicy',
  shortNames: ['cnp'],
  namespaced: false,
  schema: {
    type: 'object',
    description:
      "A policy of the cluster's owner: the Admin tier is asked before every NetworkPolicy, the Baseline tier where no NetworkPolicy selects the pod.",
    required: ['spec'],
    properties: {
      apiVersion: text,
      kind: text,
      metadata: { type: 'object' },
      spec: object({
        tier: text,
        priority: { type: 'integer', format: 'int32' },
        subject: object(podPeers),
        ingress: rules('from', podPeers),
        egress: rules('to', { ...podPeers, nodes: selector, networks: texts, domainNames: texts }),
      }),
      status: object({
        conditions: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['type'],
          items: { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Condition' },
        },
      }),
    },
  },
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    nameColumn,
    column('Tier', 'string', 'Admin is asked first, Baseline last.', (o) => specOf(o).tier ?? ''),
    column('Priority', 'integer', 'Lower is asked first.', (o) => specOf(o).priority ?? 0),
    ageColumn,
  ],
  strategy: { hasGeneration: true, validate, warnings },
}
