import type { KubeObject } from '../../api/object.ts'
import { isRawJson } from '../../codec/json.ts'

/**
 * The object itself, or a copy in which integers beyond 2^53 are doubles. Validation compares numbers, and what keeps
 * every digit of an int64 (`JSON.rawJSON`) can be written but not compared: it has no primitive value. A bound of
 * Kubernetes is never so close to such a number that the rounding decides.
 */
export function withPlainNumbers(object: KubeObject): KubeObject {
  const raw = membersHoldRaw(object, 'metadata') || membersHoldRaw(object.metadata, 'managedFields')
  return raw ? (plain(object) as KubeObject) : object
}

/** `except`: who owns which field is long, and has no numbers. */
function membersHoldRaw(object: object, except: string): boolean {
  for (const key in object) {
    const member = (object as Record<string, unknown>)[key]
    if (typeof member === 'object' && key !== except && holdsRaw(member)) return true
  }
  return false
}

function holdsRaw(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holdsRaw)
  if (isRawJson(value)) return true
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key]
    if (typeof member === 'object' && holdsRaw(member)) return true
  }
  return false
}

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(plain)
  if (isRawJson(value)) return Number(value.rawJSON)
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]))
}
