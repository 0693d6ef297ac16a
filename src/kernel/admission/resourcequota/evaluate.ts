import type { KubeObject } from '../../api/object.ts'
import { addQuantity, compareQuantity, parseQuantity, quantityOf } from '../../api/quantity.ts'
import { scopesMatch } from './scope.ts'
import { type Usage, usageOf } from './usage.ts'

export type QuotaStatus = { hard?: Record<string, string>; used?: Record<string, string> }

export type Verdict =
  | {
      fits: true /** Quotas whose `used` grows, with their new status; the others are untouched. */
      changed: KubeObject[]
    }
  | { fits: false; why: string }

type Kind = { group: string; plural: string }

/** What a write adds: a create its usage, an update the difference where it is more (services may get more ports). */
export function addedUsage(kind: Kind, object: KubeObject, old: KubeObject | undefined): Usage {
  const usage = usageOf(kind, object)
  if (old === undefined) return new Map([...usage].filter(([, n]) => n > 0))
  const before = usageOf(kind, old)
  const added: Usage = new Map()
  for (const [name, amount] of usage) {
    const more = amount - (before.get(name) ?? 0)
    if (more > 0) added.set(name, more)
  }
  return added
}

/**
 * Whether `added` fits into all quotas of the namespace that speak of it. Pure: quotas are not changed. As in Kubernetes
 * a quota counts from the moment its controller has given it a status.
 */
export function evaluate(quotas: readonly KubeObject[], kind: Kind, object: KubeObject, added: Usage): Verdict {
  const changed: KubeObject[] = []
  const isPod = kind.group === '' && kind.plural === 'pods'
  for (const quota of quotas) {
    const { hard = {}, used = {} } = (quota['status'] ?? {}) as QuotaStatus
    const asked = [...added].filter(([name]) => Object.hasOwn(hard, name)).sort(([a], [b]) => (a < b ? -1 : 1))
    if (asked.length === 0 || !scopesMatch(quota, isPod, object)) continue
    const name = quota.metadata.name!
    const unknown = asked.filter(([resource]) => !Object.hasOwn(used, resource)).map(([resource]) => resource)
    if (unknown.length > 0)
      return { fits: false, why: `status unknown for quota: ${name}, resources: ${unknown.join(',')}` }
    const after: Record<string, string> = { ...used }
    const over: [resource: string, amount: number][] = []
    for (const [resource, amount] of asked) {
      const sum = addQuantity(parseQuantity(used[resource]), quantityOf(amount))
      after[resource] = sum.text
      if (compareQuantity(sum, parseQuantity(hard[resource])) > 0) over.push([resource, amount])
    }
    if (over.length > 0) return { fits: false, why: exceeded(name, over, used, hard) }
    changed.push({ ...quota, status: { ...quota['status'], used: after } })
  }
  return { fits: true, changed }
}

function exceeded(
  quota: string,
  over: [resource: string, amount: number][],
  used: Record<string, string>,
  hard: Record<string, string>,
): string {
  const list = (value: (resource: string, amount: number) => string): string =>
    over.map(([resource, amount]) => `${resource}=${value(resource, amount)}`).join(',')
  return (
    `exceeded quota: ${quota}, requested: ${list((_, amount) => String(amount))}, ` +
    `used: ${list((resource) => used[resource]!)}, limited: ${list((resource) => hard[resource]!)}`
  )
}
