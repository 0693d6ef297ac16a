import { ApiError } from '../../api/status.ts'
import type { Client } from '../../client/client.ts'
import type { Log } from '../../feature.ts'
import type { Store } from '../../store/store.ts'
import { SERVICES } from '../resource-ids.ts'
import { type AddressRange, addressToNumber, type Family, familyOf, numberToAddress, parseCidr } from './address.ts'
import { staticBand, staticPortBand } from './allocator.ts'
import { type Owner, Pool } from './pool.ts'

export type ServiceAllocationsOptions = {
  store: Store
  /** Tells whether a Service that holds a number still exists. */
  client: Pick<Client, 'get'>
  /** One or two, of different families; the first is the default. Default 10.96.0.0/12. */
  serviceCidrs?: readonly string[]
  /** First and last port, as kube-apiserver's --service-node-port-range. */
  nodePorts?: { from: number; to: number }
  random?: () => number
  log: Log
}

export const DEFAULT_SERVICE_CIDRS: readonly string[] = ['10.96.0.0/12']

/** Addresses and node ports of Services; what the admission step reserves and the repair watches over. */
export type ServiceAllocations = {
  families: readonly Family[]
  addresses: ReadonlyMap<Family, { range: AddressRange; pool: Pool }>
  ports: { from: number; to: number; pool: Pool }
  /** True when this holder's Service does not exist (any more), and `owner` is of the same name. */
  mayTakeOver: (owner: Owner) => (holder: Owner) => Promise<boolean>
  close: () => void
}

/** Throws for ranges that are not usable. */
export function serviceAllocations(options: ServiceAllocationsOptions): ServiceAllocations {
  const { store, client, log, random = Math.random } = options
  const ranges = (options.serviceCidrs ?? DEFAULT_SERVICE_CIDRS).map(parseCidr)
  if (ranges.length === 0 || ranges.length > 2 || new Set(ranges.map((range) => range.family)).size < ranges.length)
    throw new Error('service CIDRs: one, or two of different families')
  const addresses = new Map(
    ranges.map((range) => {
      const pool = new Pool({
        store,
        prefix: `/ranges/services/${range.family}/`,
        size: range.size,
        band: staticBand(range.size),
        print: range.at,
        parse: range.offsetOf,
        random,
        log,
      })
      return [range.family, { range, pool }] as const
    }),
  )
  const { from, to } = options.nodePorts ?? { from: 30_000, to: 32_767 }
  if (from < 1 || to > 65_535 || to < from) throw new Error(`node ports ${from}-${to}: not a range of ports`)
  const ports = new Pool({
    store,
    prefix: '/ranges/services/nodeports/',
    size: to - from + 1,
    band: staticPortBand(to - from + 1),
    print: (offset) => String(from + offset),
    parse: (name) => (/^\d{1,5}$/.test(name) ? Number(name) - from : undefined),
    random,
    log,
  })
  return {
    families: ranges.map((range) => range.family),
    addresses,
    ports: { from, to, pool: ports },
    // Two creates of one name may both pass here; only one of them will be stored.
    mayTakeOver: (owner) => async (holder) => {
      if (holder.namespace !== owner.namespace || holder.name !== owner.name) return false
      return await client.get(SERVICES, owner.namespace, owner.name).then(
        () => false,
        (error) => {
          if (error instanceof ApiError && error.reason === 'NotFound') return true
          throw error
        },
      )
    },
    close: () => {
      for (const { pool } of addresses.values()) pool.close()
      ports.close()
    },
  }
}

/** Address in the form in which it is stored; undefined when it is no address. */
export function canonicalAddress(address: string): string | undefined {
  const family = familyOf(address)
  return family === undefined ? undefined : numberToAddress(addressToNumber(address), family)
}
