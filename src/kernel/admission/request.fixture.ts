import type { KubeObject } from '../api/object.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import type { Lookup } from './lookup.ts'
import type { AdmissionRequest, AdmissionStep } from './types.ts'

/** The definition of a kind as far as admission looks at it. */
export function definitionFor(plural: string, kind: string, group = '', namespaced = true): ResourceDefinition {
  return { group, version: 'v1', kind, plural, singular: kind.toLowerCase(), namespaced, schema: {}, columns: [] }
}

export const PODS: ResourceDefinition = definitionFor('pods', 'Pod')
export const NAMESPACES: ResourceDefinition = definitionFor('namespaces', 'Namespace', '', false)
export const CONFIG_MAPS: ResourceDefinition = definitionFor('configmaps', 'ConfigMap')
export const CSRS: ResourceDefinition = definitionFor(
  'certificatesigningrequests',
  'CertificateSigningRequest',
  'certificates.k8s.io',
  false,
)

export type TestRequest = AdmissionRequest & { warnings: string[]; annotations: Record<string, string> }

export function makeRequest(parts: Partial<AdmissionRequest> = {}): TestRequest {
  const warnings: string[] = []
  const annotations: Record<string, string> = {}
  const definition = parts.definition ?? PODS
  return {
    operation: 'CREATE',
    definition,
    subresource: '',
    namespace: definition.namespaced ? 'shop' : '',
    name: parts.object?.metadata.name ?? parts.oldObject?.metadata.name ?? 'x',
    object: undefined,
    oldObject: undefined,
    user: { name: 'jane', groups: ['dev'] },
    dryRun: false,
    options: undefined,
    warn: (message) => void warnings.push(message),
    annotateAudit: (key, value) => {
      annotations[key] = value
    },
    signal: new AbortController().signal,
    ...parts,
    warnings,
    annotations,
  }
}

export function object(kind: string, name: string, fields: Partial<KubeObject> = {}): KubeObject {
  const { metadata, ...rest } = fields
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'shop', ...metadata }, ...rest }
}

export type TestLookup = Lookup & { put: (group: string, resource: string, object: KubeObject) => void }

export function makeLookup(...entries: [group: string, resource: string, object: KubeObject][]): TestLookup {
  const objects = new Map<string, Map<string, KubeObject>>()
  const lookup: TestLookup = {
    get: (group, resource, namespace, name) => objects.get(`${group}/${resource}`)?.get(`${namespace}/${name}`),
    list: function* (group, resource, namespace) {
      for (const o of objects.get(`${group}/${resource}`)?.values() ?? [])
        if (namespace === undefined || (o.metadata.namespace ?? '') === namespace) yield o
    },
    put: (group, resource, o) => {
      const key = `${group}/${resource}`
      const map = objects.get(key) ?? new Map<string, KubeObject>()
      objects.set(key, map.set(`${o.metadata.namespace ?? ''}/${o.metadata.name}`, o))
    },
  }
  for (const entry of entries) lookup.put(...entry)
  return lookup
}

export const namespaceObject = (name: string, phase = 'Active', labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
  status: { phase },
})

/** What the chain does with one step. */
export async function run(step: AdmissionStep, request: AdmissionRequest): Promise<void> {
  if (!step.handles(request)) return
  await step.mutate?.(request)
  await step.validate?.(request)
}
