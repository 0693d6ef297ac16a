import type { Json } from '../../../api/object.ts'
import type { Schema } from '../../schema.ts'
import { refTo } from '../../schema.ts'
import {
  API_VERSION_DESCRIPTION,
  COMMON_FIELDS,
  DESCRIPTIONS,
  FIELD_DESCRIPTIONS,
  KIND_DESCRIPTION,
} from './descriptions.ts'
import { MORE_MESSAGES, NOT_KINDS, OPTION_KINDS, PACKAGES, WRITTEN_DIFFERENTLY } from './kinds.ts'
import { ENUMS, LIST_KEYS, PATCH } from './merge.ts'
import { definitionName, GROUPS, INLINED, JSON_NAMES, shortName } from './names.ts'
import { omittedWhenZero } from './omit.ts'
import { OPTIONAL, REQUIRED, ZERO_DEFAULTS } from './required.ts'
import type { ProtoMessage, ProtoPackages, TypedField, TypedSchema, TypedType } from './sources.ts'
import { messagesByName, parseProtoType } from './sources.ts'

type Message = { pkg: string; fields: ProtoMessage }
/** A field as JSON has it: its protobuf type, and whose package names that type. */
type Field = { type: string; pkg: string }

/** All definitions, by name (`io.k8s.api.core.v1.Pod`). Throws where the inputs and the tables disagree. */
export function buildDefinitions(typed: TypedSchema, proto: ProtoPackages): Record<string, Schema> {
  const messages = messagesByName(proto)
  const types = new Map(typed.map((t) => [t.name, t]))
  const roots = kindMessages(messages)
  const out: Record<string, Schema> = {}
  const todo = [...roots]
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    const definition = definitionName(name)
    if (definition in out) continue
    const message = messages.get(name)
    if (message === undefined) throw new Error(`message ${name} is missing`)
    const special = WRITTEN_DIFFERENTLY[shortName(definition)]
    if (special !== undefined) {
      out[definition] = described(special, DESCRIPTIONS[shortName(definition)])
      continue
    }
    const fields = jsonFields(name, message, messages)
    out[definition] = definitionSchema(definition, fields, types.get(definition), roots.includes(name))
    for (const { type, pkg } of fields.values()) {
      const { element } = parseProtoType(type, pkg)
      if (element.includes('.')) todo.push(element)
    }
  }
  return out
}

function kindMessages(messages: ReadonlyMap<string, Message>): string[] {
  return [...messages.keys()].filter((name) => isKind(name, messages.get(name)!)).concat(OPTION_KINDS)
}

/**
 * Field numbers, by definition name: `[number, JSON name, type]` with the types `string`, `bytes`, `bool`, `int32`,
 * `int64`, `double` or a definition's name, after `*` for lists and `%` for maps. An empty JSON name marks a message
 * whose fields belong to the object around it.
 */
export type MessageField = [number: number, name: string, type: string]

export function buildMessages(proto: ProtoPackages): Record<string, MessageField[]> {
  const messages = messagesByName(proto)
  const out: Record<string, MessageField[]> = {}
  const todo = [...kindMessages(messages), ...MORE_MESSAGES]
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    const definition = definitionName(name)
    if (definition in out) continue
    const message = messages.get(name)
    if (message === undefined) throw new Error(`message ${name} is missing`)
    out[definition] = Object.entries(message.fields)
      .map(([field, [number, type]]): MessageField => {
        const path = `${shortName(definition)}.${field}`
        const { list, map, element } = parseProtoType(type, message.pkg)
        if (element.includes('.')) todo.push(element)
        const target = element.includes('.') ? definitionName(element) : element
        return [number, INLINED.has(path) ? '' : (JSON_NAMES[path] ?? field), `${list ? '*' : map ? '%' : ''}${target}`]
      })
      .sort((a, b) => a[0] - b[0])
  }
  return out
}

function isKind(name: string, message: Message): boolean {
  return (
    PACKAGES.includes(message.pkg) &&
    !NOT_KINDS.has(shortName(definitionName(name))) &&
    /^\.k8s\.io\.apimachinery\.pkg\.apis\.meta\.v1\.(ObjectMeta|ListMeta)$/.test(message.fields['metadata']?.[1] ?? '')
  )
}

function jsonFields(name: string, message: Message, messages: ReadonlyMap<string, Message>): Map<string, Field> {
  const out = new Map<string, Field>()
  for (const [field, [, type]] of Object.entries(message.fields)) {
    const path = `${shortName(definitionName(name))}.${field}`
    if (!INLINED.has(path)) {
      out.set(JSON_NAMES[path] ?? field, { type, pkg: message.pkg })
      continue
    }
    const inner = parseProtoType(type, message.pkg).element
    for (const [key, value] of jsonFields(inner, messages.get(inner)!, messages)) out.set(key, value)
  }
  return out
}

