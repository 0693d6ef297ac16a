import type { Json, JsonObject } from '../../api/object.ts'
import type { Schema } from '../../resources/schema.ts'

/**
 * How schemas look in the documents. Built-in definitions carry marks for our own use, and some types are written
 * differently: OpenAPI v2 has no alternatives, v3 allows nothing beside a reference.
 */

export type Version = 'v2' | 'v3'

const PREFIX: Readonly<Record<Version, string>> = { v2: '#/definitions/', v3: '#/components/schemas/' }

export const refIn = (version: Version, name: string): string => PREFIX[version] + name

/** The name that a `$ref` of ours points to. */
export function referenced(ref: string): string {
  return ref.slice(ref.lastIndexOf('/') + 1)
}

/** Names of the definitions that a schema refers to, itself not followed. */
export function referencesOf(schema: Schema, found: Set<string> = new Set()): Set<string> {
  if (schema.$ref !== undefined) found.add(referenced(schema.$ref))
  for (const property of Object.values(schema.properties ?? {})) referencesOf(property, found)
  if (schema.items !== undefined) referencesOf(schema.items, found)
  if (typeof schema.additionalProperties === 'object') referencesOf(schema.additionalProperties, found)
  return found
}

/** `custom`: a structural schema of a custom kind, published as it was given as far as the version can say it. */
export function publish(schema: Schema, version: Version, custom: boolean): JsonObject {
  if (custom) return version === 'v3' ? customV3(schema) : customV2(schema)
  return version === 'v3' ? builtInV3(schema) : builtInV2(schema)
}

const EXTENSIONS = [
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-patch-strategy',
  'x-kubernetes-patch-merge-key',
  'x-kubernetes-group-version-kind',
] as const

function extensions(schema: Schema, out: JsonObject): void {
  for (const name of EXTENSIONS) if (schema[name] !== undefined) out[name] = schema[name] as Json
}

function children(schema: Schema, out: JsonObject, child: (schema: Schema) => JsonObject): void {
  if (schema.required !== undefined) out['required'] = schema.required
  if (schema.properties !== undefined) {
    const properties: JsonObject = {}
    for (const name of Object.keys(schema.properties).sort()) properties[name] = child(schema.properties[name]!)
    out['properties'] = properties
  }
  if (schema.items !== undefined) out['items'] = child(schema.items)
  if (typeof schema.additionalProperties === 'object') out['additionalProperties'] = child(schema.additionalProperties)
  else if (schema.additionalProperties !== undefined) out['additionalProperties'] = schema.additionalProperties
}

function builtInV3(schema: Schema): JsonObject {
  const out: JsonObject = {}
  if (schema.description !== undefined) out['description'] = schema.description
  if (schema.default !== undefined) out['default'] = schema.default
  if (schema.$ref !== undefined) {
    const $ref = refIn('v3', referenced(schema.$ref))
    extensions(schema, out)
    if (Object.keys(out).length === 0) return { $ref }
    return { ...out, allOf: [{ $ref }] }
  }
  if (schema['x-kubernetes-int-or-string'])
    return schema.format === 'quantity'
      ? { ...out, oneOf: [{ type: 'string' }, { type: 'number' }] }
      : { ...out, format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] }
  if (schema.type !== undefined) out['type'] = schema.type
  if (schema.format !== undefined) out['format'] = schema.format
  if (schema.enum !== undefined) out['enum'] = schema.enum
  children(schema, out, builtInV3)
  extensions(schema, out)
  return out
}

function builtInV2(schema: Schema): JsonObject {
  const out: JsonObject = {}
  if (schema.$ref !== undefined) out['$ref'] = refIn('v2', referenced(schema.$ref))
  if (schema.description !== undefined) out['description'] = schema.description
  if (schema['x-kubernetes-int-or-string'])
    return { ...out, type: 'string', ...(schema.format === 'quantity' ? {} : { format: schema.format }) }
  if (schema.type !== undefined) out['type'] = schema.type
  if (schema.format !== undefined) out['format'] = schema.format
  children(schema, out, builtInV2)
  extensions(schema, out)
  return out
}

function customV3(schema: Schema): JsonObject {
  if (schema.$ref !== undefined) return builtInV3(schema)
  const { properties: _p, items: _i, additionalProperties: _a, required: _r, 'x-omit-zero': _o, ...rest } = schema
  const out = { ...rest } as JsonObject
  children(schema, out, customV3)
  return out
}

/**
 * OpenAPI v2 has no nullable and no alternatives, and clients check objects against it before they send them: what it
 * cannot say is left open, as Kubernetes leaves it.
 */
function customV2(schema: Schema): JsonObject {
  if (schema.$ref !== undefined) return builtInV2(schema)
  const out: JsonObject = {}
  if (schema.description !== undefined) out['description'] = schema.description
  extensions(schema, out)
  if (schema['x-kubernetes-preserve-unknown-fields']) out['x-kubernetes-preserve-unknown-fields'] = true
  if (schema['x-kubernetes-int-or-string']) out['x-kubernetes-int-or-string'] = true
  const isTop = schema['x-kubernetes-group-version-kind'] !== undefined
  if (schema['x-kubernetes-int-or-string'] || schema.nullable) return out
  if (schema['x-kubernetes-preserve-unknown-fields'] || schema['x-kubernetes-embedded-resource'])
    return isTop ? { ...out, type: 'object' } : out
  if (schema.type !== undefined) out['type'] = schema.type
  if (schema.format !== undefined) out['format'] = schema.format
  for (const name of ['pattern', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems'] as const)
    if (schema[name] !== undefined) out[name] = schema[name]
  children(schema, out, customV2)
  return out
}
