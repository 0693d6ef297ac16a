import type { Schema } from '../schema.ts'
import { escapeProperty } from './cel-schema.ts'

/** The largest body of a request, for which every estimate is the worst case (k8s.io/apiserver/pkg/cel, limits). */
export const MAX_REQUEST_BYTES: number = 3 * 1024 * 1024

export type Kind = 'dyn' | 'list' | 'map' | 'object' | 'string' | 'bytes' | 'scalar'

/** How big the values of a schema can be, as Kubernetes reckons it (k8s.io/apiserver/pkg/cel/common, schemas). */
export type Sized = {
  kind: Kind
  /** Characters of a string, items of a list, entries of a map; 0 for what has no length. */
  maxElements: number
  /** Bytes of the smallest value in JSON. */
  minBytes: number
  items?: Sized
  fields?: ReadonlyMap<string, Sized>
}

const simple = (kind: Kind, minBytes: number, maxElements = 0): Sized => ({ kind, minBytes, maxElements })

export const DYN: Sized = simple('dyn', 1)
export const SCALAR: Sized = simple('scalar', 1)
/** Keys of maps, and whatever else is text without a schema. */
export const TEXT: Sized = simple('string', 2)

const LONGEST_TEXT = MAX_REQUEST_BYTES - 2
/** Characters and bytes of formats of a fixed length. */
const FORMATS: Readonly<Record<string, Sized>> = {
  duration: simple('scalar', 3, 32),
  date: simple('scalar', 12, 12),
  'date-time': simple('scalar', 21, 32),
}

const natural = (value: number | undefined): number | undefined =>
  value === undefined ? undefined : Math.max(0, value)

const embedded = (schema: Schema): boolean => schema['x-kubernetes-embedded-resource'] === true

/** Rules on every level of a schema ask for the same parts again and again. */
const known = new WeakMap<Schema, { sized: Sized | undefined }>()

/** Undefined for values that no expression can name. `resource`: it is a whole object with its metadata. */
export function sizedOf(schema: Schema, resource: boolean = embedded(schema)): Sized | undefined {
  if (resource !== embedded(schema)) return measure(schema, resource)
  let found = known.get(schema)
  if (found === undefined) known.set(schema, (found = { sized: measure(schema, resource) }))
  return found.sized
}

function measure(schema: Schema, resource: boolean): Sized | undefined {
  // maxLength counts characters, of up to four bytes each.
  const bytes = schema.maxLength === undefined ? undefined : natural(schema.maxLength)! * 4
  if (schema['x-kubernetes-int-or-string']) return simple('dyn', 1, bytes ?? LONGEST_TEXT)
  switch (schema.type) {
    case 'array':
      return sizedList(schema)
    case 'object':
      return typeof schema.additionalProperties === 'object'
        ? sizedMap(schema, schema.additionalProperties)
        : sizedObject(schema, resource)
    case 'string': {
      const { format = '' } = schema
      if (Object.hasOwn(FORMATS, format)) return FORMATS[format]!
      if (format === 'byte') return simple('bytes', 2, natural(schema.maxLength) ?? LONGEST_TEXT)
      return simple('string', 2, bytes ?? longestOf(schema.enum) ?? LONGEST_TEXT)
    }
    case 'boolean':
      return simple('scalar', 4)
    case 'integer':
    case 'number':
      return SCALAR
    default:
      return undefined
  }
}

function longestOf(values: Schema['enum']): number | undefined {
  if (values === undefined || values.length === 0) return undefined
  return Math.max(...values.map((value) => (typeof value === 'string' ? Buffer.byteLength(value) : 0)))
}

function sizedList({ items: schema, maxItems }: Schema): Sized | undefined {
  const items = schema && sizedOf(schema)
  if (items === undefined) return undefined
  const most = natural(maxItems) ?? Math.floor((MAX_REQUEST_BYTES - 2) / (items.minBytes + 1))
  return { ...simple('list', 2, most), items }
}

function sizedMap({ maxProperties }: Schema, values: Schema): Sized | undefined {
  const items = sizedOf(values)
  if (items === undefined) return undefined
  // Two characters of key, its quotes, colon and comma.
  const most = natural(maxProperties) ?? Math.floor((MAX_REQUEST_BYTES - 2) / (items.minBytes + 6))
  return { ...simple('map', 2, most), items }
}

const RESOURCE: Readonly<Record<string, Schema>> = {
  kind: { type: 'string' },
  apiVersion: { type: 'string' },
  metadata: { type: 'object', properties: { name: { type: 'string' }, generateName: { type: 'string' } } },
}

function sizedObject(schema: Schema, resource: boolean): Sized {
  const fields = new Map<string, Sized>()
  let minBytes = 2
  const properties = resource ? { ...schema.properties, ...RESOURCE } : (schema.properties ?? {})
  for (const name of Object.keys(properties)) {
    const property = properties[name]!
    const field = sizedOf(property)
    if (field === undefined) continue
    const escaped = escapeProperty(name)
    if (escaped !== undefined) fields.set(escaped, field)
    // What has a default need not be sent.
    if (schema.required?.includes(name) && property.default === undefined)
      minBytes += Buffer.byteLength(name) + field.minBytes + 4
  }
  return { ...simple('object', minBytes), fields }
}
