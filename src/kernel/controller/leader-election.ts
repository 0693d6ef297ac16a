import type { KubeObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import type { Client, ResourceId } from '../client/client.ts'
import type { Clock, Log } from '../feature.ts'
import { sleep, type Timers } from './timers.ts'

export type LeaderElectionOptions = {
  client: Pick<Client, 'get' | 'create' | 'update'>
  /** Of the Lease. */
  namespace: string
  name: string
  /** Who we are; two processes must never have the same. */
  identity: string
  /** After this long without a renewal others may take over (default 15 s). */
  leaseDurationMs?: number
  /** A leader that could not renew for this long stops; shorter than leaseDurationMs (default 10 s). */
  renewDeadlineMs?: number
  /** Between attempts (default 2 s). */
  retryPeriodMs?: number
  clock: Clock
  timers: Timers
  random?: () => number
  log: Log
  /**
   * Runs while we lead; its signal aborts when we no longer do. When it returns by itself the lease is given back and
   * the election begins anew.
   */
  lead: (signal: AbortSignal) => Promise<void>
  onNewLeader?: (identity: string) => void
}

const LEASES: ResourceId = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' }

/** Times in Leases are MicroTime. */
export const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')

/**
 * Leader election on a Lease, as client-go does it. Clocks of the candidates need not agree: each counts from the
 * moment when it saw the Lease change last, on its own monotonic clock. Only the speeds must agree, roughly.
 * Runs until the signal aborts; a leader then waits for `lead` to end and gives the lease back.
 */
export async function runLeaderElection(options: LeaderElectionOptions, signal: AbortSignal): Promise<void> {
  const candidate = new Candidate(options)
  while (!signal.aborted) {
    if (!(await candidate.acquire(signal))) return
    await candidate.leadUntilLost(signal)
  }
}

class Candidate {
  readonly #options: LeaderElectionOptions
  readonly #leaseDurationMs: number
  readonly #renewDeadlineMs: number
  readonly #retryPeriodMs: number
  #observed: KubeObject | undefined
  #observedVersion: string | undefined
  #observedAt = 0
  #reportedLeader: string | undefined

  constructor(options: LeaderElectionOptions) {
    this.#options = options
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000
    if (this.#renewDeadlineMs >= this.#leaseDurationMs) throw new Error('renewDeadlineMs must be below leaseDurationMs')
    if (this.#retryPeriodMs >= this.#renewDeadlineMs) throw new Error('retryPeriodMs must be below renewDeadlineMs')
  }

  /** True when we lead, false when the signal aborted before. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    const { timers, random = Math.random } = this.#options
    while (!signal.aborted) {
      if (await this.#attempt()) return true
      await sleep(timers, this.#retryPeriodMs * (1 + 0.2 * random()), signal)
    }
    return false
  }

  async leadUntilLost(signal: AbortSignal): Promise<void> {
    const { lead, log, identity, name } = this.#options
    log('info', `leading ${name} as ${identity}`)
    const leading = new AbortController()
    const stop = (): void => leading.abort()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    const renewing = this.#renew(leading)
    try {
      await lead(leading.signal)
    } finally {
      leading.abort()
      signal.removeEventListener('abort', stop)
      const stillOurs = await renewing
      if (stillOurs) await this.#release()
    }
  }

  /** Renews until `leading` aborts (true: still ours) or the lease is lost (false; it aborts `leading`). */
  async #renew(leading: AbortController): Promise<boolean> {
    const { timers, log, name } = this.#options
    let renewedAt = timers.monotonic()
    for (;;) {
      await sleep(timers, this.#retryPeriodMs, leading.signal)
      if (leading.signal.aborted) return true
      const left = this.#renewDeadlineMs - (timers.monotonic() - renewedAt)
      const attemptedAt = timers.monotonic()
      if (left > 0 && (await this.#within(left, this.#attempt()))) {
        renewedAt = attemptedAt
      } else if (timers.monotonic() - renewedAt >= this.#renewDeadlineMs || this.#holder() !== this.#options.identity) {
        log('warn', `lost the lead of ${name}: ${this.#holder() ?? 'nobody'} holds it`)
        leading.abort()
        return false
      }
    }
  }

  /** False when the attempt takes longer than `ms`: it may hang on a connection that is gone. */
  async #within(ms: number, attempt: Promise<boolean>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const cancel = this.#options.timers.after(ms, () => resolve(false))
    try {
      return await Promise.race([attempt, promise])
    } finally {
      cancel()
    }
  }

  /** Takes or renews the lease if we may. Failures to reach the server count as no. */
  async #attempt(): Promise<boolean> {
    const { client, namespace, name, identity, log } = this.#options
    try {
      const current = await client.get(LEASES, namespace, name).catch((error: ApiError) => {
        if (error instanceof ApiError && error.reason === 'NotFound') return undefined
        throw error
      })
      if (current === undefined) {
        this.#observe(await client.create(LEASES, this.#lease(undefined)))
        return true
      }
      this.#observe(current)
      const holder = this.#holder()
      if (holder !== undefined && holder !== identity && this.#isFresh()) return false
      this.#observe(await client.update(LEASES, this.#lease(current)))
      return true
    } catch (error) {
      const raced = error instanceof ApiError && (error.reason === 'Conflict' || error.reason === 'AlreadyExists')
      log(raced ? 'debug' : 'warn', `lease ${namespace}/${name}: ${(error as Error).message}`)
      return false
    }
  }

  #isFresh(): boolean {
    const seconds = this.#observed?.['spec']?.leaseDurationSeconds
    const duration = typeof seconds === 'number' ? seconds * 1000 : this.#leaseDurationMs
    return this.#options.timers.monotonic() - this.#observedAt < duration
  }

  #holder(): string | undefined {
    const holder: unknown = this.#observed?.['spec']?.holderIdentity
    return typeof holder === 'string' && holder !== '' ? holder : undefined
  }

  #observe(lease: KubeObject): void {
    const version = lease.metadata.resourceVersion
    if (version === this.#observedVersion && this.#observed !== undefined) return
    this.#observed = lease
    this.#observedVersion = version
    this.#observedAt = this.#options.timers.monotonic()
    const holder = this.#holder()
    if (holder === undefined || holder === this.#reportedLeader) return
    this.#reportedLeader = holder
    this.#options.onNewLeader?.(holder)
  }

  #lease(current: KubeObject | undefined): KubeObject {
    const { namespace, name, identity, clock } = this.#options
    const now = microTime(clock.now())
    const spec = current?.['spec'] ?? {}
    const ours = spec.holderIdentity === identity
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: current?.metadata ?? { namespace, name },
      spec: {
        ...spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
        acquireTime: ours ? spec.acquireTime : now,
        renewTime: now,
        leaseTransitions: (spec.leaseTransitions ?? 0) + (current === undefined || ours ? 0 : 1),
      },
    }
  }

  /** Leaves the lease without a holder, so that another can lead at once. */
  async #release(): Promise<void> {
    const { client, clock, log, namespace, name, identity } = this.#options
    if (this.#observed === undefined || this.#holder() !== identity) return
    const now = microTime(clock.now())
    const spec = {
      ...this.#observed['spec'],
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: now,
      acquireTime: now,
    }
    try {
      this.#observe(await client.update(LEASES, { ...this.#observed, spec }))
    } catch (error) {
      log('warn', `lease ${namespace}/${name} was not given back: ${(error as Error).message}`)
    }
  }
}
