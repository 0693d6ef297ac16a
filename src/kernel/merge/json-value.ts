import type { Json, JsonObject } from '../api/object.ts'
import { badRequest } from '../api/status.ts'

/**
 * Reading and writing JSON values whose keys come from outside. `__proto__`, `constructor` and the like are plain own
 * data: they are never looked up on, nor written to, a prototype.
 */

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The own property, or undefined. Own undefined values count as absent. */
export function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

export function setOwn(object: JsonObject, key: string, value: Json): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
  } else {
    object[key] = value
  }
}

export function deepCopy<T extends Json | undefined>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const out: Json[] = new Array(value.length)
    for (let i = 0; i < value.length; i++) out[i] = deepCopy(value[i]!)
    return out as T
  }
  const out: JsonObject = {}
  for (const key of Object.keys(value)) {
    const child = (value as JsonObject)[key]
    if (child !== undefined) setOwn(out, key, deepCopy(child))
  }
  return out as T
}

/** Equality of JSON documents: the order of keys does not count, an undefined property is an absent one. */
export function jsonEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let i = 0; i < a.length; i++) if (!jsonEqual(a[i], b[i])) return false
    return true
  }
  if (Array.isArray(b)) return false
  let shared = 0
  for (const key of Object.keys(a)) {
    const value = a[key]
    if (value === undefined) continue
    const other = own(b, key)
    if (other === undefined || !jsonEqual(value, other)) return false
    shared++
  }
  for (const key of Object.keys(b)) if (b[key] !== undefined) shared--
  return shared === 0
}

/** Runs a recursive merge; a document nested so deeply that the stack ends is the caller's fault, not a crash. */
export function boundedDepth<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof RangeError && error.message.includes('call stack'))
      throw badRequest('the document is nested too deeply')
    throw error
  }
}
