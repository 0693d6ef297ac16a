import type { JsonObject, KubeObject } from '../../api/object.ts'
import type { ResourceDefinition, SubresourceDefinition } from '../definition.ts'
import { refTo, type Schema } from '../schema.ts'
import { type CrdVersion, specOf, statusOf } from './crd.ts'
import { evaluateJsonPath, parseJsonPath } from './json-path.ts'
import { OBJECT_META } from './object-meta.ts'
import { customColumns, type PrinterColumn } from './printer-columns.ts'
import { parseSchema } from './schema-parse.ts'

/**
 * The version's schema with apiVersion, kind and metadata put in as every object has them. What the definition says
 * about metadata.name stays beside the reference: it is validated, though documents only show the reference.
 */
function rootSchema(version: CrdVersion): Schema {
  const { schema } = parseSchema(version.schema?.openAPIV3Schema ?? {}, '')
  const names = schema.properties?.['metadata']?.properties
  return {
    ...schema,
    type: 'object',
    properties: Object.assign(Object.create(null), schema.properties, {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: names === undefined ? refTo(OBJECT_META) : { ...refTo(OBJECT_META), properties: names },
    }),
  }
}

function subresourcesOf(version: CrdVersion): SubresourceDefinition[] {
  const verbs = ['get', 'patch', 'update']
  const { status, scale } = version.subresources ?? {}
  return [
    ...(status ? [{ name: 'status', verbs }] : []),
    ...(scale ? [{ name: 'scale', kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs }] : []),
  ]
}

function selectableFields(version: CrdVersion): Record<string, (object: KubeObject) => string> {
  const fields: Record<string, (object: KubeObject) => string> = {}
  for (const { jsonPath = '' } of version.selectableFields ?? []) {
    const path = parseJsonPath(jsonPath)
    fields[jsonPath.replace(/^\./, '')] = (object) => {
      const [value] = evaluateJsonPath(path, object)
      return value === undefined || value === null ? '' : String(value)
    }
  }
  return fields
}

function scaleOf(version: CrdVersion): ResourceDefinition['scale'] {
  const scale = version.subresources?.scale
  if (!scale?.specReplicasPath || !scale.statusReplicasPath) return undefined
  return {
    specReplicasPath: scale.specReplicasPath,
    statusReplicasPath: scale.statusReplicasPath,
    ...(scale.labelSelectorPath ? { labelSelectorPath: scale.labelSelectorPath } : {}),
  }
}

/** Kubernetes' own sentence when the definition has none. */
function deprecation(version: CrdVersion, group: string, kind: string): string | undefined {
  if (!version.deprecated) return undefined
  return version.deprecationWarning ?? `${group}/${version.name} ${kind} is deprecated`
}

/** What a CustomResourceDefinition serves: one definition for each served version, by the names that were accepted. */
export function definitionsFromCrd(crd: KubeObject): ResourceDefinition[] {
  const spec = specOf(crd)
  const { group = '', versions = [] } = spec
  const accepted = statusOf(crd).acceptedNames
  const names = accepted?.plural ? accepted : (spec.names ?? {})
  const { kind = '', plural = '' } = names
  const storage = versions.find((v) => v.storage)?.name
  return versions
    .filter((version) => version.served)
    .map((version) => {
      const subresources = subresourcesOf(version)
      const warning = deprecation(version, group, kind)
      const scale = scaleOf(version)
      return {
        group,
        version: version.name ?? '',
        kind,
        listKind: names.listKind || `${kind}List`,
        plural,
        singular: names.singular || kind.toLowerCase(),
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        namespaced: spec.scope === 'Namespaced',
        schema: rootSchema(version),
        subresources,
        columns: customColumns(version.additionalPrinterColumns as PrinterColumn[] | undefined),
        selectableFields: selectableFields(version),
        strategy: {
          allowUnconditionalUpdate: false,
          hasGeneration: true,
          warnings: finalizerWarnings,
          ...(subresources.some((s) => s.name === 'status') ? { prepareForCreate: dropStatus } : {}),
        },
        custom: true,
        ...(crd.metadata.deletionTimestamp ? { terminating: true } : {}),
        ...(storage === undefined ? {} : { storageVersion: storage }),
        ...(scale ? { scale } : {}),
        ...(warning === undefined ? {} : { createWarning: warning }),
        annotations: { customResourceDefinition: crd.metadata.name } satisfies JsonObject,
      }
    })
}

/** Where status is a subresource, only writes to that set it. */
function dropStatus(object: KubeObject): void {
  delete object['status']
}

/** Finalizers of custom objects need no domain, but should have one. */
function finalizerWarnings(object: KubeObject, old: KubeObject | undefined): string[] {
  const known = new Set(old?.metadata.finalizers)
  return (object.metadata.finalizers ?? [])
    .filter((f) => !known.has(f) && !f.includes('/') && f !== 'orphan' && f !== 'foregroundDeletion')
    .map(
      (f) =>
        `metadata.finalizers: ${JSON.stringify(f)}: prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers`,
    )
}
