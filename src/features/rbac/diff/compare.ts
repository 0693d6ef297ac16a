import type { PolicyRule } from '../engine/types.ts'
import type { RbacWorld } from '../world.ts'
import { type AggregationChange, aggregationChanges } from './aggregation-changes.ts'
import { dangerOf } from './danger.ts'
import { groupsOf, type Holder, holderText } from './holder.ts'
import { type BindingId, type DanglingGrant, type Grant, type Holdings, holdingsOf, type RoleId } from './holdings.ts'
import { compare, mergeRules } from './merge-rules.ts'
import { type Permission, permissionKey } from './permission.ts'
import { PermissionSet } from './permission-set.ts'

/** What one holder gains or loses through one set of bindings, in one namespace or cluster-wide. */
export type Change = {
  change: 'gain' | 'loss'
  /** Undefined: cluster-wide. */
  namespace?: string
  rules: PolicyRule[]
  /** Bindings and roles that bring it (of the new world) or brought it (of the old). */
  through: { binding: BindingId; role: RoleId }[]
  /** Why this is dangerous. */
  danger?: string
  /** Of a cluster-wide loss: namespaces in which all of it is still held. Of such a gain: where it was held before. */
  heldIn?: string[]
}

export type SubjectChanges = { subject: Holder; changes: Change[] }
export type UnresolvedChange = { change: 'gain' | 'loss' } & DanglingGrant

export type RbacDiff = {
  subjects: SubjectChanges[]
  aggregation: AggregationChange[]
  /** Bindings to roles that do not exist, on one side only: what they will give nobody can tell. */
  unresolved: UnresolvedChange[]
  summary: { subjects: number; gains: number; losses: number; dangerousGains: number }
}

export function isEmpty(diff: RbacDiff): boolean {
  return diff.subjects.length === 0 && diff.aggregation.length === 0 && diff.unresolved.length === 0
}

/**
 * Who may do more or less in `now` than in `before`. Effects are compared, not texts: what a holder has otherwise (by
 * another binding, cluster-wide instead of in a namespace, through a group that everybody like it is in) is no change.
 * A permission is covered as `covers` defines it. The order of objects, rules and lists has no influence.
 */
export function compareWorlds(before: RbacWorld, now: RbacWorld): RbacDiff {
  const pool = new Map()
  const [old, next] = [holdingsOf(before, pool), holdingsOf(now, pool)]
  const texts = [...new Set([...old.holders.keys(), ...next.holders.keys()])].sort(compare)
  const subjects: SubjectChanges[] = []
  for (const text of texts) {
    const holder = (next.holders.get(text) ?? old.holders.get(text))!.holder
    const gains = oneWay('gain', holder, text, old, next)
    const losses = oneWay('loss', holder, text, next, old)
    if (gains.length + losses.length === 0) continue
    subjects.push({ subject: holder, changes: [...gains, ...losses].sort(changeOrder) })
  }
  const changes = subjects.flatMap((s) => s.changes)
  const gains = changes.filter((c) => c.change === 'gain')
  return {
    subjects,
    aggregation: aggregationChanges(before, now),
    unresolved: [...onlyIn('gain', next.dangling, old.dangling), ...onlyIn('loss', old.dangling, next.dangling)],
    summary: {
      subjects: subjects.length,
      gains: gains.length,
      losses: changes.length - gains.length,
      dangerousGains: gains.filter((c) => c.danger !== undefined).length,
    },
  }
}

/** What `to` grants the holder and `from` does not. */
function oneWay(change: Change['change'], holder: Holder, text: string, from: Holdings, to: Holdings): Change[] {
  const scopes = to.holders.get(text)?.scopes
  if (scopes === undefined) return []
  const found: Change[] = []
  for (const [namespace, grants] of scopes) {
    if (sameContents(grants, from.holders.get(text)?.scopes.get(namespace))) continue
    const others = otherwise(holder, namespace, from, to)
    const missing = missingOf(grants, others)
    if (missing.length === 0) continue
    const parts = namespace === '' ? byHeldIn(holder, text, missing, from) : [{ missing, heldIn: [] }]
    for (const part of parts)
      for (const one of bySource(part.missing, grants))
        found.push({
          change,
          ...(namespace === '' ? {} : { namespace }),
          rules: mergeRules(one.permissions),
          through: one.through,
          ...(one.danger === undefined ? {} : { danger: one.danger }),
          ...(part.heldIn.length === 0 ? {} : { heldIn: part.heldIn }),
        })
  }
  return found
}

