import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import { validateCidr } from '../validation/addresses.ts'
import { nodeColumns } from './node-columns.ts'
import { type NodeConfigSource, validateConfigSource } from './node-config.ts'
import type { NodeSpec, NodeStatus } from './node-types.ts'
import { dropNulls } from './pod/defaults.ts'
import { onCreate } from './pod/on-create.ts'
import { canonicalizeResourceList, resourceQuantity } from './pod/resources.ts'
import { validateTaints } from './pod/scheduling.ts'
import type { ResourceList } from './pod/types.ts'

const specOf = (node: KubeObject): NodeSpec => (node['spec'] ?? {}) as NodeSpec
const statusOf = (node: KubeObject): NodeStatus => (node['status'] ?? {}) as NodeStatus

function defaults(node: KubeObject): void {
  const spec = (node['spec'] ??= {}) as NodeSpec
  dropNulls(spec)
  // podCIDR is the older form of the first of podCIDRs.
  if (spec.podCIDRs?.[0]) spec.podCIDR = spec.podCIDRs[0]
  else if (spec.podCIDR) spec.podCIDRs = [spec.podCIDR]
  const status = node['status'] as NodeStatus | undefined
  dropNulls(status)
  if (status == null) return
  if (status.allocatable == null && status.capacity != null) status.allocatable = { ...status.capacity }
  canonicalizeResourceList(status.capacity)
  canonicalizeResourceList(status.allocatable)
}

function validateNode(node: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  validateTaints(specOf(node).taints ?? [], 'metadata.taints', errors)
  validateAmounts(statusOf(node), errors)
  validatePodCidrs(specOf(node).podCIDRs ?? [], errors)
  return errors
}

function validateAmounts(status: NodeStatus, errors: FieldError[]): void {
  for (const field of ['capacity', 'allocatable'] as const) {
    const list: ResourceList = status[field] ?? {}
    for (const name in list) resourceQuantity(name, list[name]!, `status.${field}.${name}`, errors)
  }
}

/** At most one block of each family. */
function validatePodCidrs(cidrs: readonly string[], errors: FieldError[]): void {
  const path = 'spec.podCIDRs'
  const seen = new Set<string>()
  cidrs.forEach((cidr, i) => {
    errors.push(...validateCidr(cidr, `${path}[${i}]`))
  })
  if (cidrs.length < 2) return
  const sameFamily = cidrs[0]!.includes(':') === cidrs[1]!.includes(':')
  if (sameFamily || cidrs.length > 2)
    errors.push(fieldError.invalid(path, cidrs, 'may specify no more than one CIDR for each IP family'))
  cidrs.forEach((cidr, i) => {
    if (seen.has(cidr)) errors.push(fieldError.duplicate(`${path}[${i}]`, cidr))
    seen.add(cidr)
  })
}

/** What is assigned to a node once stays: its pod network and its identity at the provider. */
function validateNodeUpdate(node: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  const spec = specOf(node)
  const before = specOf(old)
  const status = statusOf(node)
  validateAmounts(status, errors)
  const seen = new Set<string>()
  status.addresses?.forEach((address, i) => {
    const key = `${address.type}\n${address.address}`
    if (seen.has(key)) errors.push(fieldError.duplicate(`status.addresses[${i}]`, address))
    seen.add(key)
  })
  const was = before.podCIDRs ?? []
  const now = spec.podCIDRs ?? []
  if (was.length > 0 && (was.length !== now.length || was.some((cidr, i) => cidr !== now[i])))
    errors.push(fieldError.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
  if (before.providerID && before.providerID !== spec.providerID)
    errors.push(
      fieldError.forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'),
    )
  if (spec.configSource != null) validateConfigSource(spec.configSource, true, 'spec.configSource', errors)
  for (const field of ['assigned', 'active', 'lastKnownGood'] as const) {
    const source = status.config?.[field] as NodeConfigSource | undefined
    if (source != null) validateConfigSource(source, false, `status.config.${field}`, errors)
  }
  validateTaints(spec.taints ?? [], 'metadata.taints', errors)
  if ((spec.externalID ?? '') !== (before.externalID ?? ''))
    errors.push(fieldError.forbidden('spec.externalID', 'may not be updated'))
  return errors
}

export const nodeKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  namespaced: false,
  schema: 'io.k8s.api.core.v1.Node',
  subresources: [
    {
      name: 'proxy',
      kind: { group: '', version: 'v1', kind: 'NodeProxyOptions' },
      verbs: ['create', 'delete', 'get', 'patch', 'update'],
    },
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: nodeColumns,
  selectableFields: { 'spec.unschedulable': (node) => String(specOf(node).unschedulable ?? false) },
  strategy: {
    defaults,
    validate: onCreate(validateNode),
    validateUpdate: (node, old, { subresource }) =>
      subresource === 'status'
        ? validateNodeUpdate(node, old)
        : [...validateNode(node), ...validateNodeUpdate(node, old)],
  },
}