function definitionSchema(
  definition: string,
  fields: ReadonlyMap<string, Field>,
  type: TypedType | undefined,
  kind: boolean,
): Schema {
  const short = shortName(definition)
  const typedFields = new Map((type?.map?.fields ?? []).map((f) => [f.name, f]))
  if (type !== undefined)
    for (const name of typedFields.keys())
      if (!fields.has(name) && name !== 'kind' && name !== 'apiVersion')
        throw new Error(`${definition}.${name} is in the typed schema only`)
  const properties: Record<string, Schema> = {}
  if (kind) {
    properties['apiVersion'] = described({ type: 'string' }, API_VERSION_DESCRIPTION)
    properties['kind'] = described({ type: 'string' }, KIND_DESCRIPTION)
  }
  for (const name of [...fields.keys()].sort())
    properties[name] = fieldSchema(`${short}.${name}`, name, fields.get(name)!, typedFields.get(name))
  const required = requiredFields(short, [...fields.keys()], typedFields)
  const schema: Schema = described(
    { type: 'object' },
    DESCRIPTIONS[short] ?? (kind ? listDescription(short) : undefined),
  )
  if (required.length > 0) schema.required = required
  if (Object.keys(properties).length > 0) schema.properties = properties
  if (type?.map?.elementRelationship === 'atomic') schema['x-kubernetes-map-type'] = 'atomic'
  if (kind) schema['x-kubernetes-group-version-kind'] = [groupVersionKind(definition)]
  return schema
}

function listDescription(short: string): string | undefined {
  return short.endsWith('List')
    ? `A list of objects of kind ${short.slice(short.lastIndexOf('.') + 1, -4)}.`
    : undefined
}

function fieldSchema(path: string, name: string, field: Field, typed: TypedField | undefined): Schema {
  const { list, map, element } = parseProtoType(field.type, field.pkg)
  const inner = elementSchema(element)
  let schema: Schema = inner
  if (list) {
    schema = { type: 'array', items: inner, ...listType(path, typed) }
  } else if (map) {
    schema = { type: 'object', additionalProperties: inner }
    if (typed?.type.map?.elementRelationship === 'atomic') schema['x-kubernetes-map-type'] = 'atomic'
  } else if (typed?.type.elementRelationship === 'separable') schema = { ...inner, 'x-kubernetes-map-type': 'granular' }
  const owner = path.slice(0, path.lastIndexOf('.'))
  const zero = (typed?.default ?? ZERO_DEFAULTS[owner]?.[name]) as Json | undefined
  if (zero !== undefined) schema = { ...schema, default: zero }
  const patch = PATCH[path]
  if (patch !== undefined) {
    schema = { ...schema, 'x-kubernetes-patch-strategy': patch[0] }
    if (patch[1] !== undefined) schema['x-kubernetes-patch-merge-key'] = patch[1]
  }
  const omit = omittedWhenZero(owner, name)
  if (omit !== undefined) schema = { ...schema, 'x-omit-zero': omit }
  const values = ENUMS[path]
  if (values !== undefined) schema = { ...schema, enum: [...values] }
  return described(schema, FIELD_DESCRIPTIONS[path] ?? COMMON_FIELDS[name])
}

function listType(path: string, typed: TypedField | undefined): Schema {
  const list = typed?.type.list
  const keys = list?.keys ?? LIST_KEYS[path]
  if (keys !== undefined) return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...keys] }
  return { 'x-kubernetes-list-type': list?.elementRelationship === 'associative' ? 'set' : 'atomic' }
}

function elementSchema(element: string): Schema {
  switch (element) {
    case 'string':
      return { type: 'string' }
    case 'bool':
      return { type: 'boolean' }
    case 'bytes':
      return { type: 'string', format: 'byte' }
    case 'int32':
    case 'int64':
      return { type: 'integer', format: element }
    case 'double':
      return { type: 'number', format: 'double' }
    default:
      if (!element.includes('.')) throw new Error(`unknown protobuf type ${element}`)
      return refTo(definitionName(element))
  }
}

function requiredFields(short: string, names: readonly string[], typed: ReadonlyMap<string, TypedField>): string[] {
  const out = new Set(REQUIRED[short] ?? [])
  for (const name of out) if (!names.includes(name)) throw new Error(`required field ${short}.${name} does not exist`)
  for (const [name, { default: zero }] of typed)
    if ((zero === '' || zero === 0 || zero === false) && !OPTIONAL.has(`${short}.${name}`)) out.add(name)
  if (short.endsWith('List') && names.includes('items')) out.add('items')
  return [...out].sort()
}

function groupVersionKind(definition: string): { group: string; version: string; kind: string } {
  const [segment, version, kind] = shortName(definition).split('.') as [string, string, string]
  const group = GROUPS[segment]
  if (group === undefined) throw new Error(`no API group is known for ${definition}`)
  return { group, version, kind }
}

function described(schema: Schema, description: string | undefined): Schema {
  return description === undefined ? schema : { ...schema, description }
}
