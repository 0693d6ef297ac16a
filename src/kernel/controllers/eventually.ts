import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

/** For tests: asks until the check no longer throws; after ten seconds its error is the test's. */
export async function eventually<T>(check: () => Promise<T> | T): Promise<T> {
  const end = Date.now() + 10_000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await delay(10)
    }
  }
}

/** For tests: resolves when the promise rejects with NotFound. */
export async function gone(get: () => Promise<unknown>): Promise<void> {
  await eventually(async () => {
    await assert.rejects(get(), (error: { reason?: string }) => error.reason === 'NotFound')
  })
}
