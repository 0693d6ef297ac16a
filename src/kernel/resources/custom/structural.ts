import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { compilePattern } from './pattern.ts'

/**
 * Structural schemas: the shape of the object stands outside of allOf, anyOf, oneOf and not; what stands inside them
 * only restricts values (KEP 20190425-structural-openapi).
 */

type Level = 'root' | 'item' | 'field'

const JUNCTORS = ['allOf', 'anyOf', 'oneOf'] as const

/** Errors sorted by their text, as Kubernetes sorts them. */
export function validateStructural(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = []
  invariants(schema, 'root', path, errors)
  completeness(schema, path, errors)
  return errors
    .map((error) => ({ error, text: `${error.field}: ${error.detail}` }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ error }) => error)
}

const nestedSchemas = (schema: Schema): Schema | undefined =>
  typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined

function invariants(schema: Schema, level: Level, path: string, errors: FieldError[]): void {
  if (schema.type === 'array' && schema.items === undefined)
    errors.push(fieldError.required(`${path}.items`, 'must be specified'))
  if (schema.items !== undefined) invariants(schema.items, 'item', `${path}.items`, errors)
  for (const name in schema.properties)
    invariants(schema.properties[name]!, 'field', `${path}.properties[${name}]`, errors)
  if (schema.additionalProperties !== undefined && level === 'root')
    errors.push(fieldError.forbidden(`${path}.additionalProperties`, 'must not be used at the root'))
  const values = nestedSchemas(schema)
  if (values !== undefined) invariants(values, 'field', `${path}.additionalProperties`, errors)
  extensions(schema, path, errors)
  valueValidation(schema, isIntOrString(schema), isIntOrString(schema.allOf?.[0]), path, errors)
  types(schema, level, path, errors)
  metaFields(schema, level, path, errors)
}

function extensions(schema: Schema, path: string, errors: FieldError[]): void {
  if (!schema['x-kubernetes-int-or-string']) return
  for (const key of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const)
    if (schema[key])
      errors.push(fieldError.invalid(`${path}.${key}`, true, 'must be false if x-kubernetes-int-or-string is true'))
}

/** `anyOf: [{type: integer}, {type: string}]`: the one place where a junctor may name types. */
function isIntOrString(schema: Schema | undefined): boolean {
  const only = (s: Schema | undefined, type: string): boolean =>
    s !== undefined && s.type === type && Object.keys(s).length === 1
  return schema?.anyOf?.length === 2 && only(schema.anyOf[0], 'integer') && only(schema.anyOf[1], 'string')
}

const MISSING_TYPE: Record<Level, string> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
}

function types(schema: Schema, level: Level, path: string, errors: FieldError[]): void {
  const { type } = schema
  const embedded = schema['x-kubernetes-embedded-resource'] === true
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true
  if (embedded && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true'
    errors.push(type ? fieldError.invalid(`${path}.type`, type, detail) : fieldError.required(`${path}.type`, detail))
  } else if (!type && !schema['x-kubernetes-int-or-string'] && !open)
    errors.push(fieldError.required(`${path}.type`, MISSING_TYPE[level]))
  if (embedded && schema.additionalProperties !== undefined)
    errors.push(
      fieldError.forbidden(`${path}.additionalProperties`, 'must not be used if x-kubernetes-embedded-resource is set'),
    )
  if (level === 'root' && type && type !== 'object')
    errors.push(fieldError.invalid(`${path}.type`, type, 'must be object at the root'))
  if (embedded && !open && Object.keys(schema.properties ?? {}).length === 0)
    errors.push(
      fieldError.required(
        `${path}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    )
}

/** apiVersion, kind and metadata of whole objects are implied: a schema may only restrict names. */
function metaFields(schema: Schema, level: Level, path: string, errors: FieldError[]): void {
  const isResource = level === 'root' || schema['x-kubernetes-embedded-resource'] === true
  const { apiVersion, kind, metadata } = schema.properties ?? {}
  const at = (name: string): string => `${path}.properties[${name}]`
  if (isResource) {
    if (kind !== undefined && kind.type !== 'string')
      errors.push(fieldError.invalid(`${at('kind')}.type`, kind.type ?? '', 'must be string'))
    if (apiVersion !== undefined && apiVersion.type !== 'string')
      errors.push(fieldError.invalid(`${at('apiVersion')}.type`, apiVersion.type ?? '', 'must be string'))
    if (metadata !== undefined && metadata.type !== 'object')
      errors.push(fieldError.invalid(`${at('metadata')}.type`, metadata.type ?? '', 'must be object'))
  }
  if (level === 'root' && metadata !== undefined && !onlyRestrictsNames(metadata))
    errors.push(
      fieldError.forbidden(
        at('metadata'),
        'must not specify anything other than name and generateName, but metadata is implicitly specified',
      ),
    )
}

function onlyRestrictsNames(metadata: Schema): boolean {
  return Object.keys(metadata).every((key) => {
    if (key !== 'properties') return key === 'type' || key === 'default'
    return Object.keys(metadata.properties ?? {}).every((name) => name === 'name' || name === 'generateName')
  })
}

function valueValidation(
  schema: Schema,
  skipAnyOf: boolean,
  skipFirstAllOf: boolean,
  path: string,
  errors: FieldError[],
): void {
  for (const junctor of JUNCTORS)
    schema[junctor]?.forEach((nested, i) => {
      if (junctor === 'anyOf' && skipAnyOf) return
      restriction(nested, junctor === 'allOf' && i === 0 && skipFirstAllOf, `${path}.${junctor}[${i}]`, errors)
    })
  if (schema.not !== undefined) restriction(schema.not, false, `${path}.not`, errors)
  if (!schema.pattern) return
  const compiled = compilePattern(schema.pattern)
  if ('error' in compiled)
    errors.push(
      fieldError.invalid(
        `${path}.pattern`,
        schema.pattern,
        `must be a valid regular expression, but isn't: ${compiled.error}`,
      ),
    )
}

