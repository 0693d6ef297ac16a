import type { Json, JsonObject } from '../api/object.ts'
import { type FieldSet, isLeaf } from './field-set.ts'
import { deepCopy, isObject, own, setOwn } from './json-value.ts'
import { listElement } from './list-element.ts'
import { childType, DEDUCED, type ListType, type MapType, type MergeType } from './merge-type.ts'
import { fieldElement, type PathElement } from './path-element.ts'
import { shapeOf } from './typed-compare.ts'

/**
 * `live` with everything that `config` sets laid over it. Nothing is removed. The result shares nothing with either.
 * `keepNull` is for custom kinds: a null that was applied stays; in a built-in kind it means that the field is unset.
 */
export function mergeTyped(type: MergeType, live: JsonObject, config: JsonObject, keepNull: boolean): JsonObject {
  return (merge(type, live, config, keepNull) ?? {}) as JsonObject
}

function merge(type: MergeType, live: Json | undefined, config: Json | undefined, keepNull: boolean): Json | undefined {
  if (config === undefined) return deepCopy(live)
  const shape = shapeOf(type, config)
  const other = live !== undefined && shapeOf(type, live) === shape ? live : undefined
  if (shape === 'map' && !type.map!.atomic) return mergeMaps(type.map!, other, config, keepNull)
  if (shape === 'list' && type.list!.kind !== 'atomic') return mergeLists(type.list!, other, config, keepNull)
  return config === null && !keepNull ? undefined : deepCopy(config)
}

function mergeMaps(type: MapType, live: Json | undefined, config: Json, keepNull: boolean): Json | undefined {
  const before = isObject(live) ? live : {}
  if (config === null) {
    if (Object.keys(before).length > 0) return deepCopy(before)
    return keepNull ? null : undefined
  }
  const change = config as JsonObject
  const out: JsonObject = {}
  for (const name of Object.keys(before)) {
    const value = merge(childType(type, name), before[name], own(change, name), keepNull)
    if (value !== undefined) setOwn(out, name, value)
  }
  for (const name of Object.keys(change)) {
    if (own(before, name) !== undefined) continue
    const value = merge(childType(type, name), undefined, change[name], keepNull)
    if (value !== undefined) setOwn(out, name, value)
  }
  return out
}

/**
 * Items that both lists have come in the order of the configuration; the live list's own items stay where they are
 * between them. Of live duplicates the configured item takes the place; duplicates that nobody configures remain.
 */
function mergeLists(type: ListType, live: Json | undefined, config: Json, keepNull: boolean): Json | undefined {
  const before = Array.isArray(live) ? live : []
  if (config === null) {
    if (before.length > 0) return deepCopy(before)
    return keepNull ? null : undefined
  }
  const left = before.map((item) => elementOf(type, item))
  const right = (config as Json[]).map((item) => elementOf(type, item))
  const leftItems = new Map<PathElement, Json | undefined>()
  left.forEach((element, i) => {
    leftItems.set(element, leftItems.has(element) ? undefined : before[i])
  })
  const rightItems = new Map<PathElement, Json>()
  right.forEach((element, i) => {
    rightItems.set(element, (config as Json[])[i]!)
  })

  const shared = right.filter((element) => leftItems.has(element))
  const merged = new Set<PathElement>()
  const out: Json[] = []
  const push = (element: PathElement): void => {
    merged.add(element)
    const item = merge(type.element, leftItems.get(element), rightItems.get(element), keepNull)
    if (item !== undefined) out.push(item)
  }
  let nextShared = 0
  let l = 0
  let r = 0
  while (l < left.length || r < right.length) {
    const leftElement = left[l]
    const rightElement = right[r]
    if (leftElement !== undefined && leftElement === rightElement) {
      push(leftElement)
      l++
      r++
      nextShared++
      continue
    }
    if (leftElement !== undefined) {
      const inBoth = rightItems.has(leftElement)
      if (!inBoth) {
        out.push(deepCopy(before[l]!))
        l++
        continue
      }
      const waiting = rightElement !== undefined && nextShared < shared.length && shared[nextShared] !== leftElement
      if (waiting || merged.has(leftElement)) {
        l++
        continue
      }
    }
    if (rightElement !== undefined) {
      if (!merged.has(rightElement)) push(rightElement)
      r++
      if (shared[nextShared] === rightElement) nextShared++
    } else l++
  }
  return out
}

/** Configured lists are valid by now; an item of a live list that has no element stays apart from all others. */
function elementOf(type: ListType, item: Json): PathElement {
  const found = listElement(type, item)
  return 'element' in found ? found.element : `?:${JSON.stringify(item)}`
}

/**
 * `value` without the fields, entries and items that `set` has as members. A container that is no member stays, even
 * when it is left empty. The result shares its parts with `value`.
 */
export function removeFields(type: MergeType, value: Json, set: FieldSet): Json | undefined {
  if (Array.isArray(value)) {
    const { list } = type
    if (list === undefined || list.kind === 'atomic') return undefined
    const out: Json[] = []
    for (const item of value) {
      const left = removeChild(list.element, item, set[elementOf(list, item)])
      if (left !== undefined) out.push(left)
    }
    return out
  }
  if (!isObject(value)) return value
  const { map } = type
  if (map === undefined || map.atomic) return undefined
  const out: JsonObject = {}
  for (const name of Object.keys(value)) {
    const child = value[name]
    if (child === undefined) continue
    const field = map.fields.get(name)
    const left = removeChild(field?.type ?? map.element ?? DEDUCED, child, set[field?.path ?? fieldElement(name)])
    if (left !== undefined) setOwn(out, name, left)
  }
  return out
}

function removeChild(type: MergeType, value: Json, node: FieldSet | undefined): Json | undefined {
  if (node === undefined) return value
  if (node['.'] !== undefined || isLeaf(node)) return undefined
  return removeFields(type, value, node)
}
