import { createHash } from 'node:crypto'
import { apiVersionOf } from '../api/object.ts'
import { ALL_VERBS, type ResourceDefinition } from '../resources/definition.ts'
import { parseAccept } from './http/negotiate.ts'
import type { Kind } from './kind.ts'
import type { KindRegistry } from './kind-registry.ts'

const VERBS_WITH_WATCH = [...ALL_VERBS].sort()

function verbsOf(definition: ResourceDefinition): string[] {
  return definition.verbs ? [...definition.verbs].sort() : VERBS_WITH_WATCH
}

/** Stable over restarts: kubectl only compares it. */
function storageVersionHash(definition: ResourceDefinition): string {
  const { group, kind } = definition
  const hash = createHash('sha256').update(`${group}/${definition.storageVersion ?? definition.version}/${kind}`)
  return `${hash.digest('base64').slice(0, 11)}=`
}

/** metav1.APIResourceList of one group version. */
export function apiResourceList(kinds: KindRegistry, group: string, version: string): object {
  const resources: object[] = []
  for (const { definition } of byName(kinds, group, version)) {
    resources.push({
      name: definition.plural,
      singularName: definition.singular,
      namespaced: definition.namespaced,
      kind: definition.kind,
      verbs: verbsOf(definition),
      ...(definition.shortNames?.length ? { shortNames: definition.shortNames } : {}),
      ...(definition.categories?.length ? { categories: definition.categories } : {}),
      ...(definition.stored === false ? {} : { storageVersionHash: storageVersionHash(definition) }),
    })
    for (const sub of definition.subresources ?? [])
      resources.push({
        name: `${definition.plural}/${sub.name}`,
        singularName: '',
        namespaced: definition.namespaced,
        ...(sub.kind && (sub.kind.group !== group || sub.kind.version !== version)
          ? { group: sub.kind.group, version: sub.kind.version }
          : {}),
        kind: sub.kind?.kind ?? definition.kind,
        verbs: [...sub.verbs].sort(),
      })
  }
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(group, version), resources }
}

function byName(kinds: KindRegistry, group: string, version: string): Kind[] {
  return [...kinds.all()]
    .filter((k) => k.definition.group === group && k.definition.version === version)
    .sort((a, b) => (a.definition.plural < b.definition.plural ? -1 : 1))
}

/** metav1.APIVersions: the answer to GET /api. */
export function apiVersions(kinds: KindRegistry, serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: kinds.versions(''),
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  }
}

export function apiGroup(kinds: KindRegistry, group: string): object {
  const versions = kinds.versions(group).map((version) => ({ groupVersion: `${group}/${version}`, version }))
  return { name: group, versions, preferredVersion: versions[0] }
}

/** metav1.APIGroupList: the answer to GET /apis. */
export function apiGroupList(kinds: KindRegistry): object {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: kinds.groups().map((group) => apiGroup(kinds, group)) }
}

export type AggregatedVersion = 'v2' | 'v2beta1'

/** The aggregated form that the Accept header wants before plain JSON, if any (KEP-3352). */
export function wantsAggregated(accept: string | undefined): AggregatedVersion | undefined {
  if (accept === undefined || !accept.includes('apidiscovery.k8s.io')) return undefined
  for (const { media, parameters } of parseAccept(accept)) {
    if (media !== 'application/json') continue
    if (parameters.get('as') === undefined) return undefined
    if (parameters.get('g') !== 'apidiscovery.k8s.io' || parameters.get('as') !== 'APIGroupDiscoveryList') continue
    const version = parameters.get('v')
    if (version === 'v2' || version === 'v2beta1') return version
  }
  return undefined
}

/** apidiscovery.k8s.io APIGroupDiscoveryList for /api (core) or /apis (all others). */
export function aggregated(kinds: KindRegistry, version: AggregatedVersion, core: boolean): object {
  const groups = core ? [''] : kinds.groups()
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: { name: group === '' ? undefined : group, creationTimestamp: null },
      versions: kinds.versions(group).map((v) => ({
        version: v,
        resources: byName(kinds, group, v).map(({ definition }) => discoveryResource(definition)),
        freshness: 'Current',
      })),
    })),
  }
}

function discoveryResource(definition: ResourceDefinition): object {
  const { group, version, kind, plural, singular, namespaced, shortNames, categories } = definition
  const subresources = (definition.subresources ?? []).map((sub) => ({
    subresource: sub.name,
    responseKind: sub.kind ?? { group, version, kind },
    verbs: [...sub.verbs].sort(),
  }))
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: verbsOf(definition),
    ...(shortNames?.length ? { shortNames } : {}),
    ...(categories?.length ? { categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  }
}
