import type { KubeObject } from '../api/object.ts'
import type { ControllerFactory } from '../feature.ts'
import type { ControllerOptions } from './options.ts'
import { EVENTS } from './resource-ids.ts'
import { sweeper } from './sweep.ts'

export type EventExpiryOptions = ControllerOptions & {
  /** kube-apiserver --event-ttl; default one hour. */
  eventTtlMs?: number
}

const HOUR = 3_600_000

/** When the event was last written, as far as it tells: kube-apiserver counts the TTL from the last write. */
export function lastSeen(event: KubeObject): number {
  const times = [
    event.metadata.creationTimestamp,
    event['lastTimestamp'],
    event['eventTime'],
    event['series']?.lastObservedTime,
  ]
  return Math.max(0, ...times.filter((time) => typeof time === 'string').map((time) => Date.parse(time) || 0))
}

/** Deletes Events an hour after they were last seen. The store has no keys that expire by themselves. */
export function eventExpiry(options: EventExpiryOptions = {}): ControllerFactory {
  const ttl = options.eventTtlMs ?? HOUR
  return sweeper({
    ...options,
    name: 'event-expiry',
    resource: EVENTS,
    periodMs: Math.min(60_000, ttl),
    // An event of the future (a clock was wrong) would stay for ever otherwise.
    reason: (event, now) => {
      const seen = Math.min(lastSeen(event), Date.parse(event.metadata.creationTimestamp ?? '') + 24 * HOUR || 0)
      return now - seen > ttl ? 'its time is over' : undefined
    },
  })
}
