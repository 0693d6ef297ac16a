import type { Json } from '../api/object.ts'

/**
 * A node of an OpenAPI v3.0 schema with Kubernetes' extensions: the one model from which defaulting, pruning,
 * strict decoding, server-side apply, strategic merge and the OpenAPI documents are made, for built-in kinds
 * and for CustomResourceDefinitions alike.
 */
export type Schema = {
  /** `#/components/schemas/<definition name>`; resolve with Schemas.resolve. Siblings: default, description. */
  $ref?: string
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  format?: string
  title?: string
  description?: string
  default?: Json
  example?: Json
  nullable?: boolean
  enum?: Json[]
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  exclusiveMinimum?: boolean
  exclusiveMaximum?: boolean
  multipleOf?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  minProperties?: number
  maxProperties?: number
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema | boolean
  items?: Schema
  allOf?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  not?: Schema
  'x-kubernetes-int-or-string'?: boolean
  'x-kubernetes-preserve-unknown-fields'?: boolean
  'x-kubernetes-embedded-resource'?: boolean
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  'x-kubernetes-list-map-keys'?: string[]
  'x-kubernetes-map-type'?: 'atomic' | 'granular'
  /** Strategic merge patch: key that identifies list items. */
  'x-kubernetes-patch-merge-key'?: string
  /** 'merge', 'replace', 'retainKeys', or a comma-joined pair as Kubernetes writes it ('merge,retainKeys'). */
  'x-kubernetes-patch-strategy'?: string
  /**
   * Built-in kinds only, never published: whether a zero value is left out, as Go's `omitempty` does. Where it is not
   * said, empty strings, lists and maps are left out, and zero numbers and false are kept.
   */
  'x-omit-zero'?: boolean
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[]
  'x-kubernetes-validations'?: {
    rule: string
    message?: string
    messageExpression?: string
    reason?: string
    fieldPath?: string
    optionalOldSelf?: boolean
  }[]
}

const PREFIX = '#/components/schemas/'

/** A set of named definitions, e.g. `io.k8s.api.core.v1.Pod`. */
export class Schemas {
  readonly definitions: ReadonlyMap<string, Schema>

  constructor(definitions: ReadonlyMap<string, Schema>) {
    this.definitions = definitions
  }

  /** Follows $ref until a concrete node. Throws when a definition is missing: that is a bug in the definitions. */
  resolve(schema: Schema): Schema {
    let node = schema
    while (node.$ref !== undefined) {
      const name = node.$ref.slice(PREFIX.length)
      const target = this.definitions.get(name)
      if (target === undefined) throw new Error(`schema definition ${name} is missing`)
      node = target
    }
    return node
  }

  get(name: string): Schema | undefined {
    return this.definitions.get(name)
  }
}

export const refTo = (name: string): Schema => ({ $ref: PREFIX + name })
