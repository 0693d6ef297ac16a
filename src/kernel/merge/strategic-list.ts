import type { Json } from '../api/object.ts'
import { badRequest } from '../api/status.ts'
import { goShape } from './go-value.ts'
import { isObject, own } from './json-value.ts'

/** The rules of strategic merge patch for the members and the order of merged lists. Nothing here changes its input. */

/** The value by which a list of objects identifies `item`. */
export function mergeKeyOf(item: Json, mergeKey: string): Json {
  const key = isObject(item) ? own(item, mergeKey) : undefined
  if (key === undefined) throw badRequest(`map: ${goShape(item)} does not contain declared merge key: ${mergeKey}`)
  return key
}

export function deleteFromList(list: Json[], remove: Json[]): Json[] {
  const gone = new Set(remove)
  return list.filter((item) => !gone.has(item))
}

export function mergeScalars(list: Json[], more: Json[]): Json[] {
  return [...new Set([...list, ...more])]
}

/**
 * Puts a merged list in order. Items that `order` names come in its order; the rest keep the order that they have in
 * `live` and are woven in: one of them goes before the next named item when it stood before it in `live`.
 * `mergeKey` is '' for scalars.
 */
export function orderList(merged: Json[], order: Json[], live: Json[], mergeKey: string): Json[] {
  const keyOf = (item: Json): Json => (mergeKey === '' ? item : mergeKeyOf(item, mergeKey))
  const wanted = positions(order, keyOf)
  const before = positions(live, keyOf)
  const named: Json[] = []
  const rest: Json[] = []
  for (const item of merged) (wanted.has(keyOf(item)) ? named : rest).push(item)
  sortBy(named, wanted, keyOf)
  sortBy(rest, before, keyOf)

  const out: Json[] = []
  let r = 0
  for (const item of named) {
    const place = before.get(keyOf(item))
    while (r < rest.length && place !== undefined && (before.get(keyOf(rest[r]!)) ?? Infinity) < place) {
      out.push(rest[r++]!)
    }
    out.push(item)
  }
  while (r < rest.length) out.push(rest[r++]!)
  return out
}

function positions(list: Json[], keyOf: (item: Json) => Json): Map<Json, number> {
  const out = new Map<Json, number>()
  for (const [i, item] of list.entries()) {
    const key = keyOf(item)
    if (!out.has(key)) out.set(key, i)
  }
  return out
}

function sortBy(items: Json[], position: Map<Json, number>, keyOf: (item: Json) => Json): void {
  items.sort((a, b) => (position.get(keyOf(a)) ?? Infinity) - (position.get(keyOf(b)) ?? Infinity) || 0)
}
