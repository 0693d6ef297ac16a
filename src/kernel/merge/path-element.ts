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
  return compareParsed(parseElement(a), parseElement(b))
}

/** The elements in Kubernetes' order; the same array when they are in it already. */
export function inOrder(elements: PathElement[]): PathElement[] {
  if (elements.every((element, i) => element.charAt(0) === 'f' && (i === 0 || elements[i - 1]! < element)))
    return elements
  const keyed = byOneKey(elements)
  if (keyed !== undefined) return keyed
  // Each is parsed once: comparing must stay cheap for lists of many thousand items.
  const parsed = elements.map(parseElement)
  if (parsed.every((element, i) => i === 0 || compareParsed(parsed[i - 1]!, element) < 0)) return elements
  return parsed.sort(compareParsed).map(({ element }) => element)
}

/**
 * The common case of a long list, with nothing to parse: items told apart by one key whose values are plain text,
 * `k:{"name":"…"}`. Undefined: it is not that.
 */
function byOneKey(elements: PathElement[]): PathElement[] | undefined {
  const from = elements[0] === '.' ? 1 : 0
  const head = /^k:\{"[^"\\]*":"/.exec(elements[from] ?? '')?.[0]
  if (head === undefined) return undefined
  const values: string[] = []
  let sorted = true
  for (let i = from; i < elements.length; i++) {
    const element = elements[i]!
    if (!element.startsWith(head) || !element.endsWith('"}')) return undefined
    const value = element.slice(head.length, -2)
    if (value.includes('"') || value.includes('\\')) return undefined
    if (i > from && values[i - from - 1]! >= value) sorted = false
    values.push(value)
  }
  if (sorted) return elements
  values.sort(byCodeUnits)
  return [...elements.slice(0, from), ...values.map((value) => `${head}${value}"}`)]
}

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

type ParsedElement = { element: PathElement; rank: number; content: Json }

/** Keys become a list of names and values, in which order they compare. */
function parseElement(element: PathElement): ParsedElement {
  const kind = element.charAt(0)
  let content: Json = element
  if (kind === 'k') content = Object.entries(JSON.parse(element.slice(2)) as Record<string, Json>).flat()
  else if (kind === 'v' || kind === 'i') content = JSON.parse(element.slice(2)) as Json
  return { element, rank: RANK[kind]!, content }
}

function compareParsed(a: ParsedElement, b: ParsedElement): number {
  if (a.element === b.element) return 0
  return a.rank - b.rank || compareValues(a.content, b.content) || (a.element < b.element ? -1 : 1)
}

/** structured-merge-diff/value.Compare: numbers, strings, booleans, lists, objects, null. */
function compareValues(a: Json, b: Json): number {
  const kind = valueRank(a) - valueRank(b)
  if (kind !== 0) return kind
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) {
      const order = compareValues(a[i]!, b[i]!)
      if (order !== 0) return order
    }
    return a.length - b.length
  }
  if (a === b || a === null || b === null || typeof a === 'object') return 0
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
