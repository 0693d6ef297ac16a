import type { Json, JsonObject, KubeObject } from '../api/object.ts'
import { ApiError, badRequest } from '../api/status.ts'
import type { Schema, Schemas } from '../resources/schema.ts'
import { goShape, goValue } from './go-value.ts'
import { boundedDepth, deepCopy, isObject, own, setOwn } from './json-value.ts'
import { deleteFromList, mergeKeyOf, mergeScalars, orderList } from './strategic-list.ts'

/** The directives of strategic merge patch (apimachinery/pkg/util/strategicpatch). */
const PATCH = '$patch'
const RETAIN_KEYS = '$retainKeys'
const DELETE_FROM = '$deleteFromPrimitiveList'
const SET_ORDER = '$setElementOrder'

/**
 * Kubernetes' strategic merge patch. How a field is merged is read from the `x-kubernetes-patch-strategy` and
 * `x-kubernetes-patch-merge-key` of its schema; a field without them is merged when it is an object and replaced
 * otherwise. Neither argument is changed, and the result shares nothing with them.
 *
 * A patch that breaks the rules is a 400 BadRequest with Kubernetes' message; a list of lists is a 422 Invalid.
 */
export function applyStrategicMergePatch(
  document: KubeObject,
  patch: JsonObject,
  schema: Schema,
  schemas: Schemas,
): KubeObject {
  return boundedDepth(() => mergeMap(deepCopy(document as JsonObject), patch, schema, schemas) as KubeObject)
}

type FieldRule = { schema: Schema | undefined; strategy: string; mergeKey: string }

function fieldRule(parent: Schema | undefined, key: string, schemas: Schemas): FieldRule {
  const node = parent === undefined ? undefined : schemas.resolve(parent)
  let field = node?.properties === undefined ? undefined : own(node.properties as JsonObject, key)
  if (field === undefined && typeof node?.additionalProperties === 'object') field = node.additionalProperties as Json
  const schema = field as Schema | undefined
  if (schema === undefined) return { schema, strategy: '', mergeKey: '' }
  const target = schemas.resolve(schema)
  const text = schema['x-kubernetes-patch-strategy'] ?? target['x-kubernetes-patch-strategy'] ?? ''
  const strategy = text.split(',').find((part) => part !== 'retainKeys') ?? ''
  const mergeKey = schema['x-kubernetes-patch-merge-key'] ?? target['x-kubernetes-patch-merge-key'] ?? ''
  return { schema, strategy, mergeKey }
}

/** Merges `patch` into `original`, which is owned by the caller and may be changed. */
function mergeMap(original: JsonObject, patch: JsonObject, schema: Schema | undefined, schemas: Schemas): JsonObject {
  const directive = own(patch, PATCH)
  if (directive !== undefined) {
    if (directive === 'replace') return withoutDirectives(patch) as JsonObject
    if (directive === 'delete') return {}
    throw badRequest(`unknown patch type: ${goValue(directive)} in map: ${goShape(patch)}`)
  }
  applyRetainKeys(original, patch)
  const done = applyElementOrder(original, patch, schema, schemas)

  for (const patchKey of Object.keys(patch)) {
    const change = patch[patchKey]
    if (change === undefined || patchKey === RETAIN_KEYS || done.has(patchKey)) continue
    const isDeleteList = patchKey.startsWith(DELETE_FROM)
    const key = isDeleteList ? fieldOf(patchKey, DELETE_FROM, 'invalid patch format of primitive list') : patchKey
    if (change === null) {
      delete original[key]
      continue
    }
    const current = own(original, key)
    if (current === undefined) {
      if (!isDeleteList) setOwn(original, key, withoutDirectives(change))
      continue
    }
    if (isObject(current) && isObject(change)) {
      const rule = fieldRule(schema, key, schemas)
      const merged =
        rule.strategy === 'replace' ? withoutDirectives(change) : mergeMap(current, change, rule.schema, schemas)
      setOwn(original, key, merged)
    } else if (Array.isArray(current) && Array.isArray(change)) {
      const rule = fieldRule(schema, key, schemas)
      const merged = isDeleteList
        ? deleteFromList(current, change)
        : rule.strategy === 'merge'
          ? mergeList(current, change, rule, schemas)
          : (withoutDirectives(change) as Json[])
      setOwn(original, key, merged)
    } else if (!isDeleteList) {
      setOwn(original, key, withoutDirectives(change))
    }
  }
  return original
}

function fieldOf(key: string, prefix: string, wrong: string): string {
  if (key.charAt(prefix.length) !== '/') throw badRequest(wrong)
  return key.slice(prefix.length + 1)
}

/** `$retainKeys` names all the fields that the object may keep; what the patch sets must be among them. */
function applyRetainKeys(original: JsonObject, patch: JsonObject): void {
  const keep = own(patch, RETAIN_KEYS)
  if (keep === undefined) return
  if (!Array.isArray(keep)) throw badRequest('invalid patch format of retainKeys')
  const kept = new Set<Json>(keep)
  for (const key of Object.keys(patch)) {
    if (patch[key] === null || key === RETAIN_KEYS || key.startsWith(DELETE_FROM) || key.startsWith(SET_ORDER)) continue
    if (!kept.has(key)) throw badRequest('invalid patch format of retainKeys')
  }
  for (const key of Object.keys(original)) if (!kept.has(key)) delete original[key]
}

