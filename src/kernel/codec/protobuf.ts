import type { Json, JsonObject } from '../api/object.ts'
import { parseApiVersion } from '../api/object.ts'
import { ApiError, badRequest } from '../api/status.ts'
import { definitionOf } from '../resources/definitions.ts'
import { decodeJson, int64ToJson } from './json.ts'
import type { Message, MessageField } from './protobuf-message.ts'
import { messageOf, optionsDefinition } from './protobuf-message.ts'
import { SPECIAL_READERS } from './protobuf-special.ts'
import { BYTES, FIXED64, VARINT, WireError, WireReader } from './wire.ts'

/** The first four bytes of application/vnd.kubernetes.protobuf. */
export const PROTOBUF_MAGIC: Buffer = Buffer.from('k8s\0')

/** Messages within messages; the deepest legitimate ones are schemas of CustomResourceDefinitions. */
const MAX_DEPTH = 500

/**
 * Reads application/vnd.kubernetes.protobuf: four magic bytes and runtime.Unknown (apimachinery/pkg/runtime), whose
 * raw part is the message of the kind that typeMeta names. Returns the object that the same kind has in JSON, with
 * apiVersion and kind; zero values are left out where Go's JSON leaves them out.
 *
 * `expected` serves where the envelope names no type. Throws ApiError BadRequest for anything that is not such a
 * message, or is of a kind whose message is not known.
 */
export function decodeProtobuf(bytes: Uint8Array, expected?: { apiVersion: string; kind: string }): JsonObject {
  if (bytes.length < 4 || PROTOBUF_MAGIC.compare(bytes, 0, 4) !== 0)
    throw badRequest('protobuf: the body does not start with the prefix "k8s\\x00"')
  try {
    return readEnvelope(new WireReader(bytes.subarray(4)), expected)
  } catch (error) {
    if (error instanceof WireError) throw badRequest(`protobuf: ${error.message}`)
    throw error
  }
}

