import type { JsonObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { patternMessage, qualifiedName } from './names.ts'

type Condition = {
  type?: string
  status?: string
  observedGeneration?: number
  lastTransitionTime?: string
  reason?: string
  message?: string
}

const REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'
const reasonPattern = new RegExp(`^${REASON}$`)

/** A list of metav1.Condition. */
export function validateConditions(conditions: readonly JsonObject[] | undefined, path: string): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  ;(conditions as readonly Condition[] | undefined)?.forEach((condition, i) => {
    const at = `${path}[${i}]`
    const type = condition.type ?? ''
    if (seen.has(type)) errors.push(fieldError.duplicate(`${at}.type`, type))
    seen.add(type)
    for (const message of qualifiedName(type)) errors.push(fieldError.invalid(`${at}.type`, type, message))
    if (!['True', 'False', 'Unknown'].includes(condition.status ?? ''))
      errors.push(fieldError.notSupported(`${at}.status`, condition.status ?? '', ['False', 'True', 'Unknown']))
    if ((condition.observedGeneration ?? 0) < 0)
      errors.push(
        fieldError.invalid(
          `${at}.observedGeneration`,
          condition.observedGeneration,
          'must be greater than or equal to zero',
        ),
      )
    if (!condition.lastTransitionTime) errors.push(fieldError.required(`${at}.lastTransitionTime`, 'must be set'))
    if (!condition.reason) errors.push(fieldError.required(`${at}.reason`, 'must be set'))
    else if (!reasonPattern.test(condition.reason))
      errors.push(
        fieldError.invalid(
          `${at}.reason`,
          condition.reason,
          patternMessage(
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
            REASON,
            'my_name',
            'MY_NAME',
            'MyName',
            'ReasonA,ReasonB',
            'ReasonA:ReasonB',
          ),
        ),
      )
    if (Buffer.byteLength(condition.reason ?? '') > 1024) errors.push(fieldError.tooLong(`${at}.reason`, 1024))
    if (Buffer.byteLength(condition.message ?? '') > 32768) errors.push(fieldError.tooLong(`${at}.message`, 32768))
  })
  return errors
}