function sameContents(a: readonly Grant[], b: readonly Grant[] | undefined): boolean {
  const [one, other] = [new Set(a.map((g) => g.content)), new Set(b?.map((g) => g.content))]
  return one.size === other.size && one.isSubsetOf(other)
}

/**
 * Everything besides the bindings in question that makes a permission no change: what was held before, in this scope or
 * a wider one, and what the other side holds in a wider scope (where it is reported, if it is new there).
 */
function otherwise(holder: Holder, namespace: string, from: Holdings, to: Holdings): PermissionSet[] {
  const sets = [from.permissions(holder, namespace)]
  if (namespace !== '') sets.push(from.permissions(holder, ''), to.permissions(holder, ''))
  for (const group of groupsOf(holder))
    for (const scope of namespace === '' ? [''] : ['', namespace])
      sets.push(from.permissions(group, scope), to.permissions(group, scope))
  return sets
}

function missingOf(grants: readonly Grant[], others: readonly PermissionSet[]): Permission[] {
  const missing = new Map<string, Permission>()
  for (const content of new Set(grants.map((g) => g.content)))
    for (const permission of content.permissions)
      if (!others.some((set) => set.covers(permission))) missing.set(permissionKey(permission), permission)
  const all = new PermissionSet(missing.values())
  return [...missing.values()].filter((permission) => !all.coversByAnother(permission))
}

/** Cluster-wide permissions, by the namespaces in which the other side holds them. */
function byHeldIn(
  holder: Holder,
  text: string,
  missing: readonly Permission[],
  from: Holdings,
): { missing: Permission[]; heldIn: string[] }[] {
  const namespaces = [...(from.holders.get(text)?.scopes.keys() ?? [])].filter((n) => n !== '').sort(compare)
  const parts = new Map<string, { missing: Permission[]; heldIn: string[] }>()
  for (const permission of missing) {
    const heldIn = 'url' in permission ? [] : namespaces.filter((n) => from.permissions(holder, n).covers(permission))
    const key = heldIn.join('/')
    const part = parts.get(key)
    if (part === undefined) parts.set(key, { missing: [permission], heldIn })
    else part.missing.push(permission)
  }
  return [...parts.values()]
}

type SourcePart = { permissions: Permission[]; through: Change['through']; danger: string | undefined }

/** Permissions that the same bindings bring and that are dangerous for the same reason belong together. */
function bySource(missing: readonly Permission[], grants: readonly Grant[]): SourcePart[] {
  const sources = new Map<string, Grant[]>()
  for (const grant of [...grants].sort((a, b) => compare(a.binding.name, b.binding.name)))
    for (const permission of grant.content.permissions) {
      const key = permissionKey(permission)
      const known = sources.get(key)
      if (known === undefined) sources.set(key, [grant])
      else known.push(grant)
    }
  const parts = new Map<string, SourcePart>()
  for (const permission of missing) {
    const through = sources.get(permissionKey(permission))!
    const danger = dangerOf(permission)
    const key = `${danger ?? ''}\0${through.map((g) => g.binding.name).join('\0')}`
    const part = parts.get(key)
    if (part !== undefined) part.permissions.push(permission)
    else
      parts.set(key, {
        permissions: [permission],
        through: through.map(({ binding, role }) => ({ binding, role })),
        danger,
      })
  }
  return [...parts.values()]
}

function changeOrder(a: Change, b: Change): number {
  const by = (c: Change): string =>
    JSON.stringify([c.namespace ?? '', c.change, c.danger === undefined ? 1 : 0, c.through[0]?.binding.name, c.rules])
  return compare(by(a), by(b))
}

function onlyIn(
  change: 'gain' | 'loss',
  here: readonly DanglingGrant[],
  there: readonly DanglingGrant[],
): UnresolvedChange[] {
  const key = ({ holder, binding, role }: DanglingGrant): string =>
    JSON.stringify([holderText(holder), binding.namespace, role.kind, role.name])
  const known = new Set(there.map(key))
  return here
    .filter((grant) => !known.has(key(grant)))
    .sort((a, b) => compare(key(a), key(b)))
    .map((grant) => ({ change, ...grant }))
}
