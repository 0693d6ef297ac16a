import type { KubeObject } from '../../../kernel/api/object.ts'
import { createInformer } from '../../../kernel/controller/informer.ts'
import { sleep, systemTimers } from '../../../kernel/controller/timers.ts'
import { sweeper } from '../../../kernel/controllers/sweep.ts'
import type { ControllerFactory } from '../../../kernel/feature.ts'
import type { ControlPlanePki, LeafName } from '../control-plane-pki.ts'
import type { Revocations } from '../revocation.ts'
import { ISSUED_CERTIFICATES, specOf } from './kind.ts'
import { CONTROL_PLANE_SIGNER, recordIssued } from './record.ts'

const HOUR = 3_600_000
/** Kept for a while after the end: whoever looks into yesterday's log finds whose certificate it was. */
const KEPT_MS = 24 * HOUR

/** Removes what stands for certificates that have expired. */
export const issuedCertificateExpiry: ControllerFactory = sweeper({
  name: 'issued-certificate-expiry',
  resource: ISSUED_CERTIFICATES,
  periodMs: HOUR,
  reason: (object, now) => (now > Date.parse(specOf(object).notAfter) + KEPT_MS ? 'it expired a day ago' : undefined),
})

/**
 * Every API server for itself: a certificate whose object has `revokedAt` goes onto the list of revoked ones. The list outlives the object and
 * is in force before the first request of the next start.
 */
export function certificateRevocation(revocations: Pick<Revocations, 'isRevoked' | 'revoke'>): ControllerFactory {
  return ({ client, log }) => ({
    name: 'certificate-revocation',
    run: async (signal) => {
      const issued = createInformer({ client, resource: ISSUED_CERTIFICATES, log })
      const look = ({ metadata, spec }: KubeObject): void => {
        const serialNumber = metadata.name!
        if (spec?.revokedAt === undefined || revocations.isRevoked(serialNumber, '')) return
        try {
          revocations.revoke({ serialNumber })
          log('info', 'a certificate was revoked', { serialNumber, subject: spec.commonName })
        } catch (error) {
          log('error', 'a revocation could not be written down', { serialNumber, error: (error as Error).message })
        }
      }
      issued.addHandler({ onAdd: look, onUpdate: look })
      await issued.run(signal)
    },
  })
}

const RETRY_MS = 5000

/** Every control plane for itself: its own leaves have their objects, after each renewal too. */
export function ownCertificateRecords(pki: ControlPlanePki, identity: string): ControllerFactory {
  return ({ client, log }) => ({
    name: 'own-certificate-records',
    run: async (signal) => {
      let wake = (): void => undefined
      // Each as it was issued: the next renewal may come before this one is recorded.
      const waiting: { request: string; cert: string }[] = []
      const add = (names: readonly LeafName[]): void => {
        for (const name of names) waiting.push({ request: name, cert: pki.leaf(name).cert })
        wake()
      }
      const stop = pki.onChange(({ issued }) => add(issued))
      signal.addEventListener('abort', () => wake(), { once: true })
      add(pki.leafNames)
      try {
        while (!signal.aborted) {
          const changed = new Promise<void>((resolve) => {
            wake = resolve
          })
          try {
            for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
              const { request, cert } = next
              await recordIssued(client, cert, { signerName: CONTROL_PLANE_SIGNER, request, requestedBy: identity })
              waiting.shift()
            }
            if (!signal.aborted) await changed
          } catch (error) {
            if (signal.aborted) return
            log('warn', `the control plane's certificates are not recorded: ${(error as Error).message}; trying again`)
            await sleep(systemTimers, RETRY_MS, signal)
          }
        }
      } finally {
        stop()
      }
    },
  })
}
