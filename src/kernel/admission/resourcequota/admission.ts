import type { KubeObject } from '../../api/object.ts'
import { ApiError } from '../../api/status.ts'
import type { Client, ResourceId } from '../../client/client.ts'
import type { Lookup } from '../lookup.ts'
import { refusal } from '../refusal.ts'
import type { AdmissionRequest, AdmissionStep } from '../types.ts'
import { addedUsage, evaluate } from './evaluate.ts'
import type { Usage } from './usage.ts'

export const RESOURCE_QUOTAS: ResourceId = { group: '', version: 'v1', resource: 'resourcequotas' }

/** Someone else (another server, the controller) wrote the same status: so often it is tried again. */
const ATTEMPTS = 10
/** Statuses of our own making that memory may not have seen yet; the oldest go first. */
const REMEMBERED = 1000

export type ResourceQuotaOptions = {
  lookup: Pick<Lookup, 'list'>
  client: Pick<Client, 'get' | 'update'>
}

type Waiter = { request: AdmissionRequest; added: Usage; settle: (error?: Error) => void }

/**
 * Counts what is created against the quotas of its namespace (plugin ResourceQuota, object counts). The room is taken
 * by an optimistic write of the quota's status before the object is stored, so that no two writers, on one server or on
 * several, get the same room. Requests of a namespace that wait at the same time are settled by one write together.
 */
export function resourceQuota(options: ResourceQuotaOptions): AdmissionStep {
  const { lookup, client } = options
  const waiting = new Map<string, Waiter[]>()
  const latest = new Map<string, KubeObject>()

  /** The newest state known of each quota of a namespace. */
  function quotasOf(namespace: string): KubeObject[] {
    return [...lookup.list('', 'resourcequotas', namespace)]
      .map((quota) => newer(quota, latest.get(quota.metadata.uid ?? '')))
      .sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1))
  }

  function hasQuota(namespace: string): boolean {
    for (const _ of lookup.list('', 'resourcequotas', namespace)) return true
    return false
  }

  function remember(quota: KubeObject): void {
    const uid = quota.metadata.uid ?? ''
    latest.delete(uid)
    latest.set(uid, quota)
    if (latest.size > REMEMBERED) latest.delete(latest.keys().next().value!)
  }

  async function work(namespace: string): Promise<void> {
    for (;;) {
      const batch = waiting.get(namespace)!
      if (batch.length === 0) break
      waiting.set(namespace, [])
      await settleBatch(namespace, batch).catch((error: Error) => {
        for (const waiter of batch) waiter.settle(error)
      })
    }
    waiting.delete(namespace)
  }

  async function settleBatch(namespace: string, batch: Waiter[]): Promise<void> {
    const written = new Set<string>()
    let open = batch
    for (let attempt = 1; open.length > 0; attempt++) {
      // Quotas that took this batch on an earlier attempt have counted it: only the others are asked again.
      const plan = planBatch(
        quotasOf(namespace).filter((quota) => !written.has(quota.metadata.uid ?? '')),
        open,
      )
      open = plan.admitted
      const conflicts = await write(plan.changed, written)
      if (conflicts === undefined) break
      if (attempt === ATTEMPTS) throw conflicts
    }
    for (const waiter of open) waiter.settle()
  }

  /** Returns the last conflict, if there was one; the newest state is known then. */
  async function write(changed: readonly KubeObject[], written: Set<string>): Promise<Error | undefined> {
    let conflict: Error | undefined
    for (const quota of changed) {
      try {
        remember(await client.update(RESOURCE_QUOTAS, quota, { subresource: 'status' }))
        written.add(quota.metadata.uid ?? '')
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (error.reason === 'NotFound') written.add(quota.metadata.uid ?? '')
        else if (error.reason === 'Conflict') {
          conflict = error
          await refresh(quota)
        } else throw error
      }
    }
    return conflict
  }

  async function refresh(quota: KubeObject): Promise<void> {
    const { namespace = '', name = '' } = quota.metadata
    try {
      remember(await client.get(RESOURCE_QUOTAS, namespace, name))
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error
    }
  }

  return {
    name: 'ResourceQuota',
    handles: ({ operation, definition, subresource }) =>
      definition.namespaced &&
      definition.stored !== false &&
      subresource === '' &&
      !(definition.plural === 'events' && (definition.group === '' || definition.group === 'events.k8s.io')) &&
      (operation === 'CREATE' ||
        (operation === 'UPDATE' && definition.group === '' && definition.plural === 'services')),
    validate: (request) => {
      const { namespace } = request
      if (!hasQuota(namespace)) return
      const added = addedUsage(request.definition, request.object!, request.oldObject)
      if (added.size === 0) return
      return new Promise<void>((resolve, reject) => {
        const settle = (error?: Error): void => (error === undefined ? resolve() : reject(error))
        const waiter = { request, added, settle }
        const queue = waiting.get(namespace)
        if (queue !== undefined) queue.push(waiter)
        else {
          waiting.set(namespace, [waiter])
          void work(namespace)
        }
      })
    },
  }
}

/** Takes the room for one request after the other; who does not fit is refused at once. A dry run takes none. */
function planBatch(
  quotas: readonly KubeObject[],
  batch: readonly Waiter[],
): { admitted: Waiter[]; changed: KubeObject[] } {
  const running = new Map(quotas.map((quota) => [quota.metadata.uid ?? '', quota]))
  const changed = new Map<string, KubeObject>()
  const admitted: Waiter[] = []
  for (const waiter of batch) {
    const { request, added } = waiter
    const verdict = evaluate([...running.values()], request.definition, request.object!, added)
    if (!verdict.fits) {
      waiter.settle(refusal(request, verdict.why))
      continue
    }
    admitted.push(waiter)
    if (request.dryRun) continue
    for (const quota of verdict.changed) {
      running.set(quota.metadata.uid ?? '', quota)
      changed.set(quota.metadata.uid ?? '', quota)
    }
  }
  return { admitted, changed: [...changed.values()] }
}

function newer(known: KubeObject, own: KubeObject | undefined): KubeObject {
  if (own === undefined) return known
  return Number(own.metadata.resourceVersion) > Number(known.metadata.resourceVersion) ? own : known
}
