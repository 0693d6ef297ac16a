import { compareQuantity, parseQuantity, type Quantity, quantityValue } from '../../api/quantity.ts'
import type { ResourceList } from '../../resources/kinds/pod/types.ts'
import type { LimitItem } from './types.ts'

type Constraint = (
  where: { type: string; resource: string },
  enforced: Quantity,
  request: Quantity | undefined,
  limit: Quantity | undefined,
) => string | undefined

/** What requests and limits break of one item, in Kubernetes' words; resources in the order of their names. */
export function violations(item: LimitItem, requests: ResourceList, limits: ResourceList): string[] {
  const found: string[] = []
  for (const [constraint, enforced] of [
    [minimum, item.min],
    [maximum, item.max],
    [ratio, item.maxLimitRequestRatio],
  ] as const)
    for (const resource of Object.keys(enforced ?? {}).sort()) {
      const why = constraint(
        { type: item.type ?? '', resource },
        parseQuantity(enforced![resource]),
        amount(requests, resource),
        amount(limits, resource),
      )
      if (why !== undefined) found.push(why)
    }
  return found
}

const amount = (list: ResourceList, resource: string): Quantity | undefined =>
  Object.hasOwn(list, resource) ? parseQuantity(list[resource]) : undefined

const minimum: Constraint = ({ type, resource }, enforced, request, limit) => {
  const rule = `minimum ${resource} usage per ${type} is ${enforced.text}`
  if (request === undefined) return `${rule}.  No request is specified`
  if (compareQuantity(request, enforced) < 0) return `${rule}, but request is ${request.text}`
  if (limit !== undefined && compareQuantity(limit, enforced) < 0) return `${rule}, but limit is ${limit.text}`
  return undefined
}

const maximum: Constraint = ({ type, resource }, enforced, request, limit) => {
  const rule = `maximum ${resource} usage per ${type} is ${enforced.text}`
  if (limit === undefined) return `${rule}.  No limit is specified`
  if (compareQuantity(limit, enforced) > 0) return `${rule}, but limit is ${limit.text}`
  if (request !== undefined && compareQuantity(request, enforced) > 0) return `${rule}, but request is ${request.text}`
  return undefined
}

const ratio: Constraint = ({ type, resource }, enforced, request, limit) => {
  const rule = `${resource} max limit to request ratio per ${type} is ${enforced.text}`
  if (request === undefined || request.nanos === 0n) return `${rule}, but no request is specified or request is 0`
  if (limit === undefined || limit.nanos === 0n) return `${rule}, but no limit is specified or limit is 0`
  // limit / request > enforced, without the division.
  if (limit.nanos * NANO <= enforced.nanos * request.nanos) return undefined
  return `${rule}, but provided ratio is ${printed(limit, request)}`
}

const NANO = 1_000_000_000n
/** Beyond this Kubernetes compares, and so prints, whole units. */
const MAX_MILLI_VALUE = 9_223_372_036_854_775n

/** Six decimals, as Go's %f. */
function printed(limit: Quantity, request: Quantity): string {
  const small = quantityValue(limit) <= MAX_MILLI_VALUE && quantityValue(request) <= MAX_MILLI_VALUE
  const unit = small ? 1_000_000n : NANO
  return (Number(limit.nanos / unit) / Number(request.nanos / unit || 1n)).toFixed(6)
}
