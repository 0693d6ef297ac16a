import type { Controller, ControllerContext, ControllerFactory } from '../feature.ts'
import { Backoff } from './backoff.ts'
import { type LeaderElectionOptions, runLeaderElection } from './leader-election.ts'
import { sleep, systemTimers, type Timers } from './timers.ts'

export type RunnerOptions = {
  factories: readonly ControllerFactory[]
  context: ControllerContext
  /** undefined: no election, this process always leads. */
  election?: Pick<LeaderElectionOptions, 'namespace' | 'name' | 'identity'> &
    Partial<Pick<LeaderElectionOptions, 'leaseDurationMs' | 'renewDeadlineMs' | 'retryPeriodMs' | 'onNewLeader'>>
  timers?: Timers
  random?: () => number
}

/** A controller that ran this long before it crashed starts its back-off anew. */
const STEADY_MS = 60_000

/**
 * Runs every controller until the signal aborts, under leader election when told so: each time the lead is won they are
 * made anew. One that crashes is restarted with back-off and never takes the others down.
 */
export async function runControllers(options: RunnerOptions, signal: AbortSignal): Promise<void> {
  const lead = async (leading: AbortSignal): Promise<void> => {
    await Promise.all(options.factories.map((factory) => keepRunning(factory, options, leading)))
  }
  if (options.election === undefined) {
    await lead(signal)
    return
  }
  const { client, clock, log } = options.context
  await runLeaderElection(
    {
      ...options.election,
      client,
      clock,
      log,
      timers: options.timers ?? systemTimers,
      ...(options.random === undefined ? {} : { random: options.random }),
      lead,
    },
    signal,
  )
}

async function keepRunning(factory: ControllerFactory, options: RunnerOptions, signal: AbortSignal): Promise<void> {
  const { context, timers = systemTimers, random = Math.random } = options
  const backoff = new Backoff({ baseMs: 1000, maxMs: 60_000, jitter: 0.5, random })
  let name = factory.name
  while (!signal.aborted) {
    const started = timers.monotonic()
    let why = 'returned'
    // What the controller left running (informers, timers) stops with it.
    const own = new AbortController()
    const stop = (): void => own.abort()
    signal.addEventListener('abort', stop, { once: true })
    try {
      const controller: Controller = factory(context)
      name = controller.name
      await controller.run(own.signal)
    } catch (error) {
      why = `crashed: ${(error as Error).stack ?? String(error)}`
    } finally {
      signal.removeEventListener('abort', stop)
      own.abort()
    }
    if (signal.aborted) return
    if (timers.monotonic() - started >= STEADY_MS) backoff.reset()
    const delay = backoff.next()
    context.log('error', `controller ${name} ${why}; it starts again in ${Math.round(delay)} ms`, { controller: name })
    await sleep(timers, delay, signal)
  }
}
