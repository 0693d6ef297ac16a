import type { Schema } from '../schema.ts'

/** String types that Go names, as `Struct.field`: what its errors call the field's type. */
const NAMED_STRINGS: Readonly<Record<string, string>> = {
  'Container.imagePullPolicy': 'v1.PullPolicy',
  'Container.terminationMessagePolicy': 'v1.TerminationMessagePolicy',
  'ContainerPort.protocol': 'v1.Protocol',
  'CronJobSpec.concurrencyPolicy': 'v1.ConcurrencyPolicy',
  'DeploymentStrategy.type': 'v1.DeploymentStrategyType',
  'HTTPGetAction.scheme': 'v1.URIScheme',
  'NamespaceStatus.phase': 'v1.NamespacePhase',
  'NodeSelectorRequirement.operator': 'v1.NodeSelectorOperator',
  'LabelSelectorRequirement.operator': 'v1.LabelSelectorOperator',
  'ObjectMeta.uid': 'types.UID',
  'OwnerReference.uid': 'types.UID',
  'PodSpec.dnsPolicy': 'v1.DNSPolicy',
  'PodSpec.restartPolicy': 'v1.RestartPolicy',
  'PodStatus.phase': 'v1.PodPhase',
  'Secret.type': 'v1.SecretType',
  'ServicePort.protocol': 'v1.Protocol',
  'ServiceSpec.sessionAffinity': 'v1.ServiceAffinity',
  'ServiceSpec.type': 'v1.ServiceType',
  'Taint.effect': 'v1.TaintEffect',
  'Toleration.effect': 'v1.TaintEffect',
  'Toleration.operator': 'v1.TolerationOperator',
}

/** Maps keyed or filled with types that Go names. */
const NAMED_MAPS: Readonly<Record<string, string>> = {
  'ResourceRequirements.limits': 'v1.ResourceList',
  'ResourceRequirements.requests': 'v1.ResourceList',
  'ResourceQuotaSpec.hard': 'v1.ResourceList',
  'NodeStatus.capacity': 'v1.ResourceList',
  'NodeStatus.allocatable': 'v1.ResourceList',
  'PodSpec.overhead': 'v1.ResourceList',
}

/** Go's name of the struct that a definition describes: `v1.PodSpec`. */
function structType(definition: string): string {
  const parts = definition.split('.')
  return parts.slice(-2).join('.')
}

/** The Go type of a field's value as errors of encoding/json print it. `place` is `Struct.field` where that is known. */
export function goType(schema: Schema, place = ''): string {
  if (schema.$ref !== undefined) {
    const definition = schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)
    return definition.endsWith('.ExtraValue') ? 'v1.ExtraValue' : structType(definition)
  }
  if (schema.type === 'array') return `[]${goType(schema.items ?? {})}`
  if (typeof schema.additionalProperties === 'object')
    return NAMED_MAPS[place] ?? `map[string]${goType(schema.additionalProperties)}`
  switch (schema.type) {
    case 'boolean':
      return 'bool'
    case 'integer':
      return schema.format === 'int64' ? 'int64' : 'int32'
    case 'number':
      return 'float64'
    case 'string':
      return schema.format === 'byte' ? '[]uint8' : (NAMED_STRINGS[place] ?? 'string')
    default:
      return 'interface {}'
  }
}
