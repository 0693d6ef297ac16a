import type { Json } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { validateEmbedded } from './object-meta.ts'
import { hasUnknownFields } from './prune.ts'
import { validateValue } from './validate.ts'

/** What a version's schema must satisfy beside being structural (apiextensions validation, texts of 1.32). */

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string']
const META_FIELDS = new Set(['apiVersion', 'kind', 'metadata'])

type Context = {
  root: boolean
  /** Inside apiVersion, kind or metadata of a whole object. */
  meta: boolean
  /** Why there may be no defaults here; undefined: there may be. */
  noDefaults: string | undefined
}

export function validateSchemaRules(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = []
  walk(schema, path, { root: true, meta: false, noDefaults: undefined }, errors)
  return errors
}

function walk(schema: Schema, path: string, context: Context, errors: FieldError[]): void {
  keywords(schema, path, context, errors)
  const inside: Context = { ...context, root: false }
  const { additionalProperties, properties } = schema
  if (additionalProperties !== undefined) {
    if (Object.keys(properties ?? {}).length > 0 && additionalProperties !== true)
      errors.push(
        fieldError.forbidden(
          `${path}.additionalProperties`,
          'additionalProperties and properties are mutual exclusive',
        ),
      )
    if (typeof additionalProperties === 'object')
      walk(
        additionalProperties,
        `${path}.additionalProperties`,
        context.meta ? { ...inside, noDefaults: 'inside additionalProperties applying to object metadata' } : inside,
        errors,
      )
  }
  for (const name in properties) {
    const isMeta = (context.root || schema['x-kubernetes-embedded-resource'] === true) && META_FIELDS.has(name)
    const noDefaults = isMeta && context.root ? `in top-level ${name}` : context.noDefaults
    walk(
      properties[name]!,
      `${path}.properties[${name}]`,
      { root: false, meta: context.meta || isMeta, noDefaults },
      errors,
    )
  }
  if (schema.not) walk(schema.not, `${path}.not`, inside, errors)
  for (const junctor of ['allOf', 'oneOf', 'anyOf'] as const)
    schema[junctor]?.forEach((s, i) => {
      walk(s, `${path}.${junctor}[${i}]`, inside, errors)
    })
  if (schema.items) walk(schema.items, `${path}.items`, inside, errors)
  listAndMapTypes(schema, path, errors)
}