/** Keywords that shape an object and so may not stand inside a junctor, with Kubernetes' words. */
const SHAPING: readonly (readonly [keyof Schema, string])[] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
]

function restriction(schema: Schema, skipAnyOf: boolean, path: string, errors: FieldError[]): void {
  valueValidation(schema, skipAnyOf, false, path, errors)
  if (schema.items !== undefined) restriction(schema.items, false, `${path}.items`, errors)
  for (const name in schema.properties)
    restriction(schema.properties[name]!, false, `${path}.properties[${name}]`, errors)
  for (const [key, detail] of SHAPING) {
    const value = schema[key]
    const empty =
      value === undefined ||
      (key !== 'default' && key !== 'additionalProperties' && (value === '' || value === false)) ||
      (key === 'x-kubernetes-list-map-keys' && (value as string[]).length === 0)
    if (!empty) errors.push(fieldError.forbidden(`${path}.${key}`, detail))
  }
  if (schema.properties?.['metadata'] !== undefined)
    errors.push(fieldError.forbidden(`${path}.properties[metadata]`, 'must not be specified in a nested context'))
}

/** Every field that a junctor restricts must be there in the shape. */
function completeness(schema: Schema, path: string, errors: FieldError[]): void {
  covered(schema, schema, path, path, errors)
  if (schema.items !== undefined) completeness(schema.items, `${path}.items`, errors)
  const values = nestedSchemas(schema)
  if (values !== undefined) completeness(values, `${path}.additionalProperties`, errors)
  for (const name in schema.properties) completeness(schema.properties[name]!, `${path}.properties[${name}]`, errors)
}

function covered(nested: Schema, shape: Schema, shapePath: string, path: string, errors: FieldError[]): void {
  for (const junctor of JUNCTORS)
    nested[junctor]?.forEach((s, i) => {
      restrictionCovered(s, shape, shapePath, `${path}.${junctor}[${i}]`, errors)
    })
  if (nested.not !== undefined) restrictionCovered(nested.not, shape, shapePath, `${path}.not`, errors)
}

function restrictionCovered(
  nested: Schema,
  shape: Schema | undefined,
  shapePath: string,
  path: string,
  errors: FieldError[],
): void {
  if (shape === undefined) {
    errors.push(fieldError.required(shapePath, `because it is defined in ${path}`))
    return
  }
  covered(nested, shape, shapePath, path, errors)
  if (nested.items !== undefined)
    restrictionCovered(nested.items, shape.items, `${shapePath}.items`, `${path}.items`, errors)
  for (const name in nested.properties)
    restrictionCovered(
      nested.properties[name]!,
      shape.properties?.[name],
      `${shapePath}.properties[${name}]`,
      `${path}.properties[${name}]`,
      errors,
    )
}
