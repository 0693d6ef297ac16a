import type { Environment } from '@marcbachmann/cel-js'
import type { Json } from '../../api/object.ts'
import type { Schema } from '../schema.ts'
import { celEnvironment, compileExpression, type Expression } from './cel-environment.ts'
import { celEqual, setWeight, weigh } from './cel-values.ts'
import { isJsonObject } from './json.ts'

/** Types that CEL knows for the values of a schema, and the values themselves. */

export type CelType = {
  /** `int`, `list<string>`, `Object3`. */
  name: string
  convert: (value: Json) => unknown
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/
const ESCAPABLE = /^[A-Za-z_./-][A-Za-z0-9_./-]*$/
const KEYWORDS = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)
const SYMBOLS: Readonly<Record<string, string>> = {
  __: '__underscores__',
  '.': '__dot__',
  '-': '__dash__',
  '/': '__slash__',
}

/** How an expression names a property; undefined for properties that no expression can name. */
export function escapeProperty(name: string): string | undefined {
  if (KEYWORDS.has(name)) return `__${name}__`
  // The class of a value is found through this property.
  if (name === 'constructor') return undefined
  if (!ESCAPABLE.test(name)) return undefined
  const escaped = name.replace(/__|[./-]/g, (symbol) => SYMBOLS[symbol]!)
  return IDENTIFIER.test(escaped) ? escaped : undefined
}

const RESOURCE_META: Schema = {
  type: 'object',
  properties: { name: { type: 'string' }, generateName: { type: 'string' } },
}

const dynamic: CelType = { name: 'dyn', convert: convertAny }

/** Without a schema: whole numbers are ints, objects are maps. */
export function convertAny(value: Json): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return weighedList(value.map(convertAny))
  return isJsonObject(value)
    ? weighedMap(new Map(Object.entries(value).map(([k, v]) => [k, convertAny(v as Json)])))
    : value
}

const weighedList = (list: unknown[]): unknown[] =>
  setWeight(
    list,
    list.reduce<number>((sum, v) => sum + weigh(v), 1),
  )
const weighedMap = (map: Map<string, unknown>): Map<string, unknown> =>
  setWeight(
    map,
    [...map.values()].reduce<number>((sum, v) => sum + 1 + weigh(v), 1),
  )

let duration: Expression | undefined

/** CEL's own durations. Throws for texts that are none. */
function parseDuration(text: string): unknown {
  duration ??= compileExpression(celEnvironment().registerVariable('text', 'string'), 'duration(text)')
  return duration.evaluate({ text }, text.length + 100).value
}

/** Registers the types of one schema with an environment. */
export class CelTypes {
  readonly #environment: Environment
  readonly #known = new Map<Schema, CelType | undefined>()
  #count = 0

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** Undefined: values of this schema cannot be named (unknown fields, no type). */
  typeOf(schema: Schema, resource: boolean = schema['x-kubernetes-embedded-resource'] === true): CelType | undefined {
    if (this.#known.has(schema)) return this.#known.get(schema)
    const type = this.#make(schema, resource)
    const nullable = type && schema.nullable ? nullableOf(type) : type
    this.#known.set(schema, nullable)
    return nullable
  }

  #make(schema: Schema, resource: boolean): CelType | undefined {
    if (schema['x-kubernetes-int-or-string']) return dynamic
    switch (schema.type) {
      case 'object':
        return this.#object(schema, resource)
      case 'array': {
        const item = schema.items && this.typeOf(schema.items)
        if (item === undefined) return undefined
        return {
          name: `list<${item.name}>`,
          convert: (value) => (Array.isArray(value) ? weighedList(value.map(item.convert)) : value),
        }
      }
      case 'string':
        return this.#string(schema.format)
      case 'integer':
        return { name: 'int', convert: (value) => (Number.isInteger(value) ? BigInt(value as number) : value) }
      case 'number':
        return { name: 'double', convert: (value) => value }
      case 'boolean':
        return { name: 'bool', convert: (value) => value }
      default:
        return undefined
    }
  }

  #string(format: string | undefined): CelType {
    switch (format) {
      case 'byte':
        return {
          name: 'bytes',
          convert: (value) => (typeof value === 'string' ? Uint8Array.from(Buffer.from(value, 'base64')) : value),
        }
      case 'date':
      case 'date-time':
        return {
          name: 'google.protobuf.Timestamp',
          convert: (value) => (typeof value === 'string' ? new Date(value) : value),
        }
      case 'duration':
        return {
          name: 'google.protobuf.Duration',
          convert: (value) => (typeof value === 'string' ? parseDuration(value) : value),
        }
      default:
        return { name: 'string', convert: (value) => value }
    }
  }

  #object(schema: Schema, resource: boolean): CelType | undefined {
    if (typeof schema.additionalProperties === 'object') {
      const item = this.typeOf(schema.additionalProperties)
      if (item === undefined) return undefined
      return {
        name: `map<string, ${item.name}>`,
        convert: (value) =>
          isJsonObject(value)
            ? weighedMap(new Map(Object.entries(value).map(([k, v]) => [k, item.convert(v as Json)])))
            : value,
      }
    }
    const fields = new Map<string, { property: string; type: CelType }>()
    const add = (property: string, field: Schema): void => {
      const name = escapeProperty(property)
      const type = this.typeOf(field)
      if (name !== undefined && type !== undefined) fields.set(name, { property, type })
    }
    for (const name in schema.properties) if (!resource || name !== 'metadata') add(name, schema.properties[name]!)
    if (resource) {
      add('apiVersion', { type: 'string' })
      add('kind', { type: 'string' })
      add('metadata', RESOURCE_META)
    }
    return this.#message(fields)
  }

  #message(fields: ReadonlyMap<string, { property: string; type: CelType }>): CelType {
    class Message {
      [field: string]: unknown
    }
    const name = `Object${++this.#count}`
    this.#environment.registerType(name, {
      ctor: Message,
      fields: Object.fromEntries([...fields].map(([field, { type }]) => [field, type.name])),
    })
    this.#environment.registerOperator(`${name} == ${name}`, celEqual)
    return {
      name,
      convert(value) {
        if (!isJsonObject(value)) return value
        const message = new Message()
        let weight = 1
        for (const [field, { property, type }] of fields) {
          if (!Object.hasOwn(value, property) || value[property] === undefined) continue
          message[field] = type.convert(value[property] as Json)
          weight += 1 + weigh(message[field])
        }
        return setWeight(message, weight)
      },
    }
  }
}

const nullableOf = (type: CelType): CelType => ({
  name: 'dyn',
  convert: (value) => (value === null ? null : type.convert(value)),
})
