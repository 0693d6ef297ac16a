import { isDeepStrictEqual } from 'node:util'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError } from '../../kernel/api/status.ts'
import type { Client, ResourceId } from '../../kernel/client/client.ts'
import { sleep, type Timers } from '../../kernel/controller/timers.ts'
import type { Log } from '../../kernel/feature.ts'
import type { PodStatus } from './engine/status-types.ts'

export const PODS: ResourceId = { group: '', version: 'v1', resource: 'pods' }

const OWN_CONDITIONS = new Set(['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'])
const RETRY_MS = [200, 1000, 5000, 10_000]

type Wanted = { object: KubeObject; status: PodStatus }

/**
 * Writes pod statuses: the last one counts, one request per pod at a time, none when the API server has it already.
 * While the API server is away it goes on trying.
 */
export class StatusWriter {
  readonly #client: Pick<Client, 'get' | 'update'>
  readonly #log: Log
  readonly #timers: Timers
  readonly #wanted: Map<string, Wanted> = new Map()
  readonly #running: Map<string, Promise<void>> = new Map()
  /** What the API server is known to have, where that is newer than what the informer says. */
  readonly #written: Map<string, KubeObject> = new Map()
  readonly #stop: AbortController = new AbortController()

  constructor(client: Pick<Client, 'get' | 'update'>, timers: Timers, log: Log) {
    this.#client = client
    this.#timers = timers
    this.#log = log
  }

  set(object: KubeObject, status: PodStatus): void {
    const uid = object.metadata.uid!
    this.#wanted.set(uid, { object, status })
    if (!this.#running.has(uid))
      this.#running.set(
        uid,
        this.#run(uid).finally(() => this.#running.delete(uid)),
      )
  }

  /** Resolves when the pod's last status is written, or never will be. */
  async flush(uid: string): Promise<void> {
    await this.#running.get(uid)
  }

  forget(uid: string): void {
    this.#wanted.delete(uid)
    this.#written.delete(uid)
  }

  close(): void {
    this.#stop.abort()
  }

  async #run(uid: string): Promise<void> {
    let failures = 0
    for (let wanted = this.#wanted.get(uid); wanted !== undefined; wanted = this.#wanted.get(uid)) {
      if (this.#stop.signal.aborted) return
      try {
        await this.#write(uid, wanted)
        if (this.#wanted.get(uid) === wanted) this.#wanted.delete(uid)
        failures = 0
      } catch (error) {
        const { namespace, name } = wanted.object.metadata
        if (error instanceof ApiError && error.reason === 'NotFound') {
          this.forget(uid)
          return
        }
        if (error instanceof ApiError && error.reason === 'Conflict') {
          this.#written.delete(uid)
          if (++failures < 5) {
            const fresh = await this.#client.get(PODS, namespace ?? '', name ?? '').catch(() => undefined)
            if (fresh !== undefined && fresh.metadata.uid !== uid) return this.forget(uid)
            if (fresh !== undefined) this.#written.set(uid, fresh)
            continue
          }
        } else failures++
        const refused = error instanceof ApiError && (error.reason === 'Invalid' || error.reason === 'Forbidden')
        this.#log('warn', `status of pod ${namespace}/${name} was not written: ${(error as Error).message}`)
        if (refused && this.#wanted.get(uid) === wanted) {
          this.#wanted.delete(uid)
          return
        }
        await sleep(this.#timers, RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? 10_000, this.#stop.signal)
      }
    }
  }

  async #write(uid: string, { object, status }: Wanted): Promise<void> {
    const known = this.#written.get(uid)
    const base = known !== undefined && newer(known, object) ? known : object
    const before = (base['status'] ?? {}) as PodStatus & { conditions?: PodStatus['conditions'] }
    // Conditions of others stay as the newest object has them.
    const foreign = (before.conditions ?? []).filter(({ type }) => !OWN_CONDITIONS.has(type ?? ''))
    const own = status.conditions
      .filter(({ type }) => OWN_CONDITIONS.has(type ?? ''))
      .map((condition) => {
        const old = before.conditions?.find(({ type }) => type === condition.type)
        return old?.status === condition.status && old?.lastTransitionTime != null
          ? { ...condition, lastTransitionTime: old.lastTransitionTime }
          : condition
      })
    const { resourceClaimStatuses, nominatedNodeName } = before as Record<string, unknown>
    const full = {
      ...status,
      conditions: [...own, ...foreign],
      ...(resourceClaimStatuses === undefined ? {} : { resourceClaimStatuses }),
      ...(nominatedNodeName === undefined ? {} : { nominatedNodeName }),
    }
    if (isDeepStrictEqual(plain(full), plain(before))) return
    this.#written.set(uid, await this.#client.update(PODS, { ...base, status: full }, { subresource: 'status' }))
  }
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Both were read from one server, whose revisions are numbers that grow. */
const newer = (a: KubeObject, b: KubeObject): boolean =>
  Number(a.metadata.resourceVersion ?? 0) > Number(b.metadata.resourceVersion ?? 0)
