import { isDeepStrictEqual } from 'node:util'

/** Values that CEL expressions see, and how much work comparing them is. */

const weights = new WeakMap<object, number>()

/** Nodes in a converted value; its length for lists that an expression made. */
export function weightOf(value: object): number {
  return weights.get(value) ?? (Array.isArray(value) ? value.length : 1)
}

export function setWeight<T extends object>(value: T, weight: number): T {
  weights.set(value, weight)
  return value
}

/** Weight of any value: strings by their length. */
export function weigh(value: unknown): number {
  if (typeof value === 'string') return 1 + (value.length >> 5)
  return typeof value === 'object' && value !== null ? weightOf(value) : 1
}

/** Equality of CEL values: numbers by value, objects by their fields. */
export function celEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a === 'bigint' && typeof b === 'number') return Number.isInteger(b) && a === BigInt(b)
  if (typeof a === 'number' && typeof b === 'bigint') return celEqual(b, a)
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => celEqual(v, b[i]))
  if (a instanceof Map)
    return b instanceof Map && a.size === b.size && [...a].every(([key, v]) => b.has(key) && celEqual(v, b.get(key)))
  if (a.constructor !== b.constructor) return false
  if (a instanceof Date || a instanceof Uint8Array) return isDeepStrictEqual(a, b)
  if ('valueOf' in a && typeof a.valueOf() === 'number') return a.valueOf() === b.valueOf()
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && celEqual((a as never)[key], (b as never)[key]))
  )
}
