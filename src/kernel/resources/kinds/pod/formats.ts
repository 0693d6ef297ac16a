import { type FieldError, fieldError } from '../../../api/status.ts'
import { parseAddress, validateIP } from '../../validation/addresses.ts'
import { patternMessage, portName, portNumber, rangeMessage } from '../../validation/names.ts'
import type { IntOrString } from './types.ts'

/** Small formats that many kinds share (apimachinery/pkg/util/validation, texts of 1.32). */

export const NOT_NEGATIVE = 'must be greater than or equal to 0'
export const NOT_POSITIVE = 'must be greater than zero'
export const MAX_INT32 = 2_147_483_647

/** One Invalid error for each message. */
export function invalidEach(errors: FieldError[], path: string, value: unknown, messages: readonly string[]): void {
  for (const message of messages) errors.push(fieldError.invalid(path, value, message))
}

/** Undefined is fine. */
export function nonNegative(value: number | null | undefined, path: string, errors: FieldError[]): void {
  if (value != null && value < 0) errors.push(fieldError.invalid(path, value, NOT_NEGATIVE))
}

/** Required when empty, NotSupported when not one of `supported` (printed in the given order). */
export function oneOf(
  value: string | null | undefined,
  supported: readonly string[],
  path: string,
  errors: FieldError[],
): void {
  if (!value) errors.push(fieldError.required(path))
  else if (!supported.includes(value)) errors.push(fieldError.notSupported(path, value, supported))
}

/** As oneOf, but a missing value is fine. */
export function oneOfIfSet(
  value: string | null | undefined,
  supported: readonly string[],
  path: string,
  errors: FieldError[],
): void {
  if (value != null && !supported.includes(value)) errors.push(fieldError.notSupported(path, value, supported))
}

/** A port by number or by name. */
export function portNumberOrName(port: IntOrString | null | undefined, path: string, errors: FieldError[]): void {
  if (typeof port === 'string') invalidEach(errors, path, port, portName(port))
  else invalidEach(errors, path, port ?? 0, portNumber(port ?? 0))
}

/** User and group IDs: int32, not negative. */
export function idNumber(id: number | null | undefined, path: string, errors: FieldError[]): void {
  if (id != null && !(id >= 0 && id <= MAX_INT32)) errors.push(fieldError.invalid(path, id, rangeMessage(0, MAX_INT32)))
}

/** 4, 6, or 0 for what is no address. */
export function ipFamily(text: string): 0 | 4 | 6 {
  return parseAddress(text)?.family ?? 0
}

export function ipAddress(text: string | null | undefined, path: string, errors: FieldError[]): void {
  errors.push(...validateIP(text ?? '', path))
}

const percentMessage = patternMessage(
  "a valid percent string must be a numeric string followed by an ending '%'",
  '[0-9]+%',
  '1%',
  '93%',
)
const PERCENT = /^[0-9]+%$/

/** A count, or a percentage such as '25%'. */
export function intOrPercent(value: IntOrString | null | undefined, path: string, errors: FieldError[]): void {
  if (typeof value === 'string') {
    if (!PERCENT.test(value)) errors.push(fieldError.invalid(path, value, percentMessage))
  } else nonNegative(value ?? 0, path, errors)
}

export function notMoreThan100Percent(value: IntOrString | null | undefined, path: string, errors: FieldError[]): void {
  if (typeof value === 'string' && PERCENT.test(value) && Number(value.slice(0, -1)) > 100)
    errors.push(fieldError.invalid(path, value, 'must not be greater than 100%'))
}

/** The number of a count or of a percentage; 0 for anything else. */
export function intOrPercentValue(value: IntOrString | null | undefined): number {
  if (typeof value === 'number') return value
  return Number.parseInt(value ?? '', 10) || 0
}

const HEADER_NAME = /^[-A-Za-z0-9]+$/
const headerMessage = patternMessage(
  "a valid HTTP header must consist of alphanumeric characters or '-'",
  '[-A-Za-z0-9]+',
  'X-Header-Name',
)

export function httpHeaderName(name: string): string[] {
  return HEADER_NAME.test(name) ? [] : [headerMessage]
}

/** No `..` element in a path of the node. */
export function noBacksteps(path: string, at: string, errors: FieldError[]): void {
  if (path.includes('..') && path.split('/').includes('..'))
    errors.push(fieldError.invalid(at, path, "must not contain '..'"))
}

/** Relative, and without `..` elements. */
export function localDescendingPath(path: string, at: string, errors: FieldError[]): void {
  if (path.startsWith('/')) errors.push(fieldError.invalid(at, path, 'must be a relative path'))
  noBacksteps(path, at, errors)
}

/** As localDescendingPath, and not beginning with two dots: those names are the kubelet's own. */
export function localNonReservedPath(path: string, at: string, errors: FieldError[]): void {
  localDescendingPath(path, at, errors)
  if (path.startsWith('..') && !path.startsWith('../'))
    errors.push(fieldError.invalid(at, path, "must not start with '..'"))
}
