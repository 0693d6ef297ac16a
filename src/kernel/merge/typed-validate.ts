import type { Json, JsonObject } from '../api/object.ts'
import { goValue } from './go-value.ts'
import { isObject } from './json-value.ts'
import { listElement } from './list-element.ts'
import type { MergeType } from './merge-type.ts'
import { printElement } from './path-element.ts'
import { shapeOf } from './typed-compare.ts'

const MAX_ERRORS = 50

/**
 * Checks an applied configuration against its type, as structured-merge-diff does: fields that nothing declares, wrong
 * shapes, items of lists without their keys and items with the same keys. Returns messages such as
 * `.spec.replicas: expected numeric (int or float), got string`; at most 50.
 */
export function validateTyped(type: MergeType, config: JsonObject): string[] {
  const errors: string[] = []
  validate(type, config, '', errors)
  return errors
}

function validate(type: MergeType, value: Json, path: string, errors: string[]): void {
  if (value === null || errors.length >= MAX_ERRORS) return
  const report = (why: string): void => {
    errors.push(path === '' ? why : `${path}: ${why}`)
  }
  const shape = shapeOf(type, value)
  if (shape === 'map') validateMap(type, value as JsonObject, path, errors)
  else if (shape === 'list') validateList(type, value as Json[], path, errors)
  else if (type.scalar === undefined) {
    report(`expected ${type.map !== undefined ? 'map' : 'list'}, got &{${goValue(value)}}`)
  } else if (type.scalar === 'numeric' && typeof value !== 'number') {
    report(`expected numeric (int or float), got ${goType(value)}`)
  } else if (type.scalar === 'string' && typeof value !== 'string') {
    report(`expected string, got &value.valueUnstructured{Value:${JSON.stringify(value)}}`)
  } else if (type.scalar === 'boolean' && typeof value !== 'boolean') {
    report(`expected boolean, got &{${goValue(value)}}`)
  }
}

function goType(value: Json): string {
  if (Array.isArray(value)) return '[]interface {}'
  if (isObject(value)) return 'map[string]interface {}'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function validateMap(type: MergeType, value: JsonObject, path: string, errors: string[]): void {
  const map = type.map!
  for (const name of Object.keys(value)) {
    const child = value[name]
    if (child === undefined) continue
    const childPath = `${path}.${name}`
    const childType = map.fields.get(name)?.type ?? map.element
    if (childType === undefined) errors.push(`${childPath}: field not declared in schema`)
    else validate(childType, child, childPath, errors)
  }
}

function validateList(type: MergeType, items: Json[], path: string, errors: string[]): void {
  const list = type.list!
  if (list.kind === 'atomic') {
    items.forEach((item, i) => {
      validate(list.element, item, `${path}[${i}]`, errors)
    })
    return
  }
  const seen = new Set<string>()
  for (const [i, item] of items.entries()) {
    const found = listElement(list, item)
    if ('why' in found) {
      errors.push(`${path}: element ${i}: ${found.why}`)
      return
    }
    if (seen.has(found.element)) errors.push(`${path}: duplicate entries for key ${printElement(found.element)}`)
    seen.add(found.element)
    validate(list.element, item, path + printElement(found.element), errors)
  }
}
