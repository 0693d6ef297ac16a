import { isDeepStrictEqual } from 'node:util'
import type { Json, JsonObject } from '../../api/object.ts'
import { type FieldError, fieldError } from '../../api/status.ts'
import type { Schema } from '../schema.ts'
import { isJsonObject } from './json.ts'
import { counterpart, validateListTypes } from './list-type.ts'
import { validateEmbedded } from './object-meta.ts'
import { hasRules, runRules } from './rules.ts'
import { type Finding, findings, type Path } from './validate.ts'

/** Errors after which rules could not rely on the types of what they look at. */
const BLOCKING: ReadonlySet<string> = new Set([
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
])

const UNCHECKED = fieldError.invalid(
  '<nil>',
  null,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
)

/**
 * A whole custom object against its version's schema, after pruning and defaulting. With `old`, what was wrong before
 * and has not changed is let pass (KEP-4008), and rules may look at oldSelf.
 */
export function validateCustom(object: JsonObject, schema: Schema, old?: JsonObject): FieldError[] {
  const found = findings(schema, object)
  const errors = (old === undefined ? found : found.filter((f) => !isUnchanged(f, schema, object, old))).map(
    (f) => f.error,
  )
  for (const key of Object.keys(schema.properties ?? {})) {
    if (key === 'metadata' || key === 'apiVersion' || key === 'kind') continue
    errors.push(...validateEmbedded(object[key], schema.properties![key]!, key))
  }
  const duplicates = validateListTypes(schema, object)
  if (duplicates.length > 0 && (old === undefined || validateListTypes(schema, old).length === 0))
    errors.push(...duplicates)
  if (!hasRules(schema)) return errors
  if (errors.some((error) => BLOCKING.has(error.type))) errors.push(UNCHECKED)
  else errors.push(...runRules(schema, object, old))
  return errors
}

/** Follows the path of a finding through both objects until they are equal or cannot be compared any more. */
function isUnchanged({ owner }: Finding, schema: Schema, object: Json, old: Json): boolean {
  const keys: (string | number)[] = []
  for (let path: Path | undefined = owner; path !== undefined; path = path.parent) keys.unshift(path.key)
  let node: Schema | undefined = schema
  let [value, before]: [Json | undefined, Json | undefined] = [object, old]
  for (const key of keys) {
    if (value === undefined || before === undefined) return false
    if (isDeepStrictEqual(value, before)) return true
    ;[node, value, before] = step(node, key, value, before)
  }
  return value !== undefined && before !== undefined && isDeepStrictEqual(value, before)
}

type Pair = [Schema | undefined, Json | undefined, Json | undefined]

function step(schema: Schema | undefined, key: string | number, value: Json, before: Json): Pair {
  if (typeof key === 'number') {
    if (!Array.isArray(value) || !Array.isArray(before)) return [undefined, undefined, undefined]
    const item = value[key]
    return [schema?.items, item, counterpart(schema, item, before)]
  }
  if (!isJsonObject(value) || !isJsonObject(before)) return [undefined, undefined, undefined]
  const next = schema?.properties?.[key] ?? schema?.additionalProperties
  return [
    typeof next === 'object' ? next : undefined,
    Object.hasOwn(value, key) ? value[key] : undefined,
    Object.hasOwn(before, key) ? before[key] : undefined,
  ]
}
