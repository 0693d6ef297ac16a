import type { Json, JsonObject, KubeObject } from '../api/object.ts'
import { difference, type FieldSet } from './field-set.ts'
import { deepCopy, isObject, own, setOwn } from './json-value.ts'
import type { MergeType } from './merge-type.ts'
import { compare } from './typed-compare.ts'
import { fieldSetOf } from './typed-set.ts'
import { validateTyped } from './typed-validate.ts'

/** Where kubectl's client-side apply keeps the configuration that it applied last. */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** apimachinery/pkg/api/validation: TotalAnnotationSizeLimitB. */
const MAX_ANNOTATIONS = 256 * 1024

/**
 * The fields of the last client-side apply that still have the value it gave them. Server-side apply by kubectl may
 * take these over without a conflict: this is how an object moves from one to the other. Undefined: there are none.
 */
export function upgradableFields(type: MergeType, live: KubeObject, apiVersion: string): FieldSet | undefined {
  const text = live.metadata.annotations?.[LAST_APPLIED]
  if (text === undefined || text === '') return undefined
  let config: Json
  try {
    config = JSON.parse(text) as Json
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
  if (!isObject(config) || config['apiVersion'] !== apiVersion) return undefined
  if (validateTyped(type, config).length > 0) return undefined
  let fields = fieldSetOf(type, config)
  const found = compare(type, config, live as JsonObject)
  if (found !== undefined) {
    for (const set of [found.modified, found.added, found.removed]) fields = difference(fields, set)
  }
  return fields
}

/** Keeps the annotation true to what kubectl has just applied server-side. Changes `object`. */
export function syncLastApplied(object: KubeObject, config: KubeObject): void {
  const { annotations } = object.metadata
  if (annotations === undefined || (annotations[LAST_APPLIED] ?? '') === '') return
  const applied = deepCopy(config as JsonObject)
  const metadata = own(applied, 'metadata')
  const own_ = isObject(metadata) ? own(metadata, 'annotations') : undefined
  if (isObject(own_)) delete own_[LAST_APPLIED]
  annotations[LAST_APPLIED] = `${JSON.stringify(sorted(applied))}\n`
  let size = 0
  for (const key of Object.keys(annotations)) size += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? '')
  if (size > MAX_ANNOTATIONS) delete annotations[LAST_APPLIED]
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  const out: JsonObject = {}
  for (const key of Object.keys(value).sort()) setOwn(out, key, sorted(value[key]!))
  return out
}
