import type { Json, JsonObject } from '../../api/object.ts'
import type { Schema } from '../schema.ts'
import { isJsonObject } from './json.ts'
import { pruneObjectMeta } from './object-meta.ts'

/** Unknown fields of custom objects: naming them, and removing them. */

/** What to do with each unknown field. */
type Found = (holder: JsonObject, key: string, path: string) => void

const META_FIELDS = new Set(['apiVersion', 'kind', 'metadata'])

type Node = {
  properties: ReadonlyMap<string, Node>
  /** Schema of other fields; null: other fields are known, what is in them is not. */
  others: Node | null | undefined
  items: Node | undefined
  preserve: boolean
  embedded: boolean
}

const nodes = new WeakMap<Schema, Node>()

function nodeOf(schema: Schema): Node {
  const known = nodes.get(schema)
  if (known !== undefined) return known
  const { additionalProperties } = schema
  const node: Node = {
    properties: new Map(Object.entries(schema.properties ?? {}).map(([name, s]) => [name, nodeOf(s)])),
    others:
      typeof additionalProperties === 'object' ? nodeOf(additionalProperties) : additionalProperties ? null : undefined,
    items: schema.items && nodeOf(schema.items),
    preserve: schema['x-kubernetes-preserve-unknown-fields'] === true,
    embedded: schema['x-kubernetes-embedded-resource'] === true,
  }
  nodes.set(schema, node)
  return node
}

function walk(value: Json, node: Node | undefined | null, resource: boolean, path: string, found: Found): void {
  if (Array.isArray(value)) {
    const items = node?.items
    if (items === undefined && node?.preserve) return
    value.forEach((item, i) => {
      if (typeof item === 'object' && item !== null) walk(item, items, items?.embedded === true, `${path}[${i}]`, found)
    })
    return
  }
  if (!isJsonObject(value)) return
  for (const key of Object.keys(value)) {
    const at = path === '' ? key : `${path}.${key}`
    const child = value[key] as Json
    if (resource && META_FIELDS.has(key)) {
      if (key === 'metadata') pruneObjectMeta(child, at, found)
      continue
    }
    const known = node?.properties.get(key)
    const next = known ?? node?.others
    if (next === undefined) {
      if (!node?.preserve) found(value, key, at)
    } else if (typeof child === 'object' && child !== null) walk(child, next, next?.embedded === true, at, found)
  }
}

/** Removes every field that the schema does not know. In place; answers the paths removed (`spec.list[0].typo`). */
export function pruneCustom(object: JsonObject, schema: Schema): string[] {
  const removed: string[] = []
  walk(object, nodeOf(schema), true, '', (holder, key, path) => {
    delete holder[key]
    removed.push(path)
  })
  return removed
}

/** The paths that pruneCustom would remove; changes nothing. */
export function unknownFieldsCustom(object: JsonObject, schema: Schema): string[] {
  const unknown: string[] = []
  walk(object, nodeOf(schema), true, '', (_holder, _key, path) => {
    unknown.push(path)
  })
  return unknown
}

/** Whether pruning would take anything from a value that is no whole object, such as a default. */
export function hasUnknownFields(value: Json, schema: Schema): boolean {
  let any = false
  walk(value, nodeOf(schema), schema['x-kubernetes-embedded-resource'] === true, '', () => {
    any = true
  })
  return any
}
