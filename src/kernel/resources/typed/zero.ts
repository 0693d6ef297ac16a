import type { Json } from '../../api/object.ts'
import type { Schema } from '../schema.ts'

/** Whether Go's JSON of a built-in kind leaves the field out when it is zero; see `x-omit-zero` of Schema. */
export function omitsZero(schema: Schema): boolean {
  if (schema['x-omit-zero'] !== undefined) return schema['x-omit-zero']
  // A field with a zero default is one that Go always writes; with another default, an empty string asks for that.
  if (schema.default !== undefined) return schema.type === 'string' && schema.default !== ''
  return schema.type === 'string' || schema.type === 'array' || schema.additionalProperties !== undefined
}

/** Go's zero value of a scalar, and the empty list. */
export function isZero(value: Json | undefined): boolean {
  return value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0)
}

export function isEmptyMap(value: Json): boolean {
  for (const _ in value as object) return false
  return true
}

/** What Go decodes null to inside a list or map, where it cannot be left out. */
export function zeroOf(schema: Schema): Json {
  switch (schema.type) {
    case 'string':
      return ''
    case 'boolean':
      return false
    case 'integer':
    case 'number':
      return 0
    case 'object':
      return {}
    case 'array':
      return []
    default:
      return schema['x-kubernetes-int-or-string'] ? 0 : null
  }
}
