import type { Json, JsonObject, KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError, fieldErrorMessage } from '../../api/status.ts'
import { loadDefinitions } from '../definitions.ts'
import { refTo, type Schema } from '../schema.ts'
import { type Check, CheckContext, compileCheck, DecodeError } from '../typed/check.ts'
import { validateObjectMeta } from '../validation/meta.ts'
import { dns1035Label } from '../validation/names.ts'
import { cloneJson, isJsonObject, setOwn } from './json.ts'

/** apiVersion, kind and metadata inside custom objects: of the object itself and of resources embedded in it. */

export const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

let compiled: Check | undefined

/** Reads a value as Go reads ObjectMeta: what it cannot hold throws DecodeError, null is nothing. In place. */
function decodeObjectMeta(value: Json, context: CheckContext): Json {
  compiled ??= compileCheck(refTo(OBJECT_META), loadDefinitions())
  return value === null ? {} : compiled(value, context)
}

/** What Go would say of metadata that it cannot hold. */
function undecodable(metadata: Json): string | undefined {
  try {
    decodeObjectMeta(cloneJson(metadata), new CheckContext(false))
    return undefined
  } catch (error) {
    if (error instanceof DecodeError) return error.message
    throw error
  }
}

/** Keeps the fields that Go can hold and drops the others, each as a whole. */
function dropUndecodable(metadata: JsonObject): void {
  for (const key of Object.keys(metadata)) {
    const alone: JsonObject = {}
    setOwn(alone, key, metadata[key] as Json)
    try {
      decodeObjectMeta(alone, new CheckContext(false))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      delete alone[key]
    }
    if (Object.hasOwn(alone, key)) setOwn(metadata, key, alone[key] as Json)
    else delete metadata[key]
  }
}

/**
 * 'refuse': wrong types throw DecodeError, as for what a client writes. 'drop': they vanish, as for what lies in the
 * store since a time when it was not checked.
 */
export type WrongTypes = 'refuse' | 'drop'

/**
 * The metadata of a resource as Go's ObjectMeta reads and writes it (apiextensions schemaobjectmeta.GetObjectMeta,
 * SetObjectMeta): types, nulls and zero values. In place; `unknown` takes the fields inside that nobody knows.
 */
export function coerceObjectMeta(resource: JsonObject, path: string, wrong: WrongTypes, unknown?: string[]): void {
  const metadata = resource['metadata']
  if (metadata === undefined) return
  const context = new CheckContext(unknown !== undefined, path)
  try {
    resource['metadata'] = decodeObjectMeta(metadata, context)
    unknown?.push(...(context.unknown ?? []))
  } catch (error) {
    if (!(error instanceof DecodeError) || wrong === 'refuse') throw error
    if (isJsonObject(metadata)) dropUndecodable(metadata)
  }
}

function coerceResource(resource: JsonObject, path: string, wrong: WrongTypes, unknown?: string[]): void {
  for (const field of ['apiVersion', 'kind']) {
    const value = resource[field]
    if (value === undefined || typeof value === 'string') continue
    if (wrong === 'refuse')
      throw new DecodeError(fieldErrorMessage(fieldError.invalid(`${path}.${field}`, value, 'must be a string')))
    delete resource[field]
  }
  try {
    coerceObjectMeta(resource, `${path}.metadata`, wrong, unknown)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    const { message } = error
    throw new DecodeError(fieldErrorMessage(fieldError.invalid(`${path}.metadata`, resource['metadata'], message)))
  }
}

/** Coerces the metadata of every resource that `value` embeds, itself included when its schema says so. In place. */
export function coerceEmbedded(
  value: Json | undefined,
  schema: Schema,
  path: string,
  wrong: WrongTypes,
  unknown?: string[],
): void {
  const node = nodeOf(schema)
  if ((!node.embedded && !node.below) || typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    const { items } = schema
    if (items) value.forEach((item, i) => void coerceEmbedded(item, items, `${path}[${i}]`, wrong, unknown))
    return
  }
  if (node.embedded) coerceResource(value, path, wrong, unknown)
  if (!node.below) return
  for (const key of Object.keys(value)) {
    const next = schemaOfField(schema, key)
    if (next) coerceEmbedded(value[key], next, path === '' ? key : `${path}.${key}`, wrong, unknown)
  }
}

function schemaOfField({ properties, additionalProperties }: Schema, key: string): Schema | undefined {
  if (properties !== undefined && Object.hasOwn(properties, key)) return properties[key]
  return typeof additionalProperties === 'object' ? additionalProperties : undefined
}

let fields: ReadonlySet<string> | undefined

/** Fields of metadata that ObjectMeta does not have. */
export function pruneObjectMeta(
  metadata: Json | undefined,
  path: string,
  found: (holder: JsonObject, key: string, path: string) => void,
): void {
  if (!isJsonObject(metadata)) return
  fields ??= new Set(Object.keys(loadDefinitions().get(OBJECT_META)?.properties ?? {}))
  for (const key of Object.keys(metadata)) if (!fields.has(key)) found(metadata, key, `${path}.${key}`)
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
  // What clients write is coerced before; defaults of the schema are not.
  const wrong = undecodable(metadata)
  if (wrong !== undefined) return [...errors, fieldError.invalid(at('metadata'), metadata, wrong)]
  return [...errors, ...validateMeta(metadata as JsonObject, at('metadata'))]
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
  for (const key of Object.keys(value)) {
    const next = schemaOfField(schema, key)
    if (next) errors.push(...validateEmbedded(value[key], next, path === '' ? key : `${path}.${key}`))
  }
  return errors
}
