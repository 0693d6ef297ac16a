import type { Json } from '../../api/object.ts'
import type { Schema } from '../schema.ts'

/** Whether Go's JSON of a built-in kind leaves the field out when it is zero; see `x-omit-zero` of Schema. */
export function omitsZero(schema: Schema): boolean {
  if (schema['x-omit-zero'] !== undefined) return schema['x-omit-zero']
  // A field with a zero default is one that Go always writes.
  if (schema.default !== undefined) return false
  return schema.type === 'string' || schema.type === 'array' || schema.additionalProperties !== undefined
}

/** Go's zero value, as far as `omitempty` looks: structs are never empty. */
export function isZero(value: Json | undefined): boolean {
  return value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0)
}
