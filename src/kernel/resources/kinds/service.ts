import type { KubeObject } from '../../api/object.ts'
import type { ResourceDefinition } from '../definition.ts'
import { dropNulls } from './pod/defaults.ts'
import { onCreate } from './pod/on-create.ts'
import { serviceColumns } from './service-columns.ts'
import { isExternallyAccessible, needsClusterIP, type ServiceSpec, type ServiceStatus } from './service-types.ts'
import { settleServiceUpdate, validateServiceChange } from './service-update.ts'
import { validateService, validateServiceStatus } from './service-validation.ts'

const THREE_HOURS = 10_800
const specOf = (service: KubeObject): ServiceSpec => (service['spec'] ?? {}) as ServiceSpec

function defaults(service: KubeObject): void {
  const spec = (service['spec'] ??= {}) as ServiceSpec
  dropNulls(spec)
  dropNulls(service['status'])
  spec.sessionAffinity ||= 'None'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds == null)
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: THREE_HOURS } }
  spec.type ||= 'ClusterIP'
  if (spec.clusterIP && (spec.clusterIPs ?? []).length === 0) spec.clusterIPs = [spec.clusterIP]
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP'
    if (!port.targetPort && port.port !== undefined) port.targetPort = port.port
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster'
  if (needsClusterIP(spec)) spec.internalTrafficPolicy ??= 'Cluster'
  if (spec.type !== 'LoadBalancer') return
  spec.allocateLoadBalancerNodePorts ??= true
  const status = service['status'] as ServiceStatus | undefined
  for (const ingress of status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP'
}

/** Addresses and node ports are allocated by admission; here only what the fields say to each other. */
function prepareForUpdate(service: KubeObject, old: KubeObject, subresource: string): void {
  if (subresource === '') settleServiceUpdate(specOf(service), specOf(old))
}

export const serviceKind: ResourceDefinition = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  schema: 'io.k8s.api.core.v1.Service',
  subresources: [
    {
      name: 'proxy',
      kind: { group: '', version: 'v1', kind: 'ServiceProxyOptions' },
      verbs: ['create', 'delete', 'get', 'patch', 'update'],
    },
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: serviceColumns,
  selectableFields: {
    'spec.clusterIP': (service) => specOf(service).clusterIP ?? '',
    'spec.type': (service) => specOf(service).type ?? '',
  },
  strategy: {
    nameFormat: 'dns-1035',
    allowCreateOnUpdate: true,
    defaults,
    prepareForCreate: (service) => {
      service['status'] = { loadBalancer: {} }
    },
    prepareForUpdate: (service, old, { subresource }) => prepareForUpdate(service, old, subresource),
    validate: onCreate(validateService),
    validateUpdate: (service, old, { subresource }) =>
      subresource === 'status'
        ? validateServiceStatus(service)
        : [...validateServiceChange(service, old), ...validateService(service)],
  },
}
