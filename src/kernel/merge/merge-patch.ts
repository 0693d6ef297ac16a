import type { Json, JsonObject } from '../api/object.ts'
import { boundedDepth, deepCopy, isObject, own, setOwn } from './json-value.ts'

/**
 * JSON merge patch (RFC 7386). Neither argument is changed, and the result shares nothing with them.
 * A patch that is no object replaces the whole document: whether the result is an object of the right kind is for the
 * caller to check.
 */
export function applyMergePatch(document: Json, patch: Json): Json {
  return boundedDepth(() => merge(document, patch))
}

function merge(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return deepCopy(patch)
  const out: JsonObject = {}
  if (isObject(target)) {
    for (const key of Object.keys(target)) {
      const value = target[key]
      if (value === undefined) continue
      const change = own(patch, key)
      if (change === null) continue
      setOwn(out, key, change === undefined ? deepCopy(value) : merge(value, change))
    }
  }
  for (const key of Object.keys(patch)) {
    const change = patch[key]
    if (change === undefined || change === null || Object.hasOwn(out, key)) continue
    setOwn(out, key, merge(undefined, change))
  }
  return out
}
