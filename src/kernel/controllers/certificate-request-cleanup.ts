import { X509Certificate } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { ControllerFactory } from '../feature.ts'
import type { ControllerOptions } from './options.ts'
import { CERTIFICATE_SIGNING_REQUESTS } from './resource-ids.ts'
import { sweeper } from './sweep.ts'

const HOUR = 3_600_000

type Condition = { type: string; lastUpdateTime?: string }

/**
 * Why a CertificateSigningRequest is no longer needed (kube-controller-manager's csrcleaner): issued or denied or failed
 * for an hour, pending for a day, approved and never issued for a day, or the certificate has expired.
 */
export function requestIsOver(request: KubeObject, now: number): string | undefined {
  const status = request['status'] as { conditions?: Condition[]; certificate?: string } | undefined
  const conditions = status?.conditions ?? []
  const issued = status?.certificate !== undefined && status.certificate !== ''
  const older = (time: string | null | undefined, age: number): boolean =>
    time !== undefined && time !== null && now - Date.parse(time) > age
  const { creationTimestamp } = request.metadata
  if (conditions.length === 0) return older(creationTimestamp, 24 * HOUR) ? 'pending for 24 hours' : undefined
  for (const { type, lastUpdateTime } of conditions) {
    if (type === 'Denied' && older(lastUpdateTime, HOUR)) return 'denied an hour ago'
    if (type === 'Failed' && older(lastUpdateTime, HOUR)) return 'failed an hour ago'
    if (type !== 'Approved') continue
    if (!issued && older(creationTimestamp, 24 * HOUR)) return 'approved and not issued for 24 hours'
    if (issued && older(lastUpdateTime, HOUR)) return 'issued an hour ago'
    if (issued && certificateEnds(status.certificate!) < now) return 'the certificate has expired'
  }
  return undefined
}

/** Milliseconds since the epoch; Infinity for what is not a certificate: then its age decides. */
function certificateEnds(base64Pem: string): number {
  try {
    return Date.parse(new X509Certificate(Buffer.from(base64Pem, 'base64')).validTo)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

export function certificateRequestCleanup(options: ControllerOptions = {}): ControllerFactory {
  return sweeper({
    ...options,
    name: 'certificate-request-cleanup',
    resource: CERTIFICATE_SIGNING_REQUESTS,
    periodMs: HOUR,
    reason: requestIsOver,
  })
}
