import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import { configMapKey } from '../validation/names.ts'

/** What ConfigMap and Secret share: values under keys that can be file names, at most 1 MiB in all, freezable. */

export const MAX_DATA_BYTES: number = 1024 * 1024

/** Bytes behind base64 text, without decoding it. */
export function base64Bytes(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return Math.floor((text.length * 3) / 4) - padding
}

export function validateKeys(data: Readonly<Record<string, string>>, path: string, errors: FieldError[]): void {
  for (const key in data)
    for (const message of configMapKey(key)) errors.push(fieldError.invalid(`${path}[${key}]`, key, message))
}

/** Once `immutable` is true it stays, and so do `fields`. */
export function validateImmutable(object: KubeObject, old: KubeObject, fields: readonly string[]): FieldError[] {
  if (old.immutable !== true) return []
  const changed = fields.filter((field) => !isDeepStrictEqual(object[field] ?? {}, old[field] ?? {}))
  return [...(object.immutable === true ? [] : ['immutable']), ...changed].map((field) =>
    fieldError.forbidden(field, 'field is immutable when `immutable` is set'),
  )
}
