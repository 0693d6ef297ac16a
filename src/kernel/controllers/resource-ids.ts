import type { ResourceId } from '../client/client.ts'

const core = (resource: string): ResourceId => ({ group: '', version: 'v1', resource })

export const NAMESPACES: ResourceId = core('namespaces')
export const SERVICES: ResourceId = core('services')
export const ENDPOINTS: ResourceId = core('endpoints')
export const SERVICE_ACCOUNTS: ResourceId = core('serviceaccounts')
export const CONFIG_MAPS: ResourceId = core('configmaps')
export const SECRETS: ResourceId = core('secrets')
export const EVENTS: ResourceId = core('events')
export const PODS: ResourceId = core('pods')
export const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }
export const ENDPOINT_SLICES: ResourceId = { group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' }
export const PRIORITY_CLASSES: ResourceId = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  resource: 'priorityclasses',
}
export const CERTIFICATE_SIGNING_REQUESTS: ResourceId = {
  group: 'certificates.k8s.io',
  version: 'v1',
  resource: 'certificatesigningrequests',
}
export const CUSTOM_RESOURCE_DEFINITIONS: ResourceId = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
}
