import type { Json } from '../api/object.ts'

/** A JSON value as Go's `%v` prints it; Kubernetes' patch errors quote values in this form. Cut at 1,000 characters. */
export function goValue(value: Json | undefined): string {
  const text = print(value)
  return text.length > 1000 ? `${text.slice(0, 1000)}...` : text
}

/**
 * A value without what is in it: `map[$patch:string data:map]`. For errors about maps, which may be those of a Secret;
 * errors travel further than answers, into logs and audit events.
 */
export function goShape(value: Json | undefined): string {
  if (Array.isArray(value)) return `[${value.map(goShape).join(' ')}]`.slice(0, 1000)
  if (typeof value !== 'object' || value === null) return typeOf(value)
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${key}:${typeOf(value[key])}`)
  return `map[${fields.join(' ')}]`.slice(0, 1000)
}

function typeOf(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return 'list'
  return typeof value === 'object' ? 'map' : typeof value
}

function print(value: Json | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(print).join(' ')}]`
  if (typeof value !== 'object') return String(value)
  const fields = Object.keys(value)
    .sort()
    .map((key) => `${key}:${print(value[key])}`)
  return `map[${fields.join(' ')}]`
}
