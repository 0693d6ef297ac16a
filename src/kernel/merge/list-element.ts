import type { Json } from '../api/object.ts'
import { isObject, own } from './json-value.ts'
import type { ListType } from './merge-type.ts'
import { keyElement, type PathElement, valueElement } from './path-element.ts'

/** The path element of an item of an associative list, or why it has none. */
export function listElement(list: ListType, item: Json): { element: PathElement } | { why: string } {
  if (list.kind === 'set') {
    if (item === null) return { why: "associative list without keys has an element that's an explicit null" }
    if (Array.isArray(item)) return { why: 'not supported: associative list with lists as elements' }
    if (isObject(item)) return { why: "associative list without keys has an element that's a map type" }
    return { element: valueElement(item) }
  }
  if (item === null) return { why: 'associative list with keys may not have a null element' }
  if (!isObject(item)) return { why: 'associative list with keys may not have non-map elements' }
  const keys: [string, Json][] = []
  for (const { name, fallback } of list.keys) {
    const value = own(item, name) ?? fallback
    if (value === undefined) {
      return {
        why: `associative list with keys has an element that omits key field "${name}" (and doesn't have default value)`,
      }
    }
    keys.push([name, value])
  }
  return { element: keyElement(keys) }
}

/**
 * The items of an associative list by path element, in the order of their first appearance. Items without an element
 * are left out: such a list never passes validation, and nobody can own what has no path.
 */
export function byElement(list: ListType, items: readonly Json[]): Map<PathElement, Json[]> {
  const out = new Map<PathElement, Json[]>()
  for (const item of items) {
    const found = listElement(list, item)
    if (!('element' in found)) continue
    const same = out.get(found.element)
    if (same === undefined) out.set(found.element, [item])
    else same.push(item)
  }
  return out
}