function keywords(schema: Schema, path: string, context: Context, errors: FieldError[]): void {
  const type: string | undefined = schema.type
  if (type === 'null')
    errors.push(fieldError.forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'))
  else if (type && !TYPES.includes(type)) errors.push(fieldError.notSupported(`${path}.type`, type, TYPES))
  if (schema.default !== undefined && context.noDefaults !== undefined)
    errors.push(fieldError.forbidden(`${path}.default`, `must not be set ${context.noDefaults}`))
  if (context.meta && schema['x-kubernetes-embedded-resource'])
    errors.push(
      fieldError.forbidden(`${path}.x-kubernetes-embedded-resource`, 'must not be used inside of resource meta'),
    )
  if (schema.uniqueItems)
    errors.push(
      fieldError.forbidden(
        `${path}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    )
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    errors.push(fieldError.invalid(`${path}.x-kubernetes-preserve-unknown-fields`, false, 'must be true or undefined'))
}

/** `type` where another keyword demands one. */
function demandType(schema: Schema, wanted: string, detail: string, path: string, errors: FieldError[]): void {
  if (schema.type === wanted) return
  errors.push(
    schema.type ? fieldError.invalid(`${path}.type`, schema.type, detail) : fieldError.required(`${path}.type`, detail),
  )
}

function listAndMapTypes(schema: Schema, path: string, errors: FieldError[]): void {
  const mapType: string | undefined = schema['x-kubernetes-map-type']
  const listType: string | undefined = schema['x-kubernetes-list-type']
  if (mapType !== undefined) {
    demandType(schema, 'object', 'must be object if x-kubernetes-map-type is specified', path, errors)
    if (mapType !== 'atomic' && mapType !== 'granular')
      errors.push(fieldError.notSupported(`${path}.x-kubernetes-map-type`, mapType, ['atomic', 'granular']))
  }
  if (listType !== undefined) {
    demandType(schema, 'array', 'must be array if x-kubernetes-list-type is specified', path, errors)
    if (listType !== 'atomic' && listType !== 'set' && listType !== 'map')
      errors.push(fieldError.notSupported(`${path}.x-kubernetes-list-type`, listType, ['atomic', 'set', 'map']))
  }
  if (schema.type === 'array' && listType === 'set' && schema.items) setItems(schema.items, `${path}.items`, errors)
  if (schema['x-kubernetes-list-map-keys']?.length && listType !== 'map') {
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty'
    errors.push(
      listType === undefined
        ? fieldError.required(`${path}.x-kubernetes-list-type`, detail)
        : fieldError.invalid(`${path}.x-kubernetes-list-type`, listType, detail),
    )
  }
  if ((listType === 'set' || listType === 'map') && schema.items?.nullable)
    errors.push(
      fieldError.forbidden(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`),
    )
  if (listType === 'map') mapList(schema, path, errors)
}

function setItems(items: Schema, path: string, errors: FieldError[]): void {
  const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set'
  const listType = items['x-kubernetes-list-type']
  const mapType = items['x-kubernetes-map-type']
  if (items.type === 'array' && listType !== undefined && listType !== 'atomic')
    errors.push(fieldError.invalid(`${path}.x-kubernetes-list-type`, listType, detail))
  if (items.type === 'object' && mapType !== 'atomic')
    errors.push(fieldError.invalid(`${path}.x-kubernetes-map-type`, mapType ?? null, detail))
}

function mapList(schema: Schema, path: string, errors: FieldError[]): void {
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  const keysPath = `${path}.x-kubernetes-list-map-keys`
  const { items } = schema
  if (keys.length === 0)
    errors.push(fieldError.required(keysPath, 'must not be empty if x-kubernetes-list-type is map'))
  if (items === undefined) {
    errors.push(fieldError.required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map'))
    return
  }
  if (items.type !== 'object') {
    errors.push(
      fieldError.invalid(
        `${path}.items.type`,
        items.type ?? '',
        "must be object if parent array's x-kubernetes-list-type is map",
      ),
    )
    return
  }
  keys.forEach((key, i) => {
    const property = items.properties?.[key]
    const at = `${path}.items.properties[${key}]`
    if (keys.indexOf(key) < i) errors.push(fieldError.invalid(keysPath, keys, 'must not contain duplicate entries'))
    if (property === undefined) {
      errors.push(fieldError.invalid(keysPath, keys, 'entries must all be names of item properties'))
      return
    }
    if (property.type === 'array' || property.type === 'object')
      errors.push(
        fieldError.invalid(
          `${at}.type`,
          items.type,
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
      )
    if (!items.required?.includes(key) && property.default === undefined)
      errors.push(
        fieldError.required(
          `${at}.default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        ),
      )
    if (property.nullable)
      errors.push(
        fieldError.forbidden(
          `${at}.nullable`,
          'this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
        ),
      )
  })
}

/** Defaults are pruned and valid by their own schema. */
export function validateDefaults(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = []
  const value: Json | undefined = schema.default
  if (value !== undefined) {
    const at = `${path}.default`
    if (hasUnknownFields(value, schema)) errors.push(fieldError.invalid(at, value, 'must not have unknown fields'))
    errors.push(...validateEmbedded(value, schema, at), ...validateValue(schema, value, at))
  }
  if (schema.items) errors.push(...validateDefaults(schema.items, `${path}.items`))
  for (const name in schema.properties)
    errors.push(...validateDefaults(schema.properties[name]!, `${path}.properties[${name}]`))
  return errors
}

/** `unrecognized format` warnings of a schema, as Kubernetes sends them on create and update. */
export function formatWarnings(schema: Schema, path: string, isKnown: (format: string) => boolean): string[] {
  const own =
    schema.format && !isKnown(schema.format)
      ? [`${path}.format: unrecognized format ${JSON.stringify(schema.format)}`]
      : []
  const children: [Schema, string][] = Object.entries(schema.properties ?? {}).map(([name, s]) => [
    s,
    `${path}.properties[${name}]`,
  ])
  if (schema.items) children.push([schema.items, `${path}.items`])
  if (typeof schema.additionalProperties === 'object')
    children.push([schema.additionalProperties, `${path}.additionalProperties`])
  return own.concat(children.flatMap(([s, at]) => formatWarnings(s, at, isKnown)))
}
