import type { Json, JsonObject, KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { validateObjectMeta } from '../validation/meta.ts'
import { dns1035Label } from '../validation/names.ts'
import { isJsonObject } from './json.ts'

/** apiVersion, kind and metadata inside custom objects: of the object itself and of resources embedded in it. */

const isString = (value: unknown): boolean => typeof value === 'string'
const isInteger = (value: unknown): boolean => Number.isInteger(value)
const isStringMap = (value: unknown): boolean => isJsonObject(value) && Object.values(value).every(isString)
const isObjectList = (value: unknown): boolean => Array.isArray(value) && value.every(isJsonObject)

/** Fields of ObjectMeta and the JSON that they take. */
const FIELDS: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ['name', isString],
  ['generateName', isString],
  ['namespace', isString],
  ['selfLink', isString],
  ['uid', isString],
  ['resourceVersion', isString],
  ['generation', isInteger],
  ['creationTimestamp', isString],
  ['deletionTimestamp', isString],
  ['deletionGracePeriodSeconds', isInteger],
  ['labels', isStringMap],
  ['annotations', isStringMap],
  ['ownerReferences', isObjectList],
  ['finalizers', (value) => Array.isArray(value) && value.every(isString)],
  ['managedFields', isObjectList],
])

export function pruneObjectMeta(
  metadata: Json | undefined,
  path: string,
  found: (holder: JsonObject, key: string, path: string) => void,
): void {
  if (!isJsonObject(metadata)) return
  for (const key of Object.keys(metadata)) if (!FIELDS.has(key)) found(metadata, key, `${path}.${key}`)
}

function validateTypes(metadata: JsonObject, path: string): FieldError[] {
  return Object.keys(metadata).flatMap((key) => {
    const value = metadata[key]
    const check = FIELDS.get(key)
    return check === undefined || value === null || check(value)
      ? []
      : [fieldError.invalid(`${path}.${key}`, value, 'has the wrong type for this field of metadata')]
  })
}

/** A resource inside another: it names its kind, and its metadata follows the rules of any metadata. */
function validateResource(resource: JsonObject, path: string): FieldError[] {
  const at = (field: string): string => (path === '' ? field : `${path}.${field}`)
  const { apiVersion, kind, metadata } = resource
  const errors: FieldError[] = []
  if (typeof apiVersion !== 'string' || apiVersion === '')
    errors.push(fieldError.required(at('apiVersion'), 'must not be empty'))
  else if (apiVersion.split('/').length > 2)
    errors.push(fieldError.invalid(at('apiVersion'), apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  if (typeof kind !== 'string' || kind === '') errors.push(fieldError.required(at('kind'), 'must not be empty'))
  else
    for (const message of dns1035Label(kind.toLowerCase()))
      errors.push(fieldError.invalid(at('kind'), kind, `may have mixed case, but should otherwise match: ${message}`))
  if (metadata === undefined || metadata === null) return errors
  if (!isJsonObject(metadata)) return [...errors, fieldError.invalid(at('metadata'), metadata, 'must be an object')]
  const wrong = validateTypes(metadata, at('metadata'))
  return [...errors, ...(wrong.length > 0 ? wrong : validateMeta(metadata, at('metadata')))]
}

function validateMeta(metadata: JsonObject, path: string): FieldError[] {
  // An embedded resource may be a template: it needs neither a name nor a namespace.
  const named = { name: 'x', ...metadata }
  const object = { apiVersion: 'v1', kind: 'X', metadata: named } as unknown as KubeObject
  const namespaced = typeof metadata['namespace'] === 'string' && metadata['namespace'] !== ''
  return validateObjectMeta(object, { namespaced, custom: true, strategy: { nameFormat: 'path-segment' } }).map(
    (error) => ({ ...error, field: error.field.replace(/^metadata/, path) }),
  )
}

type Node = { embedded: boolean; below: boolean; schema: Schema }
const nodes = new WeakMap<Schema, Node>()

/** Whether a schema embeds resources at all: most do not, and then nothing is walked. */
function nodeOf(schema: Schema): Node {
  const known = nodes.get(schema)
  if (known !== undefined) return known
  const embedded = schema['x-kubernetes-embedded-resource'] === true
  const children = [
    ...Object.values(schema.properties ?? {}),
    ...(schema.items ? [schema.items] : []),
    ...(typeof schema.additionalProperties === 'object' ? [schema.additionalProperties] : []),
  ]
  const node = { embedded, below: children.map(nodeOf).some((n) => n.embedded || n.below), schema }
  nodes.set(schema, node)
  return node
}

/** Errors in the resources that `value` embeds, itself included when its schema says so. */
export function validateEmbedded(value: Json | undefined, schema: Schema, path: string): FieldError[] {
  const node = nodeOf(schema)
  if ((!node.embedded && !node.below) || typeof value !== 'object' || value === null) return []
  if (Array.isArray(value)) {
    const { items } = schema
    return items ? value.flatMap((item, i) => validateEmbedded(item, items, `${path}[${i}]`)) : []
  }
  const errors = node.embedded ? validateResource(value, path) : []
  if (!node.below) return errors
  const { properties, additionalProperties } = schema
  for (const key of Object.keys(value)) {
    const next =
      properties !== undefined && Object.hasOwn(properties, key)
        ? properties[key]
        : typeof additionalProperties === 'object'
          ? additionalProperties
          : undefined
    if (next) errors.push(...validateEmbedded(value[key], next, path === '' ? key : `${path}.${key}`))
  }
  return errors
}
