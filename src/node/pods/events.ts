import { randomBytes } from 'node:crypto'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import { rfc3339 } from './engine/status.ts'

export type EventTarget = {
  kind: string
  namespace: string
  name: string
  uid: string
  apiVersion: string
  resourceVersion?: string
  fieldPath?: string
}
export type EventRecorder = {
  event: (target: EventTarget, type: 'Normal' | 'Warning', reason: string, message: string) => void
  /** Resolves when what was recorded so far has been sent or given up. */
  flush: () => Promise<void>
}

const EVENTS: ResourceId = { group: '', version: 'v1', resource: 'events' }
const COMPONENT = 'kubelet'
const MAX_MESSAGE = 1024
/** Events that wait while the API server is away; more are dropped. */
const MAX_QUEUE = 500
const MAX_KNOWN = 2048

type Known = { name: string; namespace: string; count: number }

/** Writes Events one after the other; the same thing said again only raises the count of the first. */
export function createEventRecorder(options: {
  client: Pick<Client, 'create' | 'patch'>
  host: string
  clock: Clock
  log: Log
}): EventRecorder {
  const { client, host, clock, log } = options
  const known = new Map<string, Known>()
  const queue: (() => Promise<void>)[] = []
  let running: Promise<void> | undefined
  let dropped = 0

  const run = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      try {
        await job()
      } catch (error) {
        log('debug', `an event was not written: ${(error as Error).message}`)
      }
    }
    running = undefined
    if (dropped > 0) log('warn', 'events were dropped: the API server did not take them in time', { dropped })
    dropped = 0
  }

  const write = async (
    target: EventTarget,
    type: string,
    reason: string,
    message: string,
    at: number,
  ): Promise<void> => {
    const key = JSON.stringify([target.uid, target.fieldPath, type, reason, message])
    const before = known.get(key)
    known.delete(key)
    if (before !== undefined) {
      try {
        const patch = { count: before.count + 1, lastTimestamp: rfc3339(at) }
        await client.patch(EVENTS, before.namespace, before.name, 'merge', patch)
        known.set(key, { ...before, count: before.count + 1 })
        return
      } catch (error) {
        // Events end after an hour; this one begins anew.
        if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error
      }
    }
    const namespace = target.namespace === '' ? 'default' : target.namespace
    const name = `${target.name}.${randomBytes(8).toString('hex')}`
    const time = rfc3339(at)
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace, name },
      involvedObject: { ...target },
      reason,
      message,
      source: { component: COMPONENT, host },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      type,
      reportingComponent: COMPONENT,
      reportingInstance: host,
    }
    await client.create(EVENTS, object)
    known.set(key, { name, namespace, count: 1 })
    const oldest = known.size > MAX_KNOWN ? known.keys().next().value : undefined
    if (oldest !== undefined) known.delete(oldest)
  }

  return {
    event: (target, type, reason, message) => {
      if (queue.length >= MAX_QUEUE) {
        dropped++
        return
      }
      const at = clock.now()
      const text = message.slice(0, MAX_MESSAGE)
      queue.push(() => write(target, type, reason, text, at))
      running ??= run()
    },
    flush: async () => await running,
  }
}