/** Merges the lists that come with a `$setElementOrder/<field>`; returns the keys of `patch` that are thereby done. */
function applyElementOrder(
  original: JsonObject,
  patch: JsonObject,
  schema: Schema | undefined,
  schemas: Schemas,
): Set<string> {
  const done = new Set<string>()
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(SET_ORDER)) continue
    done.add(key)
    const field = fieldOf(key, SET_ORDER, 'invalid patch format of setElementOrder list')
    const order = listArgument(patch[key])
    const current = own(original, field)
    const change = own(patch, field)
    if (current !== undefined && current !== null) listArgument(current)
    if (change !== undefined) listArgument(change)
    const rule = fieldRule(schema, field, schemas)
    const live = Array.isArray(current) ? current : undefined
    if (Array.isArray(change)) {
      done.add(field)
      checkOrder(change, order, rule.mergeKey)
    }
    if (live === undefined && change === undefined) continue
    let merged: Json[]
    if (!Array.isArray(change)) merged = live ?? []
    else if (live === undefined) merged = withoutDirectives(change) as Json[]
    else if (rule.strategy === 'merge') merged = mergeList(live, change, rule, schemas)
    else merged = withoutDirectives(change) as Json[]
    setOwn(original, field, orderList(merged, order, live ?? [], rule.mergeKey))
  }
  return done
}

function listArgument(value: Json | undefined): Json[] {
  if (!Array.isArray(value)) {
    const kind = isObject(value) ? 'map[string]interface {}' : value === null ? '<nil>' : typeof value
    throw badRequest(`expected a []interface {}, but received a ${kind}`)
  }
  return value
}

/** The items of the patch must come in the order that `$setElementOrder` names, and must all be named there. */
function checkOrder(change: Json[], order: Json[], mergeKey: string): void {
  if (change.length === 0 || order.length === 0) return
  let at = 0
  for (const item of change) {
    if (mergeKey !== '' && isObject(item) && own(item, PATCH) !== undefined) continue
    const key = mergeKey === '' ? item : mergeKeyOf(item, mergeKey)
    while (at < order.length && (mergeKey === '' ? order[at]! : mergeKeyOf(order[at]!, mergeKey)) !== key) at++
    if (at === order.length) {
      throw badRequest(
        `The order in patch list:\n${goValue(change)}\n doesn't match ${SET_ORDER} list:\n${goValue(order)}\n`,
      )
    }
    at++
  }
}

/** A list whose strategy is merge: objects by their merge key, scalars as a set. */
function mergeList(original: Json[], change: Json[], rule: FieldRule, schemas: Schemas): Json[] {
  if (original.length === 0 && change.length === 0) return original
  const kind = elementKind(original, change)
  if (kind !== 'object') return orderList(mergeScalars(original, change), change, original, '')
  const { mergeKey } = rule
  if (mergeKey === '') throw badRequest('cannot merge lists without merge key for type map')
  const itemSchema = rule.schema === undefined ? undefined : schemas.resolve(rule.schema).items
  const { list, items } = applyItemDirectives(original, change as JsonObject[], mergeKey)

  const position = new Map<Json, number>()
  list.forEach((item, i) => {
    const key = own(item as JsonObject, mergeKey)
    if (key !== undefined && !position.has(key)) position.set(key, i)
  })
  for (const item of items) {
    const key = mergeKeyOf(item, mergeKey)
    const at = position.get(key)
    if (at === undefined) {
      position.set(key, list.length)
      list.push(withoutDirectives(item))
    } else {
      list[at] = mergeMap(list[at] as JsonObject, item, itemSchema, schemas)
    }
  }
  return orderList(list, items, original, mergeKey)
}

function elementKind(...lists: Json[][]): string {
  let kind: string | undefined
  for (const list of lists) {
    for (const item of list) {
      if (Array.isArray(item)) {
        throw new ApiError('Invalid', 'the server rejected our request due to an error in our request', {
          causes: [{ message: 'lists of lists are not supported' }],
        })
      }
      const found = item === null ? 'null' : typeof item
      if (kind !== undefined && kind !== found) {
        throw badRequest(`list element types are not identical: ${goShape(lists)}`)
      }
      kind = found
    }
  }
  return kind ?? 'object'
}

/** Carries out the `$patch` of items: delete removes the item with that key, replace drops what the list had. */
function applyItemDirectives(
  original: Json[],
  change: JsonObject[],
  mergeKey: string,
): { list: Json[]; items: JsonObject[] } {
  let list = [...original]
  const items: JsonObject[] = []
  let replace = false
  for (const item of change) {
    const directive = own(item, PATCH)
    if (directive === undefined) items.push(item)
    else if (directive === 'delete') {
      const key = mergeKeyOf(item, mergeKey)
      list = list.filter((other) => own(other as JsonObject, mergeKey) !== key)
    } else if (directive === 'replace') replace = true
    else if (directive === 'merge') throw badRequest('merging lists cannot yet be specified in the patch')
    else throw badRequest(`unknown patch type: ${goValue(directive)} in map: ${goShape(item)}`)
  }
  return replace ? { list: items.map((item) => withoutDirectives(item)), items: [] } : { list, items }
}

/** What a part of the patch means where the document has nothing: its values, without nulls and directives. */
function withoutDirectives(value: Json): Json {
  if (Array.isArray(value)) {
    return value.filter((item) => !isObject(item) || own(item, PATCH) === undefined).map(withoutDirectives)
  }
  if (!isObject(value)) return value
  if (own(value, PATCH) === 'delete') return {}
  const out: JsonObject = {}
  for (const key of Object.keys(value)) {
    const child = value[key]
    if (child === undefined || child === null || key === PATCH || key === RETAIN_KEYS) continue
    if (key.startsWith(DELETE_FROM) || key.startsWith(SET_ORDER)) continue
    setOwn(out, key, withoutDirectives(child))
  }
  return out
}
