import type { Json, JsonObject } from '../api/object.ts'
import { type FieldSet, LEAF, type MutableFieldSet, ordered } from './field-set.ts'
import { jsonEqual, own } from './json-value.ts'
import { byElement } from './list-element.ts'
import { DEDUCED, type ListType, type MapType, type MergeType } from './merge-type.ts'
import { fieldElement, inOrder, type PathElement } from './path-element.ts'

/** The fields in which two objects of one type differ; undefined stands for the empty set. */
export type Comparison = {
  added: FieldSet | undefined
  modified: FieldSet | undefined
  removed: FieldSet | undefined
}

const ADDED_LEAF: Comparison = { added: LEAF, modified: undefined, removed: undefined }
const MODIFIED_LEAF: Comparison = { added: undefined, modified: LEAF, removed: undefined }
const REMOVED_LEAF: Comparison = { added: undefined, modified: undefined, removed: LEAF }
const NOTHING: JsonObject = Object.freeze({})

/**
 * Compares as structured-merge-diff does: leaves by value, whatever is on one side only with everything below it, and
 * duplicate items of a list as one. Undefined: the objects are the same.
 */
export function compare(type: MergeType, left: Json | undefined, right: Json | undefined): Comparison | undefined {
  if (left === right) return undefined
  if (left === undefined) return { added: everything(type, right!), modified: undefined, removed: undefined }
  if (right === undefined) return { added: undefined, modified: undefined, removed: everything(type, left) }
  const shape = shapeOf(type, right)
  const leftShape = shapeOf(type, left)
  if (shape !== leftShape) return compareShapes(type, left, right)
  if (shape === 'map') return compareMaps(type.map!, left as JsonObject | null, right as JsonObject | null)
  if (shape === 'list') return compareLists(type.list!, left as Json[] | null, right as Json[] | null)
  return jsonEqual(left, right) ? undefined : MODIFIED_LEAF
}

/** Which of the shapes that a type allows a value has. Null takes any of them; a value of no allowed shape is a leaf. */
export function shapeOf(type: MergeType, value: Json): 'scalar' | 'list' | 'map' {
  if (value === null) return type.map !== undefined ? 'map' : type.scalar !== undefined ? 'scalar' : 'list'
  if (typeof value !== 'object') return 'scalar'
  if (Array.isArray(value)) return type.list !== undefined ? 'list' : 'scalar'
  return type.map !== undefined ? 'map' : 'scalar'
}

/** Only where no schema says what the value is: it was a scalar and is a map now, or the like. */
function compareShapes(type: MergeType, left: Json, right: Json): Comparison | undefined {
  if (left === null || right === null) {
    if (jsonEqual(left, right)) return undefined
    return MODIFIED_LEAF
  }
  const added = shapeOf(type, right) === 'scalar' ? LEAF : everything(type, right)
  const removed = shapeOf(type, left) === 'scalar' ? LEAF : everything(type, left)
  return { added: below(added), modified: LEAF, removed: below(removed) }
}

function below(node: FieldSet): FieldSet | undefined {
  const out: MutableFieldSet = {}
  let empty = true
  for (const element in node) {
    if (element === '.') continue
    out[element] = node[element]!
    empty = false
  }
  return empty ? undefined : out
}

function isEmptyMap(map: JsonObject | null): boolean {
  if (map !== null) for (const key of Object.keys(map)) if (map[key] !== undefined) return false
  return true
}

class Differences {
  added: MutableFieldSet | undefined
  modified: MutableFieldSet | undefined
  removed: MutableFieldSet | undefined

  put(element: PathElement, found: Comparison): void {
    if (found.added !== undefined) (this.added ??= {})[element] = found.added
    if (found.modified !== undefined) (this.modified ??= {})[element] = found.modified
    if (found.removed !== undefined) (this.removed ??= {})[element] = found.removed
  }

  result(): Comparison | undefined {
    if (this.added === undefined && this.modified === undefined && this.removed === undefined) return undefined
    return {
      added: this.added && ordered(this.added),
      modified: this.modified && ordered(this.modified),
      removed: this.removed && ordered(this.removed),
    }
  }
}

