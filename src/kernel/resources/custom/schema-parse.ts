import type { Json, JsonObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { isJsonObject, setOwn } from './json.ts'
import { MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES } from './limits.ts'

/**
 * Turns the JSON of an openAPIV3Schema into a Schema whose keywords all have the right types; null keywords and
 * unknown ones are left out, as Kubernetes' decoder does. Keywords that no version-1 definition may use are errors.
 */

const STRINGS = ['description', 'type', 'format', 'title', 'pattern', 'x-kubernetes-list-type', 'x-kubernetes-map-type']
const NUMBERS = ['maximum', 'minimum', 'multipleOf']
const INTEGERS = ['maxLength', 'minLength', 'maxItems', 'minItems', 'maxProperties', 'minProperties']
const BOOLEANS = [
  'exclusiveMaximum',
  'exclusiveMinimum',
  'uniqueItems',
  'nullable',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
]
const STRING_LISTS = ['required', 'x-kubernetes-list-map-keys']
const SCHEMA_LISTS = ['allOf', 'anyOf', 'oneOf'] as const

type Check = { what: string; holds: (value: Json) => boolean }
const KEYWORDS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ...STRINGS.map((k): [string, Check] => [k, { what: 'a string', holds: (v) => typeof v === 'string' }]),
  ...NUMBERS.map((k): [string, Check] => [k, { what: 'a number', holds: (v) => typeof v === 'number' }]),
  ...INTEGERS.map((k): [string, Check] => [k, { what: 'an integer', holds: (v) => Number.isSafeInteger(v) }]),
  ...BOOLEANS.map((k): [string, Check] => [k, { what: 'a boolean', holds: (v) => typeof v === 'boolean' }]),
  ...STRING_LISTS.map((k): [string, Check] => [
    k,
    { what: 'a list of strings', holds: (v) => Array.isArray(v) && v.every((e) => typeof e === 'string') },
  ]),
  ['enum', { what: 'a list', holds: (v) => Array.isArray(v) }],
  ['default', { what: 'a value', holds: () => true }],
  ['example', { what: 'a value', holds: () => true }],
])

/** Keywords that Kubernetes refuses where they are not empty, with its words for it. */
const REFUSED: Readonly<Record<string, string>> = {
  id: 'id is not supported',
  additionalItems: 'additionalItems is not supported',
  patternProperties: 'patternProperties is not supported',
  definitions: 'definitions is not supported',
  dependencies: 'dependencies is not supported',
  $ref: '$ref is not supported',
}

export type ParsedSchema = { schema: Schema; errors: FieldError[] }

export function parseSchema(raw: unknown, path: string): ParsedSchema {
  const parser = new Parser()
  const schema = parser.parse(raw, path, 1)
  return { schema, errors: parser.errors }
}

class Parser {
  readonly errors: FieldError[] = []
  #nodes = 0

  parse(raw: unknown, path: string, depth: number): Schema {
    const schema: Schema = {}
    if (!isJsonObject(raw)) {
      this.errors.push(fieldError.typeInvalid(path, raw, 'must be an object'))
      return schema
    }
    if (depth > MAX_SCHEMA_DEPTH) {
      this.errors.push(fieldError.forbidden(path, `schema is nested more than ${MAX_SCHEMA_DEPTH} levels deep`))
      return schema
    }
    if (++this.#nodes > MAX_SCHEMA_NODES) {
      if (this.#nodes === MAX_SCHEMA_NODES + 1)
        this.errors.push(fieldError.forbidden(path, `schema has more than ${MAX_SCHEMA_NODES} parts`))
      return schema
    }
    this.#keywords(raw, schema, path)
    this.#subschemas(raw, schema, path, depth + 1)
    this.#rules(raw['x-kubernetes-validations'], schema, `${path}.x-kubernetes-validations`)
    return schema
  }

  #keywords(raw: JsonObject, schema: Schema, path: string): void {
    for (const key of Object.keys(raw)) {
      const value = raw[key]
      if (value === null || value === undefined) continue
      const check = KEYWORDS.get(key)
      if (check?.holds(value)) setOwn(schema as JsonObject, key, value)
      else if (check !== undefined)
        this.errors.push(fieldError.typeInvalid(`${path}.${key}`, value, `must be ${check.what}`))
      else if (Object.hasOwn(REFUSED, key) && !isEmpty(value))
        this.errors.push(fieldError.forbidden(`${path}.${key}`, REFUSED[key]!))
    }
  }

  #subschemas(raw: JsonObject, schema: Schema, path: string, depth: number): void {
    const { properties, additionalProperties, items, not } = raw
    if (isJsonObject(properties)) {
      schema.properties = Object.create(null) as Record<string, Schema>
      for (const name of Object.keys(properties))
        schema.properties[name] = this.parse(properties[name], `${path}.properties[${name}]`, depth)
    } else if (properties !== undefined && properties !== null)
      this.errors.push(fieldError.typeInvalid(`${path}.properties`, properties, 'must be an object'))
    if (typeof additionalProperties === 'boolean') schema.additionalProperties = additionalProperties
    else if (additionalProperties !== undefined && additionalProperties !== null)
      schema.additionalProperties = this.parse(additionalProperties, `${path}.additionalProperties`, depth)
    if (Array.isArray(items))
      this.errors.push(fieldError.forbidden(`${path}.items`, 'items must be a schema object and not an array'))
    else if (items !== undefined && items !== null) schema.items = this.parse(items, `${path}.items`, depth)
    if (not !== undefined && not !== null) schema.not = this.parse(not, `${path}.not`, depth)
    for (const key of SCHEMA_LISTS) {
      const list = raw[key]
      if (Array.isArray(list)) {
        if (list.length > 0) schema[key] = list.map((s, i) => this.parse(s, `${path}.${key}[${i}]`, depth))
      } else if (list !== undefined && list !== null)
        this.errors.push(fieldError.typeInvalid(`${path}.${key}`, list, 'must be a list'))
    }
  }

  #rules(raw: Json | undefined, schema: Schema, path: string): void {
    if (raw === undefined || raw === null) return
    if (!Array.isArray(raw)) {
      this.errors.push(fieldError.typeInvalid(path, raw, 'must be a list'))
      return
    }
    const before = this.errors.length
    raw.forEach((rule, i) => {
      if (!isJsonObject(rule)) this.errors.push(fieldError.typeInvalid(`${path}[${i}]`, rule, 'must be an object'))
      else
        for (const key of Object.keys(rule)) {
          const value = rule[key]
          const type = key === 'optionalOldSelf' ? 'boolean' : 'string'
          if (value !== null && typeof value !== type)
            this.errors.push(fieldError.typeInvalid(`${path}[${i}].${key}`, value, `must be a ${type}`))
        }
    })
    if (raw.length > 0 && this.errors.length === before)
      schema['x-kubernetes-validations'] = raw as NonNullable<Schema['x-kubernetes-validations']>
  }
}

function isEmpty(value: Json): boolean {
  return value === '' || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
}
