import { findCredentials } from './credentials.ts'
import { examineNamed } from './named-value.ts'
import { findPairs } from './pairs.ts'
import type { Detection } from './types.ts'

/**
 * Secrets in a value, judged by its name, by its own shape and by the names within it. Credentials of known shape go
 * before what names say.
 */
export function examineValue(name: string, value: string): Detection[] {
  if (value.length < 3) return []
  const shapes = findCredentials(value)
  if (shapes.length > 0) return shapes
  const named = examineNamed(name, value)
  return named === undefined ? findPairs(value).map(({ name: _, ...detection }) => detection) : [named]
}
