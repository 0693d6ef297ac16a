import { ApiError, type Reason } from '../api/status.ts'

export const isReason = (error: unknown, ...reasons: Reason[]): boolean =>
  error instanceof ApiError && reasons.includes(error.reason)

/** undefined instead of NotFound. */
export async function ifFound<T>(promise: Promise<T>): Promise<T | undefined> {
  return await unless(promise, 'NotFound')
}

/** undefined instead of an error with one of these reasons: someone else has done it already. */
export async function unless<T>(promise: Promise<T>, ...reasons: Reason[]): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (isReason(error, ...reasons)) return undefined
    throw error
  }
}
