import type { Client, ResourceId } from '../../../kernel/client/client.ts'
import type { Clock, Log } from '../../../kernel/feature.ts'
import type { Pod } from '../engine/pod.ts'
import type { TokenSpec } from './payload.ts'

const SERVICE_ACCOUNTS: ResourceId = { group: '', version: 'v1', resource: 'serviceaccounts' }
const DAY_MS = 24 * 3_600_000
const JITTER_MS = 10_000

type Entry = { token: string; refreshAt: number; expiresAt: number }

/** When a token is asked for anew: at 80 % of its life, after a day at the latest (pkg/kubelet/token). */
export function refreshTime(issuedAt: number, expiresAt: number, random: number): number {
  return Math.min(issuedAt + (expiresAt - issuedAt) * 0.8, issuedAt + DAY_MS) - random * JITTER_MS
}

/** Tokens of service accounts bound to the pods that they are for (TokenRequest), in memory only. */
export class ServiceAccountTokens {
  readonly #client: Pick<Client, 'create'>
  readonly #clock: Clock
  readonly #log: Log
  readonly #entries: Map<string, Entry> = new Map()

  constructor(client: Pick<Client, 'create'>, clock: Clock, log: Log) {
    this.#client = client
    this.#clock = clock
    this.#log = log
  }

  /** Rejects when there is none that is valid and none can be had. */
  async get(pod: Pod, { audience, expirationSeconds }: TokenSpec): Promise<string> {
    const key = JSON.stringify([pod.uid, audience, expirationSeconds])
    const known = this.#entries.get(key)
    const now = this.#clock.now()
    if (known !== undefined && now < known.refreshAt) return known.token
    try {
      const answer = await this.#client.create(
        SERVICE_ACCOUNTS,
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          metadata: { namespace: pod.namespace },
          spec: {
            ...(audience === '' ? {} : { audiences: [audience] }),
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid },
          },
        },
        { subresource: 'token', name: pod.spec.serviceAccountName || 'default' },
      )
      const { token = '', expirationTimestamp = '' } = (answer['status'] ?? {}) as {
        token?: string
        expirationTimestamp?: string
      }
      const expiresAt = Date.parse(expirationTimestamp)
      if (token === '' || Number.isNaN(expiresAt)) throw new Error('the API server answered without a token')
      this.#entries.set(key, { token, expiresAt, refreshAt: refreshTime(now, expiresAt, Math.random()) })
      return token
    } catch (error) {
      const why = (error as Error).message
      if (known !== undefined && now < known.expiresAt) {
        this.#log('warn', `token of pod ${pod.namespace}/${pod.name} was not renewed: ${why}`)
        return known.token
      }
      throw new Error(`token of service account ${pod.spec.serviceAccountName || 'default'}: ${why}`)
    }
  }

  /** Those of a pod that has ended. */
  forget(uid: string): void {
    const prefix = JSON.stringify([uid]).slice(0, -1)
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key)
  }
}
