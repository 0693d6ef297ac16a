import type { KubeObject } from '../api/object.ts'
import { createInformer } from '../controller/informer.ts'
import type { ReconcileResult } from '../controller/reconciler.ts'
import { keyOf, splitKey } from '../controller/store.ts'
import { WorkQueue } from '../controller/workqueue.ts'
import type { ControllerFactory } from '../feature.ts'
import { unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { SECRETS } from './resource-ids.ts'
import { runLoop } from './run-loop.ts'

const TOKEN_TYPE = 'bootstrap.kubernetes.io/token'
/** A timer is not trusted for longer: the wall clock may be set in the meantime. */
const LOOK_AGAIN_MS = 3_600_000

/**
 * Milliseconds since the epoch; undefined: never. An expiration that is not a time has passed: nobody could use the
 * token (k8s.io/cluster-bootstrap GetExpiration).
 */
export function tokenExpires(secret: KubeObject): number | undefined {
  const encoded = (secret['data'] as Record<string, string> | undefined)?.['expiration']
  if (encoded === undefined || encoded === '') return undefined
  const time = Date.parse(Buffer.from(encoded, 'base64').toString('utf8'))
  return Number.isNaN(time) ? 0 : time
}

/** Deletes bootstrap tokens in kube-system when they expire (kube-controller-manager's tokencleaner). */
export function bootstrapTokenExpiry(options: ControllerOptions = {}): ControllerFactory {
  return ({ client, clock, log }) => ({
    name: 'bootstrap-token-expiry',
    run: async (signal) => {
      const queue = new WorkQueue(options.timers ? { timers: options.timers } : {})
      const secrets = createInformer({
        client,
        resource: SECRETS,
        namespace: 'kube-system',
        fieldSelector: `type=${TOKEN_TYPE}`,
        transform: expirationOnly,
        log,
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      })
      const enqueue = (secret: KubeObject): void => queue.add(keyOf(secret))
      secrets.addHandler({ onAdd: enqueue, onUpdate: enqueue })
      const reconcile = async (key: string): Promise<ReconcileResult | undefined> => {
        const secret = secrets.store.get(key)
        const expires = secret === undefined ? undefined : tokenExpires(secret)
        if (secret === undefined || expires === undefined) return undefined
        const left = expires - clock.now()
        if (left > 0) return { requeueAfterMs: Math.min(left, LOOK_AGAIN_MS) }
        const { namespace, name } = splitKey(key)
        const { uid, resourceVersion } = secret.metadata
        const preconditions = { uid: uid!, resourceVersion: resourceVersion! }
        await unless(client.delete(SECRETS, namespace, name, { preconditions }), 'NotFound', 'Conflict')
        return undefined
      }
      await runLoop({ informers: [secrets], queue, reconcile, workers: 1, log }, signal)
    },
  })
}

/** No token secret is kept in memory. */
function expirationOnly(secret: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = secret.metadata
  const expiration = (secret['data'] as Record<string, string> | undefined)?.['expiration']
  return {
    apiVersion: secret.apiVersion,
    kind: secret.kind,
    metadata: { name: name!, namespace: namespace!, uid: uid!, resourceVersion: resourceVersion! },
    data: expiration === undefined ? {} : { expiration },
  }
}
