import { ApiError, REASONS, type Reason, type Status, type StatusDetails } from '../api/status.ts'

/** Reason of an answer that is no Status, from its HTTP code (apimachinery's NewGenericServerResponse). */
const REASON_OF_CODE: Readonly<Record<number, Reason>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

export const isStatus = (value: unknown): value is Status =>
  typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Status'

/** The ApiError that a server meant by this answer; `body` is parsed JSON, or the text when it is not JSON. */
export function errorFromAnswer(code: number, body: unknown): ApiError {
  if (isStatus(body)) return errorFromStatus(body, code)
  const text = typeof body === 'string' ? body.trim().slice(0, 1024) : ''
  return new ApiError(
    REASON_OF_CODE[code] ?? 'InternalError',
    text === '' ? `the server answered ${code}` : `the server answered ${code}: ${text}`,
    undefined,
    code,
  )
}

export function errorFromStatus(status: Status, httpCode: number = 500): ApiError {
  const code = typeof status.code === 'number' && status.code > 0 ? status.code : httpCode
  const known = status.reason !== undefined && Object.hasOwn(REASONS, status.reason)
  const reason = known ? (status.reason as Reason) : (REASON_OF_CODE[code] ?? 'InternalError')
  return new ApiError(reason, status.message ?? reason, status.details as StatusDetails | undefined, code)
}
