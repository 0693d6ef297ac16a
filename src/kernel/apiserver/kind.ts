import type { Json, KubeObject } from '../api/object.ts'
import type { FieldError } from '../api/status.ts'
import type { FieldManager } from '../merge/field-manager.ts'
import type { ResourceDefinition, StrategyContext, SubresourceDefinition } from '../resources/definition.ts'
import type { Schema, Schemas } from '../resources/schema.ts'
import type { Entry } from './cache/entry.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

/** A resource definition with everything that was compiled from it. */
export type Kind = {
  definition: ResourceDefinition
  apiVersion: string
  /** A stored object as this kind shows it (version, conversion, a custom kind's defaults of today): yours to change. */
  read: (entry: Entry) => KubeObject
  /** The same, shared: never change it. */
  view: (entry: Entry) => KubeObject
  /** The same, serialised. */
  bytes: (entry: Entry) => Buffer
  /** An object of this kind in the form in which it is stored. In place. */
  toStored: (object: KubeObject) => KubeObject
  listKind: string
  /** Where its objects lie in the store. */
  prefix: string
  schema: Schema
  schemas: Schemas
  /**
   * Checks types against the schema (throws BadRequest), drops what the schema does not know and names it.
   * Returns the object, its top level in the order kind, apiVersion, metadata.
   */
  decode: (body: Json, fieldValidation: FieldValidation) => { object: KubeObject; unknown: string[] }
  /** Schema defaults, then the strategy's. In place. */
  applyDefaults: (object: KubeObject) => void
  /** A new object: metadata, schema, strategy. */
  validate: (object: KubeObject) => FieldError[]
  /** A changed object: everything that `validate` checks, and what may not change. */
  validateUpdate: (object: KubeObject, old: KubeObject, context: StrategyContext) => FieldError[]
  fieldManager: (subresource: string) => FieldManager
  subresource: (name: string) => SubresourceDefinition | undefined
}
