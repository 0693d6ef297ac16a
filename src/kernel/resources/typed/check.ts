import type { Json, JsonObject } from '../../api/object.ts'
import { parseQuantity, QuantityError } from '../../api/quantity.ts'
import { isRawJson } from '../../codec/json.ts'
import type { Schema, Schemas } from '../schema.ts'
import { illegalBase64At, isCanonicalBase64 } from './base64.ts'
import { goType } from './go-type.ts'
import { canonicalMicroTime, canonicalTime, TimeError } from './time.ts'
import { isEmptyMap, isZero, omitsZero, zeroOf } from './zero.ts'

/** A value that Go could not decode; the message is the one of its JSON decoder or of the type's own parser. */
export class DecodeError extends Error {}

/** sigs.k8s.io/json stops collecting there. */
const MAX_UNKNOWN = 100

/** Where the check is. Lists add an index, maps a key, structs the name of a field. */
type Step = string | number | { key: string }

export class CheckContext {
  readonly path: Step[] = []
  /** The struct whose field is being read, as Go names it without its package. */
  struct = ''
  /** `unknown field "spec.foo"`; undefined when nobody asks. */
  readonly unknown: string[] | undefined
  /** Where the value lies that is checked, for naming unknown fields: `metadata`. */
  readonly #prefix: string

  constructor(collect: boolean, prefix = '') {
    this.unknown = collect ? [] : undefined
    this.#prefix = prefix
  }

  addUnknown(field: string): void {
    if (this.unknown === undefined || this.unknown.length >= MAX_UNKNOWN) return
    let text = this.#prefix
    for (const step of this.path) {
      if (typeof step === 'number') text += `[${step}]`
      else text += `${text === '' ? '' : '.'}${typeof step === 'string' ? step : step.key}`
    }
    this.unknown.push(`unknown field ${JSON.stringify(text === '' ? field : `${text}.${field}`)}`)
  }

  /** `json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool` */
  wrongType(value: string, type: string): DecodeError {
    const fields = this.path.filter((step) => typeof step === 'string').join('.')
    const target =
      this.struct === '' ? `Go value of type ${type}` : `Go struct field ${this.struct}.${fields} of type ${type}`
    return new DecodeError(`json: cannot unmarshal ${value} into ${target}`)
  }
}

/** Checks a value that is not null and returns what Go would write of it: mostly the value itself, changed in place. */
export type Check = (value: Json, context: CheckContext) => Json

const compiled = new WeakMap<Schema, Check>()

/** `place` is `Struct.field`, `definition` the name of the schema's definition when it has one. */
export function compileCheck(schema: Schema, schemas: Schemas, place = '', definition = ''): Check {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)
    const target = schemas.resolve(schema)
    // Definitions may contain themselves: look the target's check up when it is needed first.
    let check: Check | undefined
    return (value, context) => {
      check ??= cached(target, schemas, name)
      return check(value, context)
    }
  }
  return compileNode(schema, schemas, place, definition)
}

function cached(schema: Schema, schemas: Schemas, definition: string): Check {
  let check = compiled.get(schema)
  if (check === undefined) {
    check = SPECIAL[definition] ?? compileNode(schema, schemas, '', definition)
    compiled.set(schema, check)
  }
  return check
}

function compileNode(schema: Schema, schemas: Schemas, place: string, definition: string): Check {
  if (schema['x-kubernetes-preserve-unknown-fields']) return (value) => value
  if (schema['x-kubernetes-int-or-string']) return schema.format === 'quantity' ? quantity : intOrString
  const type = goType(schema, place)
  switch (schema.type) {
    case 'string':
      return schema.format === 'byte' ? bytes : text(type)
    case 'boolean':
      return boolean
    case 'integer':
      return schema.format === 'int64' ? int64 : int32
    case 'number':
      return number
    case 'array':
      return list(schema.items ?? {}, schemas, type)
    case 'object':
      if (typeof schema.additionalProperties === 'object') return map(schema.additionalProperties, schemas, type)
      if (schema.properties !== undefined) return struct(schema, schemas, definition)
      return definition === '' ? (value) => value : struct(schema, schemas, definition)
    default:
      return (value) => value
  }
}

function kindOf(value: Json): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value === 'object' ? (isRawJson(value) ? 'number' : 'object') : typeof value
}

const text =
  (type: string): Check =>
  (value, context) => {
    if (typeof value === 'string') return value
    throw context.wrongType(kindOf(value), type)
  }

const boolean: Check = (value, context) => {
  if (typeof value === 'boolean') return value
  throw context.wrongType(kindOf(value), 'bool')
}

const number: Check = (value, context) => {
  if (typeof value === 'number' || isRawJson(value)) return value
  throw context.wrongType(kindOf(value), 'float64')
}

