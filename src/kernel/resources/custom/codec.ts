import type { JsonObject, KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { ResourceDefinition } from '../definition.ts'
import type { Schema } from '../schema.ts'
import { DecodeError } from '../typed/check.ts'
import { cannotBeHandled } from '../typed/index.ts'
import { defaultCustom } from './defaulting.ts'
import { coerceEmbedded, coerceObjectMeta, type WrongTypes } from './object-meta.ts'
import { pruneCustom } from './prune.ts'
import { validateCustom } from './validate-custom.ts'

/** What the API server needs of a custom kind's schema, as for built-in kinds. */
export type CustomCodec = {
  /**
   * Removes unknown fields, in place; names them (`unknown field "spec.x"`) when `report`. Throws ApiError BadRequest
   * for metadata of wrong types.
   */
  check: (object: KubeObject, report: boolean) => string[]
  /** The same for what comes out of the store: what is of the wrong type is dropped. */
  conform: (object: KubeObject) => void
  applyDefaults: (object: KubeObject) => void
  validate: (object: KubeObject) => FieldError[]
  /** On update: replaces `validate`, which does not know what was wrong before. */
  validateUpdate: (object: KubeObject, old: KubeObject) => FieldError[]
}

export function compileCustom(
  schema: Schema,
  { kind, version }: Pick<ResourceDefinition, 'kind' | 'version'>,
): CustomCodec {
  return {
    check(object, report) {
      const unknown: string[] = []
      try {
        const removed = clean(object as JsonObject, schema, 'refuse', report ? unknown : undefined)
        return report ? [...removed.map((path) => `unknown field "${path}"`), ...unknown] : []
      } catch (error) {
        if (error instanceof DecodeError) throw cannotBeHandled(kind, version, error.message)
        throw error
      }
    },
    conform: (object) => void clean(object as JsonObject, schema, 'drop', undefined),
    applyDefaults: (object) => defaultCustom(object as JsonObject, schema),
    validate: (object) => validateCustom(object as JsonObject, schema),
    validateUpdate: (object, old) => validateCustom(object as JsonObject, schema, old as JsonObject),
  }
}

/** Prunes, then gives metadata its types: of the object, and of the resources in it. Answers the paths pruned. */
function clean(object: JsonObject, schema: Schema, wrong: WrongTypes, unknown: string[] | undefined): string[] {
  const removed = pruneCustom(object, schema)
  coerceObjectMeta(object, 'metadata', wrong, unknown)
  coerceEmbedded(object, schema, '', wrong, unknown)
  return removed
}
