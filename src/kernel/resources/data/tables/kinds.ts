/** What the definitions contain: whole packages, and among their messages the kinds. */

export const PACKAGES: readonly string[] = [
  'k8s.io.api.admissionregistration.v1',
  'k8s.io.api.apps.v1',
  'k8s.io.api.authentication.v1',
  'k8s.io.api.authorization.v1',
  'k8s.io.api.autoscaling.v1',
  'k8s.io.api.autoscaling.v2',
  'k8s.io.api.batch.v1',
  'k8s.io.api.certificates.v1',
  'k8s.io.api.coordination.v1',
  'k8s.io.api.core.v1',
  'k8s.io.api.discovery.v1',
  'k8s.io.api.events.v1',
  'k8s.io.api.networking.v1',
  'k8s.io.api.node.v1',
  'k8s.io.api.policy.v1',
  'k8s.io.api.rbac.v1',
  'k8s.io.api.scheduling.v1',
  'k8s.io.api.storage.v1',
  'k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1',
]

/** Kinds which no other kind refers to and whose messages lack `metadata` of type ObjectMeta or ListMeta. */
export const OPTION_KINDS: readonly string[] = [
  'k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions',
  'k8s.io.apimachinery.pkg.apis.meta.v1.Status',
]

/** Messages which are read and written without having a definition: option kinds of meta/v1. */
export const MORE_MESSAGES: readonly string[] = [
  'k8s.io.apimachinery.pkg.apis.meta.v1.CreateOptions',
  'k8s.io.apimachinery.pkg.apis.meta.v1.UpdateOptions',
  'k8s.io.apimachinery.pkg.apis.meta.v1.PatchOptions',
]

/** Messages that have metadata and yet are no kinds of the API. */
export const NOT_KINDS: ReadonlySet<string> = new Set([
  'core.v1.PersistentVolumeClaimTemplate',
  'core.v1.PodTemplateSpec',
  'core.v1.PodStatusResult',
  'core.v1.RangeAllocation',
  'core.v1.List',
  'batch.v1.JobTemplateSpec',
])

/** Messages that JSON writes as something else than an object of their fields, and their schemas. */
export const WRITTEN_DIFFERENTLY: Readonly<Record<string, object>> = {
  'apiextensions.v1.JSON': { 'x-kubernetes-preserve-unknown-fields': true },
  'apiextensions.v1.JSONSchemaPropsOrArray': { 'x-kubernetes-preserve-unknown-fields': true },
  'apiextensions.v1.JSONSchemaPropsOrBool': { 'x-kubernetes-preserve-unknown-fields': true },
  'apiextensions.v1.JSONSchemaPropsOrStringArray': { 'x-kubernetes-preserve-unknown-fields': true },
  'api.resource.Quantity': { 'x-kubernetes-int-or-string': true, format: 'quantity' },
  'meta.v1.Duration': { type: 'string' },
  'meta.v1.FieldsV1': { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  'meta.v1.MicroTime': { type: 'string', format: 'date-time' },
  'meta.v1.Time': { type: 'string', format: 'date-time' },
  'pkg.runtime.RawExtension': { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  'util.intstr.IntOrString': { 'x-kubernetes-int-or-string': true, format: 'int-or-string' },
  'authentication.v1.ExtraValue': { type: 'array', items: { type: 'string' } },
  'authorization.v1.ExtraValue': { type: 'array', items: { type: 'string' } },
  'certificates.v1.ExtraValue': { type: 'array', items: { type: 'string' } },
  'meta.v1.Verbs': { type: 'array', items: { type: 'string' } },
}