function compareMaps(type: MapType, left: JsonObject | null, right: JsonObject | null): Comparison | undefined {
  if (type.atomic || (isEmptyMap(left) && isEmptyMap(right))) return jsonEqual(left, right) ? undefined : MODIFIED_LEAF
  const before = left ?? NOTHING
  const after = right ?? NOTHING
  const differences = new Differences()
  for (const name of Object.keys(after)) {
    const value = after[name]
    if (value === undefined) continue
    let old = own(before, name)
    if (old === value) continue
    const field = type.fields.get(name)
    if (field?.ignored) continue
    if (old === undefined) old = field?.implied
    const found = compare(field?.type ?? type.element ?? DEDUCED, old, value)
    if (found !== undefined) differences.put(field?.path ?? fieldElement(name), found)
  }
  for (const name of Object.keys(before)) {
    const old = before[name]
    if (old === undefined || own(after, name) !== undefined) continue
    const field = type.fields.get(name)
    if (field?.ignored) continue
    const found = compare(field?.type ?? type.element ?? DEDUCED, old, field?.implied)
    if (found !== undefined) differences.put(field?.path ?? fieldElement(name), found)
  }
  return differences.result()
}

function compareLists(type: ListType, left: Json[] | null, right: Json[] | null): Comparison | undefined {
  if (jsonEqual(left, right)) return undefined
  if (type.kind === 'atomic' || ((left ?? []).length === 0 && (right ?? []).length === 0)) return MODIFIED_LEAF
  const before = byElement(type, left ?? [])
  const after = byElement(type, right ?? [])
  const differences = new Differences()
  // In order from the start: putting thousands of items in order afterwards costs as much as comparing them.
  for (const element of inOrder([...after.keys()])) {
    const old = before.get(element) ?? []
    const found = compareItems(type.element, old, after.get(element)!)
    if (found !== undefined) differences.put(element, found)
  }
  for (const [element, old] of before) {
    if (after.has(element)) continue
    const found = compareItems(type.element, old, [])
    if (found !== undefined) differences.put(element, found)
  }
  return differences.result()
}

/** Items under one path element. Two or more are one marker, which says nothing of what lies below. */
function compareItems(type: MergeType, old: Json[], items: Json[]): Comparison | undefined {
  if (old.length <= 1 && items.length <= 1) return compare(type, old[0], items[0])
  if (old.length >= 2 && items.length >= 2) return jsonEqual(old, items) ? undefined : MODIFIED_LEAF
  if (old.length >= 2) return items.length === 0 ? REMOVED_LEAF : compare(type, undefined, items[0])
  return old.length === 0 ? ADDED_LEAF : withAdded(compare(type, old[0], undefined)!)
}

/** The item's own fields go, its place becomes the marker of duplicates. */
function withAdded(removed: Comparison): Comparison {
  return { added: LEAF, modified: undefined, removed: removed.removed && below(removed.removed) }
}

/** Every path in `value`, containers included, as an object that appears or disappears as a whole has them. */
function everything(type: MergeType, value: Json): FieldSet {
  if (typeof value !== 'object' || value === null) return LEAF
  if (Array.isArray(value)) {
    if (type.list === undefined || type.list.kind === 'atomic' || value.length === 0) return LEAF
    const out: MutableFieldSet = { '.': LEAF }
    const byPath = byElement(type.list, value)
    for (const element of inOrder([...byPath.keys()])) {
      const items = byPath.get(element)!
      out[element] = items.length > 1 ? LEAF : everything(type.list.element, items[0]!)
    }
    return ordered(out)
  }
  const { map } = type
  if (map === undefined || map.atomic) return LEAF
  const out: MutableFieldSet = { '.': LEAF }
  let empty = true
  for (const name of Object.keys(value)) {
    const child = value[name]
    if (child === undefined) continue
    const field = map.fields.get(name)
    out[field?.path ?? fieldElement(name)] = everything(field?.type ?? map.element ?? DEDUCED, child)
    empty = false
  }
  return empty ? LEAF : ordered(out)
}
