import type { Json, JsonObject } from '../../api/object.ts'
import type { Schema } from '../schema.ts'
import { cloneJson, setOwn } from './json.ts'

/**
 * Defaults of structural schemas. A null where null is not allowed counts as absent: it is replaced by the default, or
 * removed when there is none. In lists and in maps of other names it is replaced, and kept where there is no default
 * (validation refuses it then).
 */

type Fill = (value: Json) => void

const compiled = new WeakMap<Schema, Fill | null>()

/** Null when there is nothing to do for values of this schema. */
function fillOf(schema: Schema): Fill | undefined {
  const known = compiled.get(schema)
  if (known !== undefined) return known ?? undefined
  const fills = [objectFill(schema), arrayFill(schema)].filter((f) => f !== undefined)
  const fill: Fill | null =
    fills.length === 0
      ? null
      : (value) => {
          for (const f of fills) f(value)
        }
  compiled.set(schema, fill)
  return fill ?? undefined
}

type Field = { name: string; default: Json | undefined; nullable: boolean; fill: Fill | undefined }

function objectFill(schema: Schema): Fill | undefined {
  const fields: Field[] = Object.entries(schema.properties ?? {}).map(([name, s]) => ({
    name,
    default: s.default,
    nullable: s.nullable === true,
    fill: fillOf(s),
  }))
  const others = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined
  const known = new Set(fields.map((f) => f.name))
  const fillOther = others && mapFill(others, known)
  if (fields.length === 0 && fillOther === undefined) return undefined
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    for (const field of fields) fillField(value, field)
    fillOther?.(value)
  }
}

function fillField(object: JsonObject, field: Field): void {
  const { name } = field
  const present = Object.hasOwn(object, name) && object[name] !== undefined
  if (!present || (object[name] === null && !field.nullable)) {
    if (field.default !== undefined) setOwn(object, name, cloneJson(field.default))
    else if (present) delete object[name]
  }
  if (field.fill !== undefined && Object.hasOwn(object, name)) field.fill(object[name] as Json)
}

function mapFill(schema: Schema, known: ReadonlySet<string>): (object: JsonObject) => void {
  const fill = fillOf(schema)
  return (object) => {
    for (const key of Object.keys(object)) {
      if (known.has(key)) continue
      if (object[key] === null && !schema.nullable && schema.default !== undefined)
        setOwn(object, key, cloneJson(schema.default))
      fill?.(object[key] as Json)
    }
  }
}

function arrayFill({ items }: Schema): Fill | undefined {
  if (items === undefined) return undefined
  const fill = fillOf(items)
  const replacement = items.nullable ? undefined : items.default
  if (fill === undefined && replacement === undefined) return undefined
  return (value) => {
    if (!Array.isArray(value)) return
    for (let i = 0; i < value.length; i++) {
      if (value[i] === null && replacement !== undefined) value[i] = cloneJson(replacement)
      fill?.(value[i]!)
    }
  }
}

/** Fills in defaults. In place. apiVersion, kind and metadata have none. */
export function defaultCustom(object: JsonObject, schema: Schema): void {
  fillOf(schema)?.(object)
}
