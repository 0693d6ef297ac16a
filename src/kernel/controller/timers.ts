/** Waiting and elapsed time, as a parameter: tests turn it by hand (fake-time.ts). */
export type Timers = {
  /** Milliseconds since some fixed moment; never goes back, whatever happens to the wall clock. */
  monotonic: () => number
  /** Calls `fn` once after `ms`; the result cancels it. */
  after: (ms: number, fn: () => void) => () => void
}

/** Node's longest timer; a longer wait is cut to it, and whoever waits looks again. */
const MAX_TIMER_MS = 2 ** 31 - 1

export const systemTimers: Timers = {
  monotonic: () => performance.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, Math.min(ms, MAX_TIMER_MS))
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`, or as soon as the signal aborts: look at `signal.aborted` afterwards. */
export function sleep(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve()
      return
    }
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = timers.after(ms, done)
    signal.addEventListener('abort', done, { once: true })
  })
}
