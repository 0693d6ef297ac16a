import { isDeepStrictEqual } from 'node:util'
import type { Json } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { canonicalJson, isJsonObject } from './json.ts'
import { type Path, pathText } from './validate.ts'

/** Items of lists of type set and map are unique; keys of maps take the default of the item's schema. */

type Check = (value: Json, path: Path | undefined, errors: FieldError[]) => void

const compiled = new WeakMap<Schema, Check | null>()

function checkOf(schema: Schema): Check | undefined {
  const known = compiled.get(schema)
  if (known !== undefined) return known ?? undefined
  const check = compile(schema)
  compiled.set(schema, check ?? null)
  return check
}

function compile(schema: Schema): Check | undefined {
  const { items, properties, additionalProperties } = schema
  const unique = uniqueness(schema)
  const item = items && checkOf(items)
  const fields = new Map<string, Check>()
  for (const name in properties) {
    const check = checkOf(properties[name]!)
    if (check !== undefined) fields.set(name, check)
  }
  const other = typeof additionalProperties === 'object' ? checkOf(additionalProperties) : undefined
  if (unique === undefined && item === undefined && fields.size === 0 && other === undefined) return undefined
  return (value, path, errors) => {
    if (Array.isArray(value)) {
      unique?.(value, path, errors)
      if (item) for (let i = 0; i < value.length; i++) item(value[i]!, { parent: path, key: i }, errors)
    } else if (isJsonObject(value))
      for (const key of Object.keys(value))
        (fields.get(key) ?? (properties && Object.hasOwn(properties, key) ? undefined : other))?.(
          value[key] as Json,
          { parent: path, key },
          errors,
        )
  }
}

function uniqueness(
  schema: Schema,
): ((list: Json[], path: Path | undefined, errors: FieldError[]) => void) | undefined {
  const type = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  if (type !== 'set' && type !== 'map') return undefined
  const identity = (item: Json): Json => {
    if (type === 'set' || !isJsonObject(item)) return item
    const identity: Record<string, Json> = {}
    for (const key of keys) {
      const value = Object.hasOwn(item, key) ? item[key] : schema.items?.properties?.[key]?.default
      if (value !== undefined) identity[key] = value
    }
    return identity
  }
  return (list, path, errors) => {
    const seen = new Set<string>()
    list.forEach((item, i) => {
      const id = identity(item)
      const text = canonicalJson(id)
      if (seen.has(text)) errors.push(fieldError.duplicate(pathText({ parent: path, key: i }), id))
      seen.add(text)
    })
  }
}

export function validateListTypes(schema: Schema, value: Json): FieldError[] {
  const errors: FieldError[] = []
  checkOf(schema)?.(value, undefined, errors)
  return errors
}

/** The item of an older list with the same keys; in lists of other types items cannot be told apart. */
export function counterpart(
  schema: Schema | undefined,
  item: Json | undefined,
  old: Json | undefined,
): Json | undefined {
  if (schema?.['x-kubernetes-list-type'] !== 'map' || !Array.isArray(old) || !isJsonObject(item)) return undefined
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  return old.find((before) => isJsonObject(before) && keys.every((key) => isDeepStrictEqual(before[key], item[key])))
}
