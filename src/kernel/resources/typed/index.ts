/** Built-in kinds as Go's types see them: decoding with its errors, pruning, zero values, defaults. */
import type { KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import { type ApiError, badRequest } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import type { Schema, Schemas } from '../schema.ts'
import { type Check, CheckContext, compileCheck, DecodeError } from './check.ts'
import { compileDefaults } from './defaults.ts'

export type Typed = {
  /**
   * Makes of the object what Kubernetes would store of it: unknown fields, nulls and zero values that Go does not
   * write are dropped; times, quantities and base64 take their canonical form. In place. Returns the unknown fields
   * as `unknown field "spec.containers[0].foo"` when `collect`. Throws ApiError BadRequest for values of wrong types.
   */
  check: (object: KubeObject, collect: boolean) => string[]
  /** Sets defaults of the schema, in place. Idempotent. */
  applyDefaults: (object: KubeObject) => void
  /** Built-in kinds are validated by their strategies. */
  validate: (object: KubeObject) => FieldError[]
  validateUpdate: (object: KubeObject, old: KubeObject) => FieldError[]
}

const NO_ERRORS: FieldError[] = []

export function compileTyped(
  schema: Schema,
  schemas: Schemas,
  { kind, version }: Pick<ResourceDefinition, 'kind' | 'version'>,
): Typed {
  // The top level is no reference, but has a definition: Go's messages name its struct.
  let check: Check | undefined
  return {
    check: (object, collect) => {
      check ??= compileCheck(schema, schemas, '', kind)
      const context = new CheckContext(collect)
      try {
        check(object, context)
      } catch (error) {
        if (error instanceof DecodeError) throw cannotBeHandled(kind, version, error.message)
        throw error
      }
      return context.unknown ?? []
    },
    applyDefaults: (object) => compileDefaults(schema, schemas)?.(object),
    validate: () => NO_ERRORS,
    validateUpdate: () => NO_ERRORS,
  }
}

/** The 400 for a body whose kind is right and whose fields are not. */
export function cannotBeHandled(kind: string, version: string, why: string): ApiError {
  return badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`)
}

/** The 400 of fieldValidation=Strict; `errors` are duplicates and unknown fields in their order. */
export function strictDecodingError(kind: string, version: string, errors: readonly string[]): ApiError {
  return cannotBeHandled(kind, version, `strict decoding error: ${errors.join(', ')}`)
}

/** For one-off use; prefer compileTyped on request paths. */
export function checkFields(
  object: KubeObject,
  schema: Schema,
  schemas: Schemas,
  collect: boolean,
): { unknown: string[] } {
  const version = object.apiVersion.slice(object.apiVersion.lastIndexOf('/') + 1)
  return { unknown: compileTyped(schema, schemas, { kind: object.kind, version }).check(object, collect) }
}

export function applyDefaults(object: KubeObject, schema: Schema, schemas: Schemas): void {
  compileDefaults(schema, schemas)?.(object)
}
