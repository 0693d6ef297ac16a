import { apiVersionOf } from '../../api/object.ts'
import type { ResourceDefinition } from '../../resources/definition.ts'
import { definitionOf } from '../../resources/definitions.ts'
import type { Schema } from '../../resources/schema.ts'
import { refTo } from '../../resources/schema.ts'
import type { GroupVersionKind } from './operations.ts'

/** `dev.rampart.iam.v1.User`: the group backwards, version and kind. */
export function customName({ group, version, kind }: GroupVersionKind): string {
  return [...group.split('.').reverse(), version, kind].join('.')
}

export function kindName(definition: ResourceDefinition): string {
  return typeof definition.schema === 'string' ? definition.schema : customName(definition)
}

export function listName(definition: ResourceDefinition): string {
  const { group, version } = definition
  const kind = listKindOf(definition)
  return definitionOf(group, version, kind) ?? customName({ group, version, kind })
}

const listKindOf = (definition: ResourceDefinition): string => definition.listKind ?? `${definition.kind}List`

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.'
const API_VERSION = 'APIVersion defines in which version of the schema this object is written.'
const KIND = 'The REST resource that this object represents.'

/** The definitions of a kind that brings its own schema: the kind and, unless it is built in, its list. */
export function ownDefinitions(definition: ResourceDefinition): Map<string, Schema> {
  const out = new Map<string, Schema>()
  const { group, version, kind, schema } = definition
  const list = listName(definition)
  if (definitionOf(group, version, listKindOf(definition)) === undefined)
    out.set(list, {
      description: `A list of objects of kind ${kind}.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string', description: API_VERSION },
        kind: { type: 'string', description: KIND },
        metadata: { ...refTo(`${META}ListMeta`), description: 'Metadata of the list.' },
        items: { type: 'array', items: refTo(kindName(definition)), description: 'The objects.' },
      },
      'x-kubernetes-group-version-kind': [{ group, version, kind: listKindOf(definition) }],
    })
  if (typeof schema === 'string') return out
  out.set(customName(definition), {
    ...schema,
    type: 'object',
    properties: {
      ...schema.properties,
      apiVersion: { type: 'string', description: API_VERSION },
      kind: { type: 'string', description: KIND },
      metadata: { ...refTo(`${META}ObjectMeta`), description: "Standard object's metadata." },
    },
    'x-kubernetes-group-version-kind': [{ group, version, kind }],
  })
  return out
}

/** `api/v1`, `apis/apps/v1`: how OpenAPI v3 names a group version's document. */
export function documentPath(group: string, version: string): string {
  return group === '' ? `api/${version}` : `apis/${apiVersionOf(group, version)}`
}
