import type { KubeObject } from '../../api/object.ts'
import type { Client } from '../../client/client.ts'
import { createInformer } from '../../controller/informer.ts'
import type { ReconcileResult } from '../../controller/reconciler.ts'
import { WorkQueue } from '../../controller/workqueue.ts'
import type { ControllerFactory, Log } from '../../feature.ts'
import type { ServiceSpec } from '../../resources/kinds/service-types.ts'
import type { ControllerOptions } from '../options.ts'
import { SERVICES } from '../resource-ids.ts'
import { runLoop } from '../run-loop.ts'
import { familyOf } from './address.ts'
import { canonicalAddress, type ServiceAllocations } from './allocations.ts'
import { nodePortsOf } from './node-ports.ts'
import type { Owner, Pool, Reservation } from './pool.ts'

export type ServiceAllocationRepairOptions = ControllerOptions & {
  allocations: ServiceAllocations
  /** Between two looks at everything; longer than any request takes (default 3 minutes, as kube-apiserver). */
  periodMs?: number
}

type Use = { pool: Pool; number: number; text: string }

const EVERYTHING = '*'

/**
 * Releases the numbers of Services that are gone or have given them up, and looks through everything at times: numbers
 * that Services use and nobody reserved (a restored store), and reservations that no Service came to use.
 */
export function serviceAllocationRepair(options: ServiceAllocationRepairOptions): ControllerFactory {
  const { allocations, periodMs = 180_000 } = options
  return ({ client, log }) => ({
    name: 'service-allocation-repair',
    run: async (signal) => {
      const timing = {
        ...(options.timers && { timers: options.timers }),
        ...(options.random && { random: options.random }),
      }
      const queue = new WorkQueue(timing)
      const gone = new Map<string, { uid: string; use: Use }>()
      const release = (uid: string, uses: readonly Use[]): void => {
        for (const use of uses) {
          const key = `${uid}/${use.text}`
          gone.set(key, { uid, use })
          queue.add(key)
        }
      }
      const services = createInformer({ client, resource: SERVICES, transform: allocatedOnly, log, ...timing })
      services.addHandler({
        onUpdate: (service, old) => {
          const now = new Set(usesOf(allocations, service).map((use) => use.text))
          const given = usesOf(allocations, old).filter((use) => !now.has(use.text))
          release(service.metadata.uid!, given)
        },
        onDelete: (service) => release(service.metadata.uid!, usesOf(allocations, service)),
      })
      queue.add(EVERYTHING)
      let suspects: ReadonlyMap<string, number> = new Map()
      const reconcile = async (key: string): Promise<ReconcileResult | undefined> => {
        if (key === EVERYTHING) {
          suspects = await repair(allocations, client, suspects, log)
          return { requeueAfterMs: periodMs }
        }
        const found = gone.get(key)
        if (found === undefined) return undefined
        await found.use.pool.release(found.use.number, found.uid)
        gone.delete(key)
        return undefined
      }
      await runLoop({ informers: [services], queue, reconcile, workers: 2, log }, signal)
    },
  })
}

/** Addresses and ports that the Service has, as far as they are of our ranges. */
export function usesOf(allocations: ServiceAllocations, service: KubeObject): Use[] {
  const spec = (service['spec'] ?? {}) as ServiceSpec
  const uses: Use[] = []
  for (const ip of spec.type === 'ExternalName' ? [] : (spec.clusterIPs ?? [])) {
    const family = familyOf(ip)
    const found = family === undefined ? undefined : allocations.addresses.get(family)
    const number = found?.range.offsetOf(canonicalAddress(ip)!)
    if (found !== undefined && number !== undefined) uses.push({ pool: found.pool, number, text: ip })
  }
  const { from, pool } = allocations.ports
  for (const port of nodePortsOf(spec))
    if (pool.contains(port - from)) uses.push({ pool, number: port - from, text: String(port) })
  return uses
}

/**
 * One look at everything. Returns the reservations without a Service: those which the look before had found as well, and
 * which nobody touched since, are released.
 */
export async function repair(
  allocations: ServiceAllocations,
  client: Pick<Client, 'list'>,
  suspects: ReadonlyMap<string, number>,
  log: Log,
): Promise<Map<string, number>> {
  const pools = [...[...allocations.addresses.values()].map(({ pool }) => pool), allocations.ports.pool]
  // Reservations first: a Service that is created meanwhile has its reservation before.
  const reserved = new Map(await Promise.all(pools.map(async (pool) => [pool, byNumber(await pool.list())] as const)))
  const { items } = await client.list(SERVICES)
  const users = new Map<Pool, Map<number, Owner>>(pools.map((pool) => [pool, new Map()]))
  for (const service of items) {
    const { uid = '', namespace = '', name = '' } = service.metadata
    const owner = { uid, namespace, name }
    for (const use of usesOf(allocations, service)) await claim(use, owner, users, reserved.get(use.pool)!, log)
  }
  const idle = new Map<string, number>()
  for (const [i, pool] of pools.entries())
    for (const reservation of reserved.get(pool)!.values()) {
      if (users.get(pool)!.has(reservation.number)) continue
      const key = `${i}/${reservation.number}`
      if (suspects.get(key) !== reservation.modRevision) idle.set(key, reservation.modRevision)
      else if (await pool.releaseExactly(reservation))
        log('info', `released what no Service uses: ${JSON.stringify(reservation)}`)
    }
  return idle
}

async function claim(
  use: Use,
  owner: Owner,
  users: ReadonlyMap<Pool, Map<number, Owner>>,
  reserved: ReadonlyMap<number, Reservation>,
  log: Log,
): Promise<void> {
  const other = users.get(use.pool)!.get(use.number)
  if (other !== undefined) {
    const pair = `${other.namespace}/${other.name} and ${owner.namespace}/${owner.name}`
    log('error', `${use.text} belongs to two Services, ${pair}: recreate one of them`)
    return
  }
  users.get(use.pool)!.set(use.number, owner)
  const reservation = reserved.get(use.number)
  if (reservation === undefined) await use.pool.reserve(use.number, owner)
  else if (reservation.owner.uid !== owner.uid) await use.pool.transfer(reservation, owner)
}

const byNumber = (reservations: readonly Reservation[]): Map<number, Reservation> =>
  new Map(reservations.map((reservation) => [reservation.number, reservation]))

function allocatedOnly(service: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion } = service.metadata
  const { type, clusterIP, clusterIPs, ports, healthCheckNodePort } = (service['spec'] ?? {}) as ServiceSpec
  return {
    apiVersion: service.apiVersion,
    kind: service.kind,
    metadata: { name: name!, namespace: namespace!, uid: uid!, resourceVersion: resourceVersion! },
    spec: {
      type,
      clusterIP,
      clusterIPs,
      healthCheckNodePort,
      ports: ports?.flatMap(({ nodePort }) => (nodePort ? [{ nodePort }] : [])),
    },
  }
}
