import type { Json } from '../api/object.ts'
import type { Schema, Schemas } from '../resources/schema.ts'
import { OBJECT_META } from './object-meta.ts'
import { fieldElement, type PathElement } from './path-element.ts'

/**
 * How a value is compared, merged and owned: a schema compiled once into what structured-merge-diff calls an atom.
 * A type may allow more than one shape (scalar, list, map); the value then decides which one applies.
 */
export type MergeType = {
  scalar: Scalar | undefined
  list: ListType | undefined
  map: MapType | undefined
}

export type Scalar = 'string' | 'numeric' | 'boolean' | 'any'

export type ListType = {
  kind: 'atomic' | 'set' | 'map'
  /** Sorted by name; only for kind map. */
  keys: readonly { name: string; fallback: Json | undefined }[]
  element: MergeType
}

export type MapType = {
  atomic: boolean
  fields: ReadonlyMap<string, FieldType>
  /** Type of the values under names that are no declared field; undefined when there may be none. */
  element: MergeType | undefined
}

export type FieldType = {
  path: PathElement
  type: MergeType
  /**
   * What an object that lacks the field is compared as holding, because Kubernetes' Go type always writes it: `{}` for
   * a struct, null for a required list or map.
   */
  implied: Json | undefined
  /** Kept by the server itself: comparisons pass over it. */
  ignored: boolean
}

/** Without a schema: maps are granular, lists are atomic. */
export const DEDUCED: MergeType = { scalar: 'any', list: undefined, map: undefined }
DEDUCED.list = { kind: 'atomic', keys: [], element: DEDUCED }
DEDUCED.map = { atomic: false, fields: new Map(), element: DEDUCED }

const NO_FIELDS: Json = Object.freeze({})

const ROOT_FIELDS: Record<string, Schema> = { apiVersion: { type: 'string' }, kind: { type: 'string' } }

/**
 * The type of a kind's objects. `custom` kinds get apiVersion, kind and metadata whatever their schema says, and no
 * implied fields: their objects are held as sent, not as Go structs.
 */
export function compileType(schema: Schema, schemas: Schemas, custom: boolean): MergeType {
  const compiler = new Compiler(schemas, !custom)
  if (!custom) return compiler.compile(schema)
  const root = schemas.resolve(schema)
  const metadata = schemas.get('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta') ?? OBJECT_META
  return compiler.compile({
    ...root,
    type: 'object',
    properties: { ...root.properties, ...ROOT_FIELDS, metadata },
  })
}

class Compiler {
  readonly #schemas: Schemas
  readonly #withImplied: boolean
  readonly #compiled = new Map<Schema, MergeType>()

  constructor(schemas: Schemas, withImplied: boolean) {
    this.#schemas = schemas
    this.#withImplied = withImplied
  }

  compile(schema: Schema): MergeType {
    const node = this.#resolve(schema)
    const done = this.#compiled.get(node)
    if (done !== undefined) return done
    const type: MergeType = { scalar: undefined, list: undefined, map: undefined }
    // Recursive definitions (JSONSchemaProps) find the type that is still being filled.
    this.#compiled.set(node, type)
    this.#fill(type, node)
    return type
  }

  /** Follows references; what stands beside a reference about merging counts for the place, not for the target. */
  #resolve(schema: Schema): Schema {
    const only = schema.allOf?.length === 1 && schema.type === undefined ? schema.allOf[0]! : undefined
    const target = only !== undefined ? this.#resolve(only) : this.#schemas.resolve(schema)
    if (target === schema) return schema
    const mapType = schema['x-kubernetes-map-type']
    const listType = schema['x-kubernetes-list-type']
    if (
      (mapType === undefined || mapType === target['x-kubernetes-map-type']) &&
      (listType === undefined || listType === target['x-kubernetes-list-type'])
    ) {
      return target
    }
    return {
      ...target,
      ...(mapType ? { 'x-kubernetes-map-type': mapType } : {}),
      ...(listType ? { 'x-kubernetes-list-type': listType } : {}),
    }
  }

  #fill(type: MergeType, schema: Schema): void {
    if (schema['x-kubernetes-int-or-string']) {
      type.scalar = 'any'
      return
    }
    switch (schema.type) {
      case 'string':
        // Formats such as date-time have Go types of their own, whose JSON form is not checked here.
        type.scalar = schema.format === undefined || schema.format === 'byte' || schema.format === '' ? 'string' : 'any'
        return
      case 'integer':
      case 'number':
        type.scalar = 'numeric'
        return
      case 'boolean':
        type.scalar = 'boolean'
        return
      case 'array':
        type.list = this.#list(schema)
        return
      case 'object':
        type.map = this.#map(schema)
        return
      default:
        if (schema.properties !== undefined) type.map = this.#map(schema)
        else Object.assign(type, DEDUCED)
    }
  }

  #list(schema: Schema): ListType {
    const element = schema.items === undefined ? DEDUCED : this.compile(schema.items)
    const listType = schema['x-kubernetes-list-type']
    const mergeKey = schema['x-kubernetes-patch-merge-key']
    const strategy = schema['x-kubernetes-patch-strategy'] ?? ''
    if (listType === 'set') return { kind: 'set', keys: [], element }
    if (listType === 'map') return this.#listMap(schema, element, schema['x-kubernetes-list-map-keys'] ?? [])
    if (listType === undefined && strategy.split(',').includes('merge')) {
      return mergeKey === undefined ? { kind: 'set', keys: [], element } : this.#listMap(schema, element, [mergeKey])
    }
    return { kind: 'atomic', keys: [], element }
  }

  #listMap(schema: Schema, element: MergeType, names: readonly string[]): ListType {
    const item = schema.items === undefined ? undefined : this.#resolve(schema.items)
    const keys = [...names].sort().map((name) => {
      const properties = item?.properties ?? {}
      const field = Object.hasOwn(properties, name) ? properties[name] : undefined
      return { name, fallback: field === undefined ? undefined : (field.default ?? this.#resolve(field).default) }
    })
    return { kind: 'map', keys, element }
  }

  #map(schema: Schema): MapType {
    const fields = new Map<string, FieldType>()
    const map: MapType = { atomic: schema['x-kubernetes-map-type'] === 'atomic', fields, element: undefined }
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      const type = this.compile(property)
      const implied = this.#withImplied
        ? impliedValue(type, property, schema.required?.includes(name) === true)
        : undefined
      fields.set(name, { path: fieldElement(name), type, implied, ignored: false })
    }
    const extra = schema.additionalProperties
    if (typeof extra === 'object') map.element = this.compile(extra)
    else if (
      extra === true ||
      schema['x-kubernetes-preserve-unknown-fields'] ||
      schema['x-kubernetes-embedded-resource'] ||
      (extra === undefined && fields.size === 0)
    ) {
      map.element = DEDUCED
    }
    return map
  }
}

function impliedValue(type: MergeType, property: Schema, required: boolean): Json | undefined {
  if (type.map !== undefined && isEmptyObject(property.default)) return NO_FIELDS
  return required && type.scalar === undefined ? null : undefined
}

function isEmptyObject(value: Json | undefined): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
}

/** The type of the value under `name`. Names that nothing declares are taken as they come. */
export function childType(map: MapType, name: string): MergeType {
  return map.fields.get(name)?.type ?? map.element ?? DEDUCED
}
