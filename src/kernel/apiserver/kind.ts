import type { Json, KubeObject } from '../api/object.ts'
import type { FieldError } from '../api/status.ts'
import type { FieldManager } from '../merge/field-manager.ts'
import type { ResourceDefinition, StrategyContext, SubresourceDefinition } from '../resources/definition.ts'
import type { Schema, Schemas } from '../resources/schema.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

/** A resource definition with everything that was compiled from it. */
export type Kind = {
  definition: ResourceDefinition
  apiVersion: string
  /** apiVersion in which objects are stored; differs for further versions of custom kinds. */
  storageVersion: string
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
