import type { Json, JsonObject } from '../api/object.ts'
import { isObject, own, setOwn } from './json-value.ts'

/**
 * A step of a path in FieldsV1's own notation (structured-merge-diff/fieldpath):
 * `f:<name>` a field, `k:<object>` the item of a list with these keys, `v:<value>` the item of a set,
 * `i:<index>` an item by position. Its canonical form has keys sorted by name and no white space.
 */
export type PathElement = string

export const fieldElement = (name: string): PathElement => `f:${name}`
export const valueElement = (value: Json): PathElement => `v:${JSON.stringify(value)}`

/** `keys` must come sorted by name. */
export function keyElement(keys: readonly (readonly [name: string, value: Json])[]): PathElement {
  let text = 'k:{'
  for (let i = 0; i < keys.length; i++) {
    const [name, value] = keys[i]!
    text += `${i === 0 ? '' : ','}${JSON.stringify(name)}:${JSON.stringify(value)}`
  }
  return `${text}}`
}

/** The canonical form of an element that a client wrote; undefined for a kind of element that is not known. */
export function canonicalElement(text: string): PathElement | undefined {
  switch (text.slice(0, 2)) {
    case 'f:':
      return text
    case 'v:':
      return valueElement(sortedKeys(JSON.parse(text.slice(2)) as Json))
    case 'k:': {
      const keys = JSON.parse(text.slice(2)) as Json
      if (!isObject(keys)) throw new SyntaxError(`${text} is not an object`)
      return `k:${JSON.stringify(sortedKeys(keys))}`
    }
    case 'i:': {
      const index = Number(text.slice(2))
      if (!Number.isSafeInteger(index) || text.length === 2) throw new SyntaxError(`${text} is not an index`)
      return `i:${index}`
    }
    default:
      if (text.charAt(1) !== ':') throw new SyntaxError(`missing colon: ${text}`)
      return undefined
  }
}

function sortedKeys(value: Json): Json {
  if (!isObject(value)) return value
  const out: JsonObject = {}
  for (const key of Object.keys(value).sort()) {
    const child = own(value, key)
    if (child !== undefined) setOwn(out, key, sortedKeys(child))
  }
  return out
}

const RANK: Record<string, number> = { '.': 0, f: 1, k: 2, v: 3, i: 4 }

/** Kubernetes' order: the container itself, then fields, keys, values, indexes; each kind by its content. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0
  const rank = RANK[a.charAt(0)]! - RANK[b.charAt(0)]!
  if (rank !== 0) return rank
  if (a.charAt(0) === 'f') return a < b ? -1 : 1
  const left = JSON.parse(a.slice(2)) as Json
  const right = JSON.parse(b.slice(2)) as Json
  return compareValues(left, right) || (a < b ? -1 : 1)
}

/** structured-merge-diff/value.Compare: numbers, strings, booleans, lists, objects, null. */
function compareValues(a: Json, b: Json): number {
  const kind = valueRank(a) - valueRank(b)
  if (kind !== 0) return kind
  if (Array.isArray(a)) return 0
  if (isObject(a) && isObject(b)) {
    const left = Object.keys(a).sort()
    const right = Object.keys(b).sort()
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      if (left[i] !== right[i]) return left[i]! < right[i]! ? -1 : 1
      const order = compareValues(own(a, left[i]!) ?? null, own(b, left[i]!) ?? null)
      if (order !== 0) return order
    }
    return left.length - right.length
  }
  if (a === b || a === null || b === null) return 0
  return a < b ? -1 : 1
}

function valueRank(value: Json): number {
  switch (typeof value) {
    case 'number':
      return 0
    case 'string':
      return 1
    case 'boolean':
      return 2
    default:
      return value === null ? 5 : Array.isArray(value) ? 3 : 4
  }
}

/** A path as conflicts print it: `.spec.containers[name="web"].image`, `.metadata.finalizers[="x"]`. */
export function printPath(path: readonly PathElement[]): string {
  return path.map(printElement).join('')
}

export function printElement(element: PathElement): string {
  const rest = element.slice(2)
  switch (element.charAt(0)) {
    case 'f':
      return `.${rest}`
    case 'k': {
      const keys = JSON.parse(rest) as JsonObject
      const parts = Object.keys(keys).map((name) => `${name}=${JSON.stringify(keys[name])}`)
      return `[${parts.join(',')}]`
    }
    case 'v':
      return `[=${rest}]`
    default:
      return `[${rest}]`
  }
}
