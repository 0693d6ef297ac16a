import { createHash } from 'node:crypto'
import type { KubeObject } from '../api/object.ts'
import type { Client } from '../client/client.ts'
import { microTime } from '../controller/leader-election.ts'
import { sleep, systemTimers } from '../controller/timers.ts'
import type { ControllerFactory } from '../feature.ts'
import { ifFound, unless } from './api-errors.ts'
import type { ControllerOptions } from './options.ts'
import { LEASES } from './resource-ids.ts'

/** Labels of KEP-1965, by which the Leases of API servers are found. */
export const IDENTITY_LABEL = 'apiserver.kubernetes.io/identity'
export const IDENTITY_VALUE = 'kube-apiserver'
/** `host:port` where other machines reach this API server; from these the endpoints of default/kubernetes are made. */
export const ADDRESS_ANNOTATION = 'rampart.dev/advertise-address'

const RENEW_MS = 10_000
const DURATION_SECONDS = 60

export type ApiServerIdentityOptions = ControllerOptions & {
  /** Distinct for each API server and the same after its restart, e.g. the host's name and the port. */
  identity: string
  /** Name of the host, for the label kubernetes.io/hostname. */
  hostname: string
  /** Where other machines reach this API server; undefined: nowhere. */
  advertise?: { address: string; port: number }
}

/** DNS-safe and short, whatever the identity is. */
export const identityLeaseName = (identity: string): string =>
  `apiserver-${createHash('sha256').update(identity).digest('hex').slice(0, 26)}`

/** Keeps this API server's identity Lease in kube-system renewed, and deletes it when the server stops. */
export function apiServerIdentity(options: ApiServerIdentityOptions): ControllerFactory {
  const { timers = systemTimers } = options
  const name = identityLeaseName(options.identity)
  return ({ client, clock, log }) => ({
    name: 'apiserver-identity',
    run: async (signal) => {
      let registered = false
      while (!signal.aborted) {
        try {
          await renew(client, name, options, clock.now())
          registered = true
        } catch (error) {
          log('warn', `apiserver-identity: ${(error as Error).message}`)
        }
        await sleep(timers, registered ? RENEW_MS : 1000, signal)
      }
      const removed = client.delete(LEASES, 'kube-system', name)
      await unless(removed, 'NotFound').catch((error: Error) => {
        log('warn', `apiserver-identity: the lease stays until it expires: ${error.message}`)
      })
    },
  })
}

async function renew(client: Client, name: string, options: ApiServerIdentityOptions, now: number): Promise<void> {
  const current = await ifFound(client.get(LEASES, 'kube-system', name))
  const { advertise, hostname, identity } = options
  const lease: KubeObject = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      ...current?.metadata,
      name,
      namespace: 'kube-system',
      labels: {
        ...current?.metadata.labels,
        [IDENTITY_LABEL]: IDENTITY_VALUE,
        'kubernetes.io/hostname': hostname,
      },
      annotations: {
        ...current?.metadata.annotations,
        [ADDRESS_ANNOTATION]: advertise === undefined ? '' : `${bracketed(advertise.address)}:${advertise.port}`,
      },
    },
    spec: { holderIdentity: identity, leaseDurationSeconds: DURATION_SECONDS, renewTime: microTime(now) },
  }
  if (current === undefined) await client.create(LEASES, lease)
  else await client.update(LEASES, lease)
}

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address)

/** The address and port that an identity Lease advertises. */
export function advertised(lease: KubeObject): { address: string; port: number } | undefined {
  const text = lease.metadata.annotations?.[ADDRESS_ANNOTATION] ?? ''
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  return match === null ? undefined : { address: (match[1] ?? match[2])!, port: Number(match[3]) }
}
