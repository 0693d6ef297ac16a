import type { JsonObject } from './object.ts'

/**
 * One table from Kubernetes' reason to HTTP code (apimachinery/pkg/apis/meta/v1, StatusReason*).
 */
export const REASONS = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServerTimeout: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type Reason = keyof typeof REASONS

export type StatusCause = { reason?: string; message?: string; field?: string }
export type StatusDetails = {
  name?: string
  group?: string
  kind?: string
  uid?: string
  causes?: StatusCause[]
  retryAfterSeconds?: number
}

export type Status = {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: JsonObject
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: StatusDetails
  code: number
}

/** An error that the API server answers as a Status. Thrown at boundaries; everything else thrown is a 500. */
export class ApiError extends Error {
  readonly reason: Reason
  readonly code: number
  readonly details: StatusDetails | undefined

  constructor(reason: Reason, message: string, details?: StatusDetails, code: number = REASONS[reason]) {
    super(message)
    this.name = 'ApiError'
    this.reason = reason
    this.code = code
    this.details = details
  }

  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    }
  }
}

const qualified = (group: string, resource: string): string => (group === '' ? resource : `${resource}.${group}`)

export const badRequest = (message: string): ApiError => new ApiError('BadRequest', message)
export const notFound = (group: string, resource: string, name: string): ApiError =>
  new ApiError('NotFound', `${qualified(group, resource)} "${name}" not found`, {
    name,
    group: group || undefined,
    kind: resource,
  })
export const alreadyExists = (group: string, resource: string, name: string): ApiError =>
  new ApiError('AlreadyExists', `${qualified(group, resource)} "${name}" already exists`, {
    name,
    group: group || undefined,
    kind: resource,
  })
export const conflict = (group: string, resource: string, name: string, why: string): ApiError =>
  new ApiError('Conflict', `Operation cannot be fulfilled on ${qualified(group, resource)} "${name}": ${why}`, {
    name,
    group: group || undefined,
    kind: resource,
  })
/** `why` is the authorizer's or admission step's own sentence. */
export const forbidden = (group: string, resource: string, name: string, why: string): ApiError =>
  new ApiError('Forbidden', `${qualified(group, resource)}${name === '' ? '' : ` "${name}"`} is forbidden: ${why}`, {
    name: name || undefined,
    group: group || undefined,
    kind: resource,
  })
/** `group` and `kind` are those of the object's kind, e.g. `Secret "x" is invalid: data: ...`. */
export function invalid(group: string, kind: string, name: string, errors: FieldError[]): ApiError {
  const messages = errors.map(fieldErrorMessage)
  const text = messages.length === 1 ? messages[0] : `[${[...new Set(messages)].join(', ')}]`
  return new ApiError('Invalid', `${group === '' ? kind : `${kind}.${group}`} "${name}" is invalid: ${text}`, {
    name: name || undefined,
    group: group || undefined,
    kind,
    causes: errors.map((e) => ({ reason: e.type, message: fieldErrorBody(e), field: e.field })),
  })
}
/** 410 for a resourceVersion that history no longer holds. */
export const expired = (message: string): ApiError => new ApiError('Expired', message)

/** apimachinery/pkg/util/validation/field: ErrorType values as they appear in causes[].reason. */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'InternalError'
  | 'FieldValueTypeInvalid'

export type FieldError = {
  type: FieldErrorType
  /** Path such as `spec.containers[0].name` or `metadata.labels[a/b]`. */
  field: string
  /** The offending value, where Kubernetes prints it (Invalid, NotSupported, Duplicate, NotFound, TooLong). */
  value?: unknown
  detail: string
}

const PREFIX: Record<FieldErrorType, string> = {
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  InternalError: 'Internal error',
  FieldValueTypeInvalid: 'Invalid value',
}

function fieldErrorBody(e: FieldError): string {
  const noValue =
    e.type === 'FieldValueRequired' ||
    e.type === 'FieldValueForbidden' ||
    e.type === 'FieldValueTooLong' ||
    e.type === 'InternalError'
  const value = noValue ? '' : `: ${printValue(e.value)}`
  return `${PREFIX[e.type]}${value}${e.detail === '' ? '' : `: ${e.detail}`}`
}

function printValue(value: unknown): string {
  if (value === undefined || value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

/** `spec.x: Invalid value: "y": why`, as Kubernetes prints it. */
export function fieldErrorMessage(e: FieldError): string {
  return `${e.field}: ${fieldErrorBody(e)}`
}

export const fieldError = {
  required: (field: string, detail = ''): FieldError => ({ type: 'FieldValueRequired', field, detail }),
  invalid: (field: string, value: unknown, detail: string): FieldError => ({
    type: 'FieldValueInvalid',
    field,
    value,
    detail,
  }),
  typeInvalid: (field: string, value: unknown, detail: string): FieldError => ({
    type: 'FieldValueTypeInvalid',
    field,
    value,
    detail,
  }),
  notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
    type: 'FieldValueNotSupported',
    field,
    value,
    detail: `supported values: ${supported.map((v) => JSON.stringify(v)).join(', ')}`,
  }),
  duplicate: (field: string, value: unknown): FieldError => ({ type: 'FieldValueDuplicate', field, value, detail: '' }),
  forbidden: (field: string, detail: string): FieldError => ({ type: 'FieldValueForbidden', field, detail }),
  notFound: (field: string, value: unknown): FieldError => ({ type: 'FieldValueNotFound', field, value, detail: '' }),
  /** `max` is the limit in bytes or characters as Kubernetes counts that field. */
  tooLong: (field: string, max: number): FieldError => ({
    type: 'FieldValueTooLong',
    field,
    detail: `may not be more than ${max} bytes`,
  }),
  tooMany: (field: string, actual: number, max: number): FieldError => ({
    type: 'FieldValueTooMany',
    field,
    value: actual,
    detail: `must have at most ${max} items`,
  }),
}
