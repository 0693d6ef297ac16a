import type { Json } from '../api/object.ts'
import { type FieldSet, isLeaf, LEAF, type MutableFieldSet, ordered } from './field-set.ts'
import { byElement } from './list-element.ts'
import { DEDUCED, type MergeType } from './merge-type.ts'
import { fieldElement } from './path-element.ts'

/**
 * The fields that an applied configuration sets: leaves, entries of maps and items of lists. A declared field that
 * holds a struct is not itself a member, unless it is empty or null.
 */
export function fieldSetOf(type: MergeType, value: Json): FieldSet | undefined {
  if (typeof value !== 'object') return LEAF
  if (value === null) return type.scalar !== undefined && type.map === undefined ? LEAF : undefined
  if (Array.isArray(value)) {
    if (type.list === undefined || type.list.kind === 'atomic') return LEAF
    const { element: itemType } = type.list
    const out: MutableFieldSet = {}
    for (const [element, items] of byElement(type.list, value)) {
      out[element] = items.length > 1 ? LEAF : asMember(fieldSetOf(itemType, items[0]!))
    }
    return isLeaf(out) ? undefined : ordered(out)
  }
  const { map } = type
  if (map === undefined || map.atomic) return LEAF
  const out: MutableFieldSet = {}
  for (const name of Object.keys(value)) {
    const child = value[name]
    if (child === undefined) continue
    const field = map.fields.get(name)
    const below = fieldSetOf(field?.type ?? map.element ?? DEDUCED, child)
    const member = field === undefined || child === null || isEmptyMap(child)
    const node = member ? asMember(below) : below
    if (node !== undefined) out[field?.path ?? fieldElement(name)] = node
  }
  return isLeaf(out) ? undefined : ordered(out)
}

const isEmptyMap = (value: Json): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0

function asMember(node: FieldSet | undefined): FieldSet {
  if (node === undefined || isLeaf(node)) return LEAF
  return node['.'] !== undefined ? node : { '.': LEAF, ...node }
}

/**
 * Adds every declared field that has members below it. `a.b.c` then also owns `a` when `a` is a declared field, but
 * not the entry of a map: structs come and go with what is in them.
 */
export function withDeclaredFields(type: MergeType, set: FieldSet | undefined): FieldSet | undefined {
  if (set === undefined) return undefined
  let out: MutableFieldSet | undefined
  for (const element in set) {
    const node = set[element]!
    if (element === '.' || isLeaf(node)) continue
    const isField = element.startsWith('f:')
    const field = isField ? type.map?.fields.get(element.slice(2)) : undefined
    const below = isField ? (field?.type ?? type.map?.element ?? DEDUCED) : (type.list?.element ?? DEDUCED)
    let filled = withDeclaredFields(below, node)!
    if (field !== undefined) filled = asMember(filled)
    if (filled !== node) (out ??= { ...set })[element] = filled
  }
  return out ?? set
}
