import type { Json, JsonObject } from '../api/object.ts'
import { WireError } from './wire.ts'

/** Messages whose JSON is not an object of their fields: how to make the one from the other. */

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.'
const EXTENSIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.'

export const TIME: string = `${META}Time`
export const MICRO_TIME: string = `${META}MicroTime`
export const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity'
export const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'
export const RAW: ReadonlyMap<string, string> = new Map([
  ['io.k8s.apimachinery.pkg.runtime.RawExtension', 'raw'],
  [`${META}FieldsV1`, 'Raw'],
  [`${EXTENSIONS}JSON`, 'raw'],
])
export const STRING_LISTS: ReadonlySet<string> = new Set([
  'io.k8s.api.authentication.v1.ExtraValue',
  'io.k8s.api.authorization.v1.ExtraValue',
  'io.k8s.api.certificates.v1.ExtraValue',
])
/** The field that holds the list, respectively the boolean, where there is no schema. */
export const SCHEMA_OR: ReadonlyMap<string, string> = new Map([
  [`${EXTENSIONS}JSONSchemaPropsOrArray`, 'jSONSchemas'],
  [`${EXTENSIONS}JSONSchemaPropsOrBool`, 'allows'],
  [`${EXTENSIONS}JSONSchemaPropsOrStringArray`, 'property'],
])

/** `parse` reads JSON that travels as bytes, given here in base64. Undefined: the field is left out. */
type SpecialReader = (fields: JsonObject, parse: (base64: string) => Json) => Json | undefined

// Years 1 to 9999, what RFC 3339 can write. The first second is Go's zero time.
const FIRST_SECOND = -62135596800
const LAST_SECOND = 253402300799

function timestamp(fields: JsonObject): Date | undefined {
  const seconds = fields['seconds'] ?? 0
  if (Object.keys(fields).length === 0 || seconds === FIRST_SECOND) return undefined
  if (typeof seconds !== 'number' || seconds < FIRST_SECOND || seconds > LAST_SECOND)
    throw new WireError('a timestamp is out of range')
  return new Date(seconds * 1000)
}

function time(fields: JsonObject): Json | undefined {
  return timestamp(fields)?.toISOString().replace('.000Z', 'Z')
}

function microTime(fields: JsonObject): Json | undefined {
  const date = timestamp(fields)
  const nanos = fields['nanos'] ?? 0
  if (typeof nanos !== 'number' || nanos < 0 || nanos > 999_999_999) throw new WireError('a timestamp is out of range')
  const micros = String(Math.floor(nanos / 1000)).padStart(6, '0')
  return date?.toISOString().replace('.000Z', `.${micros}Z`)
}

/** type 0 is the integer, 1 the string (apimachinery/pkg/util/intstr). */
function intOrString(fields: JsonObject): Json {
  const type = fields['type'] ?? 0
  if (type === 0) return fields['intVal'] ?? 0
  if (type === 1) return fields['strVal'] ?? ''
  throw new WireError('IntOrString is neither')
}

function schemaOr(member: string): SpecialReader {
  return (fields) => {
    const value = fields[member]
    if (Array.isArray(value) && value.length > 0) return value
    if (fields['schema'] !== undefined) return fields['schema']
    return Array.isArray(value) ? undefined : value
  }
}

export const SPECIAL_READERS: ReadonlyMap<string, SpecialReader> = new Map<string, SpecialReader>([
  [TIME, time],
  [MICRO_TIME, microTime],
  [QUANTITY, (fields) => fields['string'] ?? '0'],
  [INT_OR_STRING, intOrString],
  ...[...RAW].map(([type, name]): [string, SpecialReader] => [
    type,
    (fields, parse) => {
      const raw = fields[name]
      return typeof raw === 'string' && raw !== '' ? parse(raw) : undefined
    },
  ]),
  ...[...STRING_LISTS].map((type): [string, SpecialReader] => [type, (fields) => fields['items'] ?? []]),
  ...[...SCHEMA_OR].map(([type, member]): [string, SpecialReader] => [type, schemaOr(member)]),
])