function readEnvelope(reader: WireReader, expected: { apiVersion: string; kind: string } | undefined): JsonObject {
  let apiVersion = ''
  let kind = ''
  let body: Buffer = Buffer.alloc(0)
  let encoding = ''
  let type = ''
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 8 + BYTES) {
      const meta = new WireReader(reader.bytes())
      while (meta.at < meta.end) {
        const field = meta.tag()
        if (field === 8 + BYTES) apiVersion = meta.string()
        else if (field === 16 + BYTES) kind = meta.string()
        else meta.skip(field & 7)
      }
    } else if (tag === 16 + BYTES) body = reader.bytes()
    else if (tag === 24 + BYTES) encoding = reader.string()
    else if (tag === 32 + BYTES) type = reader.string()
    else reader.skip(tag & 7)
  }
  if (encoding !== '') throw badRequest(`protobuf: content encoding ${JSON.stringify(encoding)} is not supported`)
  if (type !== '' && type !== 'application/vnd.kubernetes.protobuf')
    throw badRequest(`protobuf: content type ${JSON.stringify(type)} is not supported in the envelope`)
  if (apiVersion === '') apiVersion = expected?.apiVersion ?? ''
  if (kind === '') kind = expected?.kind ?? ''
  const { group, version } = parseApiVersion(apiVersion)
  const definition = optionsDefinition(kind) ?? definitionOf(group, version, kind)
  const message = definition === undefined ? undefined : messageOf(definition)
  if (message === undefined)
    throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`)
  const out: JsonObject = { apiVersion, kind }
  readFields(new WireReader(body), message, out, 0)
  return out
}

/** Reads fields up to the reader's end into `out`. */
function readFields(reader: WireReader, message: Message, out: JsonObject, depth: number): void {
  if (depth > MAX_DEPTH) reader.fail('messages are nested too deeply')
  while (reader.at < reader.end) {
    const tag = reader.tag()
    const field = message.byNumber.get(tag >>> 3)
    if (field === undefined) reader.skip(tag & 7)
    else if (field.name === '') readInlined(reader, tag & 7, message, field, out, depth)
    else if (field.list) readItem(reader, tag & 7, field, out, depth)
    else if (field.map) readEntry(reader, tag & 7, field, out, depth)
    else {
      const value = readValue(reader, tag & 7, field, out[field.name], depth)
      if (value === undefined || (field.omitZero && (value === '' || value === 0 || value === false)))
        delete out[field.name]
      else out[field.name] = value
    }
  }
}

function readInlined(
  reader: WireReader,
  wireType: number,
  message: Message,
  field: MessageField,
  out: JsonObject,
  depth: number,
): void {
  expectWireType(reader, wireType, BYTES)
  const inner = messageOf(field.type, message.owner)
  if (inner === undefined) throw new Error(`message ${field.type} is missing`)
  const outer = reader.end
  reader.end = reader.length()
  readFields(reader, inner, out, depth + 1)
  reader.end = outer
}

function readItem(reader: WireReader, wireType: number, field: MessageField, out: JsonObject, depth: number): void {
  const list = (out[field.name] ??= []) as Json[]
  if (wireType === BYTES && WIRE_TYPES[field.type] === VARINT) {
    // Packed: what a proto3 writer does with repeated numbers.
    const outer = reader.end
    reader.end = reader.length()
    while (reader.at < reader.end) list.push(readValue(reader, VARINT, field, undefined, depth) ?? null)
    reader.end = outer
  } else list.push(readValue(reader, wireType, field, undefined, depth) ?? null)
}

/** A map is a list of messages with the fields key = 1 and value = 2. */
function readEntry(reader: WireReader, wireType: number, field: MessageField, out: JsonObject, depth: number): void {
  expectWireType(reader, wireType, BYTES)
  const outer = reader.end
  reader.end = reader.length()
  let key = ''
  let value: Json | undefined
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 8 + BYTES) key = reader.string()
    else if (tag >>> 3 === 2) value = readValue(reader, tag & 7, field, value, depth)
    else reader.skip(tag & 7)
  }
  reader.end = outer
  if (key === '__proto__') reader.fail('key "__proto__" is not allowed')
  const map = (out[field.name] ??= {}) as JsonObject
  map[key] = value ?? zeroOf(field.type)
}

function zeroOf(type: string): Json {
  switch (type) {
    case 'string':
    case 'bytes':
      return ''
    case 'bool':
      return false
    case 'int32':
    case 'int64':
    case 'double':
      return 0
    default:
      return SPECIAL_READERS.has(type) ? null : {}
  }
}

const WIRE_TYPES: Readonly<Record<string, number>> = { bool: VARINT, int32: VARINT, int64: VARINT, double: FIXED64 }

function expectWireType(reader: WireReader, actual: number, expected: number): void {
  if (actual !== expected) reader.fail(`wire type ${actual} where ${expected} belongs`)
}

function readValue(
  reader: WireReader,
  wireType: number,
  field: MessageField,
  previous: Json | undefined,
  depth: number,
): Json | undefined {
  expectWireType(reader, wireType, WIRE_TYPES[field.type] ?? BYTES)
  switch (field.type) {
    case 'string':
      return reader.string()
    case 'bytes':
      return reader.base64()
    case 'bool':
      return reader.varint() !== 0
    case 'int32':
      return reader.int32()
    case 'int64':
      return int64ToJson(reader.int64())
    case 'double':
      return finite(reader, reader.double())
    default:
      return readMessage(reader, field.type, previous, depth)
  }
}

function finite(reader: WireReader, value: number): number {
  if (!Number.isFinite(value)) reader.fail('a number that JSON cannot write')
  return value
}

function readMessage(reader: WireReader, type: string, previous: Json | undefined, depth: number): Json | undefined {
  const message = messageOf(type)
  if (message === undefined) throw new Error(`message ${type} is missing`)
  const special = SPECIAL_READERS.get(type)
  const outer = reader.end
  reader.end = reader.length()
  let value: Json | undefined
  if (special === undefined) {
    // A field that occurs twice is one message in two parts.
    value = typeof previous === 'object' && previous !== null && !Array.isArray(previous) ? previous : {}
    readFields(reader, message, value, depth + 1)
  } else {
    const fields: JsonObject = {}
    readFields(reader, message, fields, depth + 1)
    value = special(fields, (text) => parseRaw(reader, text))
  }
  reader.end = outer
  return value
}

function parseRaw(reader: WireReader, base64: string): Json {
  try {
    return decodeJson(Buffer.from(base64, 'base64')).value
  } catch (error) {
    if (error instanceof ApiError) reader.fail(`embedded object: ${error.message}`)
    throw error
  }
}
