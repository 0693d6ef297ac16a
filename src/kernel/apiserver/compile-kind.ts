import { apiVersionOf, type Json, type KubeObject } from '../api/object.ts'
import { badRequest, type FieldError, invalid } from '../api/status.ts'
import { createFieldManager, type FieldManager } from '../merge/field-manager.ts'
import { compileCustom } from '../resources/custom/index.ts'
import type { ResourceDefinition } from '../resources/definition.ts'
import { loadDefinitions } from '../resources/definitions.ts'
import type { Schema } from '../resources/schema.ts'
import { compileTyped } from '../resources/typed/index.ts'
import { withPlainNumbers } from '../resources/typed/plain-numbers.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from '../resources/validation/meta.ts'
import { resourcePrefix } from './cache/watch-cache.ts'
import type { Kind } from './kind.ts'
import { storedForm } from './stored-form.ts'

/** Everything the verbs need of a kind, compiled once. */
export function compileKind(definition: ResourceDefinition): Kind {
  const schemas = loadDefinitions()
  const schema: Schema = typeof definition.schema === 'string' ? named(definition.schema) : definition.schema
  const apiVersion = apiVersionOf(definition.group, definition.version)
  const custom = definition.custom ? compileCustom(schema, definition) : undefined
  const codec = custom ?? compileTyped(schema, schemas, definition)
  const subresources = new Map((definition.subresources ?? []).map((s) => [s.name, s]))
  const managers = new Map<string, FieldManager>()
  const { strategy } = definition
  const always = (object: KubeObject): FieldError[] => [
    ...(definition.stored === false ? [] : validateObjectMeta(object, definition)),
    ...(strategy?.validate?.(withPlainNumbers(object)) ?? []),
  ]

  return {
    definition,
    apiVersion,
    ...storedForm(definition, apiVersion, custom),
    listKind: definition.listKind ?? `${definition.kind}List`,
    prefix: resourcePrefix(
      definition.view?.of.group ?? definition.group,
      definition.view?.of.plural ?? definition.plural,
    ),
    schema,
    schemas,
    decode: (body, fieldValidation) => {
      const object = topLevel(body, definition, apiVersion)
      return { object, unknown: codec.check(object, fieldValidation !== 'Ignore') }
    },
    applyDefaults: (object) => {
      codec.applyDefaults(object)
      strategy?.defaults?.(object)
    },
    validate: (object) => [...always(object), ...codec.validate(object)],
    validateUpdate: (object, old, context) => [
      ...always(object),
      ...validateObjectMetaUpdate(object, old),
      // A custom schema forgives what was wrong before and has not changed (KEP-4008).
      ...(definition.custom ? codec.validateUpdate(object, old) : codec.validate(object)),
      ...(strategy?.validateUpdate?.(withPlainNumbers(object), withPlainNumbers(old), context) ?? []),
    ],
    fieldManager: (subresource) => {
      let manager = managers.get(subresource)
      if (manager === undefined) {
        manager = createFieldManager({
          schema,
          schemas,
          apiVersion,
          subresource,
          resetFields: resetFields(definition, subresource),
          custom: definition.custom === true,
        })
        managers.set(subresource, manager)
      }
      return manager
    },
    subresource: (name) => subresources.get(name),
  }

  function named(name: string): Schema {
    const found = schemas.get(name)
    if (found === undefined) throw new Error(`schema definition ${name} of ${definition.plural} is missing`)
    return found
  }
}

/** Fields that a write to this (sub)resource cannot change, so that it does not come to own them. */
function resetFields(definition: ResourceDefinition, subresource: string): readonly (readonly string[])[] {
  const own = definition.strategy?.resetFields?.[subresource]
  if (own !== undefined) return own
  const hasStatus = definition.subresources?.some((s) => s.name === 'status') ?? false
  if (subresource === 'status')
    return definition.custom
      ? [
          ['spec'],
          ['metadata', 'labels'],
          ['metadata', 'annotations'],
          ['metadata', 'finalizers'],
          ['metadata', 'ownerReferences'],
        ]
      : [['spec']]
  return hasStatus && subresource === '' ? [['status']] : []
}

/** kind, apiVersion, metadata first; metadata is an object. Throws BadRequest for what can be no object of this kind. */
function topLevel(body: Json, definition: ResourceDefinition, apiVersion: string): KubeObject {
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw badRequest('the object provided is not a JSON object')
  const { kind, apiVersion: given, metadata, ...rest } = body
  if (metadata !== undefined && metadata !== null && (typeof metadata !== 'object' || Array.isArray(metadata)))
    throw badRequest(
      `${definition.kind} in version "${definition.version}" cannot be handled as a ${definition.kind}: json: cannot unmarshal ${Array.isArray(metadata) ? 'array' : typeof metadata} into Go struct field ${definition.kind}.metadata of type v1.ObjectMeta`,
    )
  if (kind !== definition.kind || given !== apiVersion)
    throw badRequest(
      `${definition.kind} in version "${definition.version}" cannot be handled as a ${definition.kind}: the object is ${String(given)} ${String(kind)}`,
    )
  return { kind, apiVersion: given, metadata: metadata ?? {}, ...rest } as KubeObject
}

/** Review kinds are not stored: their spec is validated here. */
export function checkReview(kind: Kind, object: KubeObject): void {
  kind.applyDefaults(object)
  const errors = kind.validate(object)
  if (errors.length > 0) throw invalid(kind.definition.group, kind.definition.kind, object.metadata.name ?? '', errors)
}
