import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definitionOf, loadDefinitions } from './definitions.ts'
import type { Schema } from './schema.ts'
import { refTo } from './schema.ts'

const schemas = loadDefinitions()
const definition = (name: string): Schema => {
  const found = schemas.get(name)
  assert.ok(found, `${name} is missing`)
  return found
}
const field = (path: string): Schema => {
  const dot = path.lastIndexOf('.')
  const found = definition(path.slice(0, dot)).properties?.[path.slice(dot + 1)]
  assert.ok(found, `${path} is missing`)
  return found
}
const without = ({ description: _, ...schema }: Schema): Schema => schema

test('every reference resolves and every property is of some type', () => {
  const walk = (schema: Schema, at: string): void => {
    if (schema.$ref !== undefined) schemas.resolve(schema)
    else
      assert.ok(
        schema.type !== undefined ||
          schema['x-kubernetes-int-or-string'] === true ||
          schema['x-kubernetes-preserve-unknown-fields'] === true,
        `${at} has no type`,
      )
    for (const [name, property] of Object.entries(schema.properties ?? {})) walk(property, `${at}.${name}`)
    for (const name of schema.required ?? []) assert.ok(schema.properties?.[name], `${at} requires an unknown ${name}`)
    if (schema.items !== undefined) walk(schema.items, `${at}[]`)
    if (typeof schema.additionalProperties === 'object') walk(schema.additionalProperties, `${at}{}`)
    if (schema['x-kubernetes-patch-merge-key'] !== undefined || schema['x-kubernetes-list-map-keys'] !== undefined) {
      assert.equal(schema.type, 'array', at)
      const item = schemas.resolve(schema.items!)
      for (const key of [
        ...(schema['x-kubernetes-list-map-keys'] ?? []),
        ...(schema['x-kubernetes-patch-merge-key'] === undefined ? [] : [schema['x-kubernetes-patch-merge-key']]),
      ])
        assert.ok(item.properties?.[key], `${at}: items have no field ${key}`)
    }
  }
  for (const [name, schema] of schemas.definitions) walk(schema, name)
})

const KINDS = `
  /v1: Namespace Secret ConfigMap ServiceAccount Pod Node Service Endpoints Event ResourceQuota LimitRange
    ReplicationController PodTemplate PersistentVolume PersistentVolumeClaim Binding DeleteOptions Status PodList
  apps/v1: Deployment ReplicaSet DaemonSet StatefulSet ControllerRevision
  batch/v1: Job CronJob
  rbac.authorization.k8s.io/v1: Role RoleBinding ClusterRole ClusterRoleBinding
  networking.k8s.io/v1: NetworkPolicy Ingress IngressClass
  certificates.k8s.io/v1: CertificateSigningRequest
  coordination.k8s.io/v1: Lease
  discovery.k8s.io/v1: EndpointSlice
  events.k8s.io/v1: Event
  admissionregistration.k8s.io/v1: MutatingWebhookConfiguration ValidatingWebhookConfiguration
  apiextensions.k8s.io/v1: CustomResourceDefinition
  scheduling.k8s.io/v1: PriorityClass
  autoscaling/v1: Scale
  policy/v1: Eviction PodDisruptionBudget
  authentication.k8s.io/v1: TokenReview TokenRequest SelfSubjectReview
  authorization.k8s.io/v1: SubjectAccessReview LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
`
test('kinds are found by group, version and kind', () => {
  let groupVersion = ''
  for (const word of KINDS.split(/\s+/).filter((w) => w !== '')) {
    if (word.endsWith(':')) {
      groupVersion = word.slice(0, -1)
      continue
    }
    const [group, version] = groupVersion.split('/') as [string, string]
    const name = definitionOf(group, version, word)
    assert.ok(name, `${groupVersion} ${word}`)
    assert.equal(definition(name).properties?.['kind']?.type, 'string')
  }
  assert.equal(definitionOf('', 'v1', 'Pod'), 'io.k8s.api.core.v1.Pod')
  assert.equal(definitionOf('', 'v1', 'PodSpec'), undefined)
  assert.equal(definitionOf('apps', 'v1beta1', 'Deployment'), undefined)
})

const core = 'io.k8s.api.core.v1.'
const fields: [string, Schema][] = [
  [`${core}PodSpec.hostNetwork`, { type: 'boolean', 'x-omit-zero': true }],
  [`${core}PodSpec.terminationGracePeriodSeconds`, { type: 'integer', format: 'int64' }],
  [`${core}Probe.periodSeconds`, { type: 'integer', format: 'int32', 'x-omit-zero': true }],
  [`${core}Probe.httpGet`, refTo(`${core}HTTPGetAction`)],
  [`${core}HTTPGetAction.port`, refTo('io.k8s.apimachinery.pkg.util.intstr.IntOrString')],
  [`${core}Secret.data`, { type: 'object', additionalProperties: { type: 'string', format: 'byte' } }],
  [
    `${core}ResourceQuotaSpec.hard`,
    {
      type: 'object',
      additionalProperties: refTo('io.k8s.apimachinery.pkg.api.resource.Quantity'),
    },
  ],
  [
    `${core}PodSpec.volumes`,
    {
      type: 'array',
      items: refTo(`${core}Volume`),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-patch-strategy': 'merge,retainKeys',
      'x-kubernetes-patch-merge-key': 'name',
    },
  ],
  [
    `${core}ServiceSpec.ports`,
    {
      type: 'array',
      items: refTo(`${core}ServicePort`),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'port',
    },
  ],
  [
    'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.finalizers',
    {
      type: 'array',
      items: { type: 'string' },
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-patch-strategy': 'merge',
    },
  ],
  [
    'io.k8s.api.apps.v1.DeploymentSpec.strategy',
    {
      ...refTo('io.k8s.api.apps.v1.DeploymentStrategy'),
      default: {},
      'x-kubernetes-patch-strategy': 'retainKeys',
    },
  ],
  [
    'io.k8s.api.authentication.v1.UserInfo.extra',
    {
      type: 'object',
      additionalProperties: refTo('io.k8s.api.authentication.v1.ExtraValue'),
    },
  ],
]
test('fields carry type, list type, defaults and patch strategy', () => {
  for (const [path, expected] of fields) assert.deepEqual(without(field(path)), expected, path)
  assert.deepEqual(definition(`${core}PodSpec`).required, ['containers'])
  assert.equal(definition(`${core}LocalObjectReference`)['x-kubernetes-map-type'], 'atomic')
  assert.equal(field('io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps.$ref').type, 'string')
})
