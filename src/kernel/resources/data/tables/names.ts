/** How names of protobuf messages and fields become names of definitions and JSON fields. */

/** `k8s.io.api.core.v1.Pod` → `io.k8s.api.core.v1.Pod`, as Kubernetes' OpenAPI documents call it. */
export function definitionName(protoName: string): string {
  return protoName
    .replace(/^k8s\.io\./, 'io.k8s.')
    .replace('io.k8s.apiextensions_apiserver.', 'io.k8s.apiextensions-apiserver.')
}

/** `io.k8s.api.core.v1.Pod` → `core.v1.Pod`: the form in which the tables beside this file name definitions. */
export function shortName(definition: string): string {
  return definition.split('.').slice(-3).join('.')
}

/** API group of the definitions of a package, by the segment before the version. */
export const GROUPS: Readonly<Record<string, string>> = {
  admission: 'admission.k8s.io',
  admissionregistration: 'admissionregistration.k8s.io',
  apiextensions: 'apiextensions.k8s.io',
  apps: 'apps',
  authentication: 'authentication.k8s.io',
  authorization: 'authorization.k8s.io',
  autoscaling: 'autoscaling',
  batch: 'batch',
  certificates: 'certificates.k8s.io',
  coordination: 'coordination.k8s.io',
  core: '',
  discovery: 'discovery.k8s.io',
  events: 'events.k8s.io',
  meta: '',
  networking: 'networking.k8s.io',
  node: 'node.k8s.io',
  policy: 'policy',
  rbac: 'rbac.authorization.k8s.io',
  scheduling: 'scheduling.k8s.io',
  storage: 'storage.k8s.io',
}

/** Field names which the generated protobuf descriptions spell differently from JSON. */
export const JSON_NAMES: Readonly<Record<string, string>> = {
  'admissionregistration.v1.MutatingWebhookConfiguration.Webhooks': 'webhooks',
  'admissionregistration.v1.ValidatingWebhookConfiguration.Webhooks': 'webhooks',
  'admissionregistration.v1.Validation.Expression': 'expression',
  'admissionregistration.v1.Variable.Expression': 'expression',
  'admissionregistration.v1.Variable.Name': 'name',
  'networking.v1.IngressClassParametersReference.aPIGroup': 'apiGroup',
  'authentication.v1.BoundObjectReference.uID': 'uid',
  'apiextensions.v1.JSONSchemaProps.schema': '$schema',
  'apiextensions.v1.JSONSchemaProps.ref': '$ref',
  'apiextensions.v1.JSONSchemaProps.xKubernetesPreserveUnknownFields': 'x-kubernetes-preserve-unknown-fields',
  'apiextensions.v1.JSONSchemaProps.xKubernetesEmbeddedResource': 'x-kubernetes-embedded-resource',
  'apiextensions.v1.JSONSchemaProps.xKubernetesIntOrString': 'x-kubernetes-int-or-string',
  'apiextensions.v1.JSONSchemaProps.xKubernetesListMapKeys': 'x-kubernetes-list-map-keys',
  'apiextensions.v1.JSONSchemaProps.xKubernetesListType': 'x-kubernetes-list-type',
  'apiextensions.v1.JSONSchemaProps.xKubernetesMapType': 'x-kubernetes-map-type',
  'apiextensions.v1.JSONSchemaProps.xKubernetesValidations': 'x-kubernetes-validations',
}

/** Message fields that Go embeds: their fields appear in the JSON of the message around them. */
export const INLINED: ReadonlySet<string> = new Set([
  'admissionregistration.v1.NamedRuleWithOperations.ruleWithOperations',
  'admissionregistration.v1.RuleWithOperations.rule',
  'core.v1.ConfigMapEnvSource.localObjectReference',
  'core.v1.ConfigMapKeySelector.localObjectReference',
  'core.v1.ConfigMapProjection.localObjectReference',
  'core.v1.ConfigMapVolumeSource.localObjectReference',
  'core.v1.EphemeralContainer.ephemeralContainerCommon',
  'core.v1.PersistentVolumeSpec.persistentVolumeSource',
  'core.v1.Probe.handler',
  'core.v1.SecretEnvSource.localObjectReference',
  'core.v1.SecretKeySelector.localObjectReference',
  'core.v1.SecretProjection.localObjectReference',
  'core.v1.Volume.volumeSource',
  'networking.v1.IngressRule.ingressRuleValue',
])
