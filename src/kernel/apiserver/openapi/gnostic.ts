import type { Json, JsonObject } from '../../api/object.ts'
import { WireWriter } from '../../codec/wire.ts'

/**
 * OpenAPI v2 as the protobuf message openapi.v2.Document of google/gnostic (openapiv2/OpenAPIv2.proto), which
 * kubectl 1.20 asks for and nothing else. Field numbers are those of that file. Fields that the documents here do not
 * use are not written.
 */

const asObject = (value: Json | undefined): JsonObject => value as JsonObject
const asList = (value: Json | undefined): Json[] => (value ?? []) as Json[]

/** Document fields 1 (swagger) and 2 (info). */
export function documentHead(title: string, version: string): Buffer {
  const w = new WireWriter()
  w.string(1, '2.0')
  w.message(2, () => {
    w.string(1, title)
    w.string(2, version)
  })
  return w.finish()
}

/** A Document field from the parts that make up its message: 8 is paths, 9 definitions. */
export function documentField(field: 8 | 9, parts: readonly Buffer[]): Buffer {
  const w = new WireWriter()
  w.bytes(field, Buffer.concat(parts))
  return w.finish()
}

/** Paths.path: NamedPathItem. */
export function namedPathItem(path: string, item: JsonObject): Buffer {
  const w = new WireWriter()
  w.message(2, () => {
    w.string(1, path)
    w.message(2, () => pathItem(w, item))
  })
  return w.finish()
}

/** Definitions.additional_properties: NamedSchema. */
export function namedSchema(name: string, value: JsonObject): Buffer {
  const w = new WireWriter()
  named(w, 1, name, () => schema(w, value))
  return w.finish()
}

function named(w: WireWriter, field: number, name: string, value: () => void): void {
  w.message(field, () => {
    w.string(1, name)
    w.message(2, value)
  })
}

const METHODS: readonly (readonly [name: string, field: number])[] = [
  ['get', 2],
  ['put', 3],
  ['post', 4],
  ['delete', 5],
  ['patch', 8],
]

function pathItem(w: WireWriter, item: JsonObject): void {
  for (const [method, field] of METHODS)
    if (item[method] !== undefined) w.message(field, () => operation(w, asObject(item[method])))
  for (const p of asList(item['parameters'])) w.message(9, () => parameter(w, asObject(p)))
}

function strings(w: WireWriter, field: number, values: Json | undefined): void {
  for (const value of asList(values)) w.string(field, String(value))
}

function operation(w: WireWriter, o: JsonObject): void {
  strings(w, 1, o['tags'])
  w.string(3, String(o['description']))
  w.string(5, String(o['operationId']))
  strings(w, 6, o['produces'])
  strings(w, 7, o['consumes'])
  for (const p of asList(o['parameters'])) w.message(8, () => parameter(w, asObject(p)))
  w.message(9, () => {
    for (const [code, response] of Object.entries(asObject(o['responses'])))
      named(w, 1, code, () =>
        // ResponseValue.response
        w.message(1, () => {
          const { description, schema: body } = asObject(response)
          w.string(1, String(description))
          if (body !== undefined) w.message(2, () => w.message(1, () => schema(w, asObject(body))))
        }),
      )
  })
  vendorExtensions(w, 13, o)
}

/** ParametersItem.parameter, and in it body_parameter or non_body_parameter. */
function parameter(w: WireWriter, p: JsonObject): void {
  w.message(1, () => {
    if (p['in'] === 'body')
      w.message(1, () => {
        w.string(2, String(p['name']))
        w.string(3, 'body')
        if (p['required'] === true) w.bool(4, true)
        w.message(5, () => schema(w, asObject(p['schema'])))
      })
    else w.message(2, () => (p['in'] === 'query' ? queryParameter(w, p) : pathParameter(w, p)))
  })
}

function queryParameter(w: WireWriter, p: JsonObject): void {
  w.message(3, () => {
    w.string(2, 'query')
    w.string(3, String(p['description']))
    w.string(4, String(p['name']))
    w.string(6, String(p['type']))
    w.bool(20, true)
  })
}

function pathParameter(w: WireWriter, p: JsonObject): void {
  w.message(4, () => {
    w.bool(1, true)
    w.string(2, 'path')
    w.string(3, String(p['description']))
    w.string(4, String(p['name']))
    w.string(5, String(p['type']))
    w.bool(18, true)
  })
}

const NUMBERS: readonly (readonly [name: string, field: number])[] = [
  ['maximum', 7],
  ['minimum', 9],
]
const LENGTHS: readonly (readonly [name: string, field: number])[] = [
  ['maxLength', 11],
  ['minLength', 12],
  ['maxItems', 14],
  ['minItems', 15],
]

function schema(w: WireWriter, s: JsonObject): void {
  if (s['$ref'] !== undefined) w.string(1, String(s['$ref']))
  if (s['format'] !== undefined) w.string(2, String(s['format']))
  if (s['description'] !== undefined) w.string(4, String(s['description']))
  for (const [name, field] of NUMBERS) if (typeof s[name] === 'number') w.double(field, s[name])
  for (const [name, field] of LENGTHS) if (typeof s[name] === 'number') w.int(field, s[name])
  if (s['pattern'] !== undefined) w.string(13, String(s['pattern']))
  strings(w, 19, s['required'])
  const more = s['additionalProperties']
  if (typeof more === 'boolean') w.message(21, () => w.bool(2, more))
  else if (more !== undefined) w.message(21, () => w.message(1, () => schema(w, asObject(more))))
  if (s['type'] !== undefined) w.message(22, () => w.string(1, String(s['type'])))
  if (s['items'] !== undefined) w.message(23, () => w.message(1, () => schema(w, asObject(s['items']))))
  if (s['properties'] !== undefined)
    w.message(25, () => {
      for (const [name, property] of Object.entries(asObject(s['properties'])))
        named(w, 1, name, () => schema(w, asObject(property)))
    })
  vendorExtensions(w, 31, s)
}

/** NamedAny whose value is YAML; JSON is YAML. */
function vendorExtensions(w: WireWriter, field: number, owner: JsonObject): void {
  for (const [name, value] of Object.entries(owner))
    if (name.startsWith('x-')) named(w, field, name, () => w.string(2, JSON.stringify(value)))
}
