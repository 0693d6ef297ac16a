import type { Json, JsonObject } from '../../api/object.ts'
import type { Schema, Schemas } from '../schema.ts'
import { isZero } from './zero.ts'

/** Sets defaults inside a value, in place. */
type SetDefaults = (value: Json) => void

type Property = {
  name: string
  /** Undefined: none. Always copied, never shared. */
  initial: Json | undefined
  inner: SetDefaults | undefined
}

const compiled = new WeakMap<Schema, SetDefaults | undefined>()

/** What sets all defaults of a schema; undefined when it has none. */
export function compileDefaults(schema: Schema, schemas: Schemas): SetDefaults | undefined {
  const node = schemas.resolve(schema)
  if (compiled.has(node)) return compiled.get(node)
  // Definitions may contain themselves: inner references find this until the real one is there.
  let made: SetDefaults | undefined
  compiled.set(node, (value) => made?.(value))
  made = compileNode(node, schemas)
  compiled.set(node, made)
  return made
}

function compileNode(node: Schema, schemas: Schemas): SetDefaults | undefined {
  if (node.properties !== undefined) return struct(node.properties, schemas)
  if (typeof node.additionalProperties === 'object') {
    const inner = compileDefaults(node.additionalProperties, schemas)
    return inner && ((value) => eachMember(value, inner))
  }
  if (node.items !== undefined) {
    const inner = compileDefaults(node.items, schemas)
    return inner && ((value) => eachItem(value, inner))
  }
  return undefined
}

function eachItem(value: Json, inner: SetDefaults): void {
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) inner(value[i]!)
}

function eachMember(value: Json, inner: SetDefaults): void {
  if (isObject(value)) for (const key in value) inner(value[key]!)
}

/** Objects are shared by nobody; most are empty ones, for which structuredClone is slow. */
function copyOf(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (Object.keys(value).length > 0) return structuredClone(value)
  return Array.isArray(value) ? [] : {}
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function struct(schemasByName: Readonly<Record<string, Schema>>, schemas: Schemas): SetDefaults | undefined {
  const properties: Property[] = []
  for (const [name, schema] of Object.entries(schemasByName)) {
    // A zero default of a field that Go leaves out when zero only serves as part of list keys.
    const silent = schema.default !== undefined && schema['x-omit-zero'] === true && isZero(schema.default)
    const initial = silent ? undefined : schema.default
    const inner = compileDefaults(schema, schemas)
    if (initial !== undefined || inner !== undefined) properties.push({ name, initial, inner })
  }
  if (properties.length === 0) return undefined
  return (value) => {
    if (!isObject(value)) return
    for (const { name, initial, inner } of properties) {
      let member = value[name]
      if (member === undefined || member === null) {
        if (initial === undefined) continue
        member = copyOf(initial)
        value[name] = member
      }
      if (inner !== undefined) inner(member)
    }
  }
}
