import type { Json, JsonObject } from '../api/object.ts'
import { parseApiVersion } from '../api/object.ts'
import { definitionOf } from '../resources/definitions.ts'
import { isRawJson } from './json.ts'
import { PROTOBUF_MAGIC } from './protobuf.ts'
import type { Message, MessageField } from './protobuf-message.ts'
import { messageOf, optionsDefinition } from './protobuf-message.ts'
import { INT_OR_STRING, MICRO_TIME, QUANTITY, RAW, SCHEMA_OR, STRING_LISTS, TIME } from './protobuf-special.ts'
import { WireWriter } from './wire.ts'

/**
 * Writes an object of a built-in kind as application/vnd.kubernetes.protobuf; undefined when its kind has no message.
 * The object must have passed the kind's field checks: fields of other types are written as their zero value.
 */
export function encodeProtobuf(object: JsonObject): Buffer | undefined {
  const apiVersion = String(object['apiVersion'] ?? '')
  const kind = String(object['kind'] ?? '')
  const { group, version } = parseApiVersion(apiVersion)
  const definition = optionsDefinition(kind) ?? definitionOf(group, version, kind)
  const message = definition === undefined ? undefined : messageOf(definition)
  if (message === undefined) return undefined
  const writer = new WireWriter()
  writer.message(1, () => {
    writer.string(1, apiVersion)
    writer.string(2, kind)
  })
  writer.message(2, () => writeFields(writer, message, object))
  writer.string(3, '')
  writer.string(4, '')
  return Buffer.concat([PROTOBUF_MAGIC, writer.finish()])
}

function writeFields(writer: WireWriter, message: Message, object: JsonObject): void {
  for (const field of message.fields) {
    if (field.name === '') {
      const inner = messageOf(field.type, message.owner)!
      writer.message(field.number, () => writeFields(writer, inner, object))
      continue
    }
    const value = object[field.name]
    if (value === undefined || value === null) continue
    if (field.list) {
      if (Array.isArray(value)) for (const item of value) writeValue(writer, field, field.number, item)
    } else if (field.map) {
      for (const [key, member] of Object.entries(value as JsonObject))
        writer.message(field.number, () => {
          writer.string(1, key)
          writeValue(writer, field, 2, member ?? null)
        })
    } else writeValue(writer, field, field.number, value)
  }
}

function writeValue(writer: WireWriter, field: MessageField, number: number, value: Json): void {
  switch (field.type) {
    case 'string':
      writer.string(number, typeof value === 'string' ? value : '')
      break
    case 'bytes':
      writer.bytes(number, Buffer.from(typeof value === 'string' ? value : '', 'base64'))
      break
    case 'bool':
      writer.bool(number, value === true)
      break
    case 'double':
      writer.double(number, typeof value === 'number' ? value : 0)
      break
    case 'int32':
    case 'int64':
      writer.int(number, integer(value))
      break
    default:
      writer.message(number, () => writeMessage(writer, field.type, value))
  }
}

function integer(value: Json): number | bigint {
  if (isRawJson(value)) return BigInt(value.rawJSON)
  return typeof value === 'number' && Number.isInteger(value) ? value : 0
}

function writeMessage(writer: WireWriter, type: string, value: Json): void {
  if (RAW.has(type)) writer.bytes(1, Buffer.from(JSON.stringify(value)))
  else if (type === TIME || type === MICRO_TIME) writeTime(writer, value)
  else if (type === QUANTITY) writer.string(1, String(value))
  else if (type === INT_OR_STRING) writeIntOrString(writer, value)
  else if (STRING_LISTS.has(type)) {
    if (Array.isArray(value)) for (const item of value) writer.string(1, String(item))
  } else writePlainMessage(writer, type, value)
}

function writePlainMessage(writer: WireWriter, type: string, value: Json): void {
  const message = messageOf(type)
  if (message === undefined) throw new Error(`message ${type} is missing`)
  const member = SCHEMA_OR.get(type)
  if (member !== undefined) {
    const isMember = Array.isArray(value) || typeof value === 'boolean'
    // JSONSchemaPropsOrBool says that it allows where it has a schema.
    writeFields(writer, message, isMember ? { [member]: value } : { allows: true, schema: value })
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) writeFields(writer, message, value)
}

function writeTime(writer: WireWriter, value: Json): void {
  const millis = Date.parse(String(value))
  if (Number.isNaN(millis)) return
  const fraction = /\.(\d{1,9})/.exec(String(value))?.[1] ?? ''
  writer.int(1, Math.floor(millis / 1000))
  writer.int(2, Number(fraction.padEnd(9, '0')))
}

function writeIntOrString(writer: WireWriter, value: Json): void {
  const isString = typeof value === 'string'
  writer.int(1, isString ? 1 : 0)
  writer.int(2, isString ? 0 : integer(value))
  writer.string(3, isString ? value : '')
}
