import { createHash } from 'node:crypto'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client } from '../../kernel/client/client.ts'
import type { Clock, Log } from '../../kernel/feature.ts'
import { EVENTS } from './resource-ids.ts'

export type EventRecorder = { client: Client; clock: Clock; log: Log; component: string }

/**
 * Records a core/v1 Event about an object. The same words about the same object raise its count instead of making a
 * second one. Events inform: one that cannot be written is logged and stops nothing.
 */
export async function recordEvent(
  { client, clock, log, component }: EventRecorder,
  about: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): Promise<void> {
  const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
  const namespace = about.metadata.namespace ?? 'default'
  const words = createHash('sha256').update([about.metadata.uid, type, reason, message, component].join('\0'))
  const name = `${about.metadata.name}.${words.digest('hex').slice(0, 16)}`
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      name: about.metadata.name,
      ...(about.metadata.namespace === undefined ? {} : { namespace }),
      uid: about.metadata.uid,
      resourceVersion: about.metadata.resourceVersion,
    },
    type,
    reason,
    message,
    source: { component },
    reportingComponent: component,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  } as unknown as KubeObject
  try {
    await client.create(EVENTS, event)
  } catch (error) {
    try {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error
      const known = await client.get(EVENTS, namespace, name)
      const count = Number(known['count'] ?? 1) + 1
      await client.patch(EVENTS, namespace, name, 'merge', { count, lastTimestamp: now })
    } catch (failure) {
      log('warn', `event ${reason} about ${about.kind} ${about.metadata.name}: ${(failure as Error).message}`)
    }
  }
}
