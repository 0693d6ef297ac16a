import type { KubeObject } from '../api/object.ts'
import type { ControllerFactory } from '../feature.ts'
import { IDENTITY_LABEL, IDENTITY_VALUE } from './apiserver-identity.ts'
import type { ControllerOptions } from './options.ts'
import { LEASES } from './resource-ids.ts'
import { sweeper } from './sweep.ts'

/** True when the holder did not renew in time; a Lease that does not say when it ends has ended. */
export function leaseHasExpired(lease: KubeObject, now: number): boolean {
  const { renewTime, leaseDurationSeconds } = (lease['spec'] ?? {}) as {
    renewTime?: string
    leaseDurationSeconds?: number
  }
  if (renewTime === undefined || leaseDurationSeconds === undefined) return true
  return Date.parse(renewTime) + leaseDurationSeconds * 1000 < now
}

/**
 * Deletes the identity Leases of API servers that are gone (kube-apiserver's apiserver-lease-gc). No other Lease expires
 * in Kubernetes: a node's Lease is owned by its Node and goes with it, and a leader's is taken over.
 */
export function leaseExpiry(options: ControllerOptions = {}): ControllerFactory {
  return sweeper({
    ...options,
    name: 'lease-expiry',
    resource: LEASES,
    select: { namespace: 'kube-system', labelSelector: `${IDENTITY_LABEL}=${IDENTITY_VALUE}` },
    periodMs: 60_000,
    reason: (lease, now) => (leaseHasExpired(lease, now) ? 'its API server is gone' : undefined),
  })
}
