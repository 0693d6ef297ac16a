import { ApiError } from '../api/status.ts'

/**
 * No answer came from the server: it could not be reached, its certificate was refused, or it was too slow. `cause`
 * is the error of the socket. An ApiError too, so that callers need only one kind of error.
 */
export class UnreachableError extends ApiError {
  constructor(reason: 'ServiceUnavailable' | 'Timeout', message: string, cause?: unknown) {
    super(reason, message)
    this.name = 'UnreachableError'
    if (cause !== undefined) this.cause = cause
  }
}
