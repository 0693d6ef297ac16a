import type { JsonObject, KubeObject } from '../../api/object.ts'
import type { FieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { defaultCustom } from './defaulting.ts'
import { pruneCustom } from './prune.ts'
import { validateCustom } from './validate-custom.ts'

/** What the API server needs of a custom kind's schema, as for built-in kinds. */
export type CustomCodec = {
  /** Removes unknown fields, in place; names them (`unknown field "spec.x"`) when `report`. */
  check: (object: KubeObject, report: boolean) => string[]
  applyDefaults: (object: KubeObject) => void
  validate: (object: KubeObject) => FieldError[]
  /** On update: replaces `validate`, which does not know what was wrong before. */
  validateUpdate: (object: KubeObject, old: KubeObject) => FieldError[]
}

export function compileCustom(schema: Schema): CustomCodec {
  return {
    check(object, report) {
      const removed = pruneCustom(object as JsonObject, schema)
      return report ? removed.map((path) => `unknown field "${path}"`) : []
    },
    applyDefaults: (object) => defaultCustom(object as JsonObject, schema),
    validate: (object) => validateCustom(object as JsonObject, schema),
    validateUpdate: (object, old) => validateCustom(object as JsonObject, schema, old as JsonObject),
  }
}