const int32: Check = (value, context) => {
  if (typeof value === 'number' && value === (value | 0)) return value
  throw context.wrongType(integerText(value), 'int32')
}

const int64: Check = (value, context) => {
  if (Number.isInteger(value) && (value as number) >= -(2 ** 63) && (value as number) < 2 ** 63) return value
  if (isRawJson(value)) return value
  throw context.wrongType(integerText(value), 'int64')
}

/** Go names the number that does not fit. */
function integerText(value: Json): string {
  if (typeof value === 'number') return `number ${value}`
  return isRawJson(value) ? `number ${(value as { rawJSON: string }).rawJSON}` : kindOf(value)
}

const bytes: Check = (value, context) => {
  if (typeof value !== 'string') throw context.wrongType(kindOf(value), '[]uint8')
  if (isCanonicalBase64(value)) return value
  const at = illegalBase64At(value)
  if (at !== undefined) throw new DecodeError(`illegal base64 data at input byte ${at}`)
  return Buffer.from(value, 'base64').toString('base64')
}

const intOrString: Check = (value) => {
  if (typeof value === 'string' || (typeof value === 'number' && value === (value | 0))) return value
  throw new DecodeError(`json: cannot unmarshal ${integerText(value)} into Go value of type int32`)
}

const quantity: Check = (value) => {
  try {
    return parseQuantity(isRawJson(value) ? value.rawJSON : value).text
  } catch (error) {
    if (error instanceof QuantityError) throw new DecodeError(error.message)
    throw error
  }
}

const timeWith =
  (canonical: (text: string) => string): Check =>
  (value) => {
    if (typeof value !== 'string')
      throw new DecodeError(`json: cannot unmarshal ${kindOf(value)} into Go value of type string`)
    try {
      return canonical(value)
    } catch (error) {
      if (error instanceof TimeError) throw new DecodeError(error.message)
      throw error
    }
  }

const SPECIAL: Readonly<Record<string, Check>> = {
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': timeWith(canonicalTime),
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': timeWith(canonicalMicroTime),
}

function list(items: Schema, schemas: Schemas, type: string): Check {
  const check = compileCheck(items, schemas)
  const zero = zeroOf(schemas.resolve(items))
  return (value, context) => {
    if (!Array.isArray(value)) throw context.wrongType(kindOf(value), type)
    const depth = context.path.length
    for (let i = 0; i < value.length; i++) {
      context.path[depth] = i
      const item = value[i] ?? null
      value[i] = item === null ? structuredClone(zero) : check(item, context)
    }
    context.path.length = depth
    return value
  }
}

function map(values: Schema, schemas: Schemas, type: string): Check {
  const check = compileCheck(values, schemas)
  const resolved = schemas.resolve(values)
  const zero = zeroOf(resolved)
  const nested = resolved.type === 'object' || resolved.type === 'array'
  return (value, context) => {
    if (kindOf(value) !== 'object') throw context.wrongType(kindOf(value), type)
    const object = value as JsonObject
    if (nested) context.path.push({ key: '' })
    for (const key in object) {
      const member = object[key] ?? null
      if (nested) context.path[context.path.length - 1] = { key }
      const checked = member === null ? structuredClone(zero) : check(member, context)
      if (checked !== member) object[key] = checked
    }
    if (nested) context.path.pop()
    return object
  }
}

type Property = { check: Check; omit: 'never' | 'zero' | 'empty-map' }

function struct(schema: Schema, schemas: Schemas, definition: string): Check {
  const name = definition.slice(definition.lastIndexOf('.') + 1)
  const type = definition === '' ? 'struct' : definition.split('.').slice(-2).join('.')
  const properties = new Map<string, Property>()
  for (const [field, property] of Object.entries(schema.properties ?? {})) {
    const isMap = property.additionalProperties !== undefined
    properties.set(field, {
      check: compileCheck(property, schemas, `${name}.${field}`),
      omit: omitsZero(property) ? (isMap ? 'empty-map' : 'zero') : 'never',
    })
  }
  return (value, context) => {
    if (kindOf(value) !== 'object') throw context.wrongType(kindOf(value), type)
    const object = value as JsonObject
    const { path, struct: outer } = context
    const depth = path.length
    for (const field in object) {
      const property = properties.get(field)
      const member = object[field]
      if (property === undefined) {
        context.addUnknown(field)
        delete object[field]
      } else if (member === null || member === undefined) delete object[field]
      else {
        path[depth] = field
        context.struct = name
        const checked = property.check(member, context)
        path.length = depth
        if (property.omit !== 'never' && (property.omit === 'zero' ? isZero(checked) : isEmptyMap(checked)))
          delete object[field]
        else if (checked !== member) object[field] = checked
      }
    }
    context.struct = outer
    return object
  }
}
