import type { KubeObject } from '../../../api/object.ts'
import type { FieldError } from '../../../api/status.ts'

/**
 * A `validate` that holds for new objects only. The server also runs `validate` on updates, status among them; those
 * have a resourceVersion, and validateUpdate says everything about them.
 */
export function onCreate(check: (object: KubeObject) => FieldError[]): (object: KubeObject) => FieldError[] {
  return (object) => (object.metadata.resourceVersion ? [] : check(object))
}
