import type { PolicyRule } from '../engine/types.ts'
import type { Permission } from './permission.ts'

type ResourcePart = { verbs: string[]; apiGroups: string[]; resources: string[]; names: (string | undefined)[] }
type PathPart = { verbs: string[]; urls: string[] }

/** A rule and the permissions it was made of. */
export type MergedRule = { rule: PolicyRule; permissions: Permission[] }

/**
 * Few rules that grant exactly these permissions: those that differ in one part only are joined, part after part (verbs,
 * names, resources, groups). The result does not depend on the order of the input.
 */
export function mergeRules(permissions: readonly Permission[]): PolicyRule[] {
  return mergePermissions(permissions).map(({ rule }) => rule)
}

export function mergePermissions(permissions: readonly Permission[]): MergedRule[] {
  return [...mergeResources(permissions), ...mergePaths(permissions)]
}

function mergeResources(permissions: readonly Permission[]): MergedRule[] {
  let parts: { part: ResourcePart; of: Permission[] }[] = permissions.flatMap((p) =>
    'url' in p
      ? []
      : [{ part: { verbs: [p.verb], apiGroups: [p.apiGroup], resources: [p.resource], names: [p.name] }, of: [p] }],
  )
  parts = join(parts, 'verbs', (p) => [p.apiGroups, p.resources, p.names])
  // Names join names; a permission for all names stays alone.
  parts = join(parts, 'names', (p) => [p.apiGroups, p.resources, p.verbs, p.names.includes(undefined)])
  parts = join(parts, 'resources', (p) => [p.apiGroups, p.names, p.verbs])
  parts = join(parts, 'apiGroups', (p) => [p.resources, p.names, p.verbs])
  return parts
    .map(({ part, of }) => ({ rule: ruleOfPart(part), permissions: of }))
    .sort((a, b) => compare(sortKey(a.rule), sortKey(b.rule)))
}

function mergePaths(permissions: readonly Permission[]): MergedRule[] {
  let parts: { part: PathPart; of: Permission[] }[] = permissions.flatMap((p) =>
    'url' in p ? [{ part: { verbs: [p.verb], urls: [p.url] }, of: [p] }] : [],
  )
  parts = join(parts, 'verbs', (p) => [p.urls])
  parts = join(parts, 'urls', (p) => [p.verbs])
  return parts
    .map(({ part, of }) => ({ rule: { nonResourceURLs: part.urls, verbs: part.verbs }, permissions: of }))
    .sort((a, b) => compare(a.rule.nonResourceURLs.join('\0'), b.rule.nonResourceURLs.join('\0')))
}

function join<Part, Key extends keyof Part & string>(
  parts: readonly { part: Part; of: Permission[] }[],
  key: Key,
  same: (part: Part) => unknown,
): { part: Part; of: Permission[] }[] {
  const joined = new Map<string, { part: Part; of: Permission[] }[]>()
  for (const entry of parts) {
    const by = JSON.stringify(same(entry.part))
    const known = joined.get(by)
    if (known === undefined) joined.set(by, [entry])
    else known.push(entry)
  }
  return [...joined.values()].map((entries) => {
    const values = new Set(entries.flatMap(({ part }) => part[key] as (string | undefined)[]))
    return {
      part: { ...entries[0]!.part, [key]: [...values].sort(key === 'verbs' ? compareVerbs : compare) },
      of: entries.flatMap(({ of }) => of),
    }
  })
}

function ruleOfPart(part: ResourcePart): PolicyRule {
  const names = part.names.filter((name) => name !== undefined)
  return {
    apiGroups: part.apiGroups,
    resources: part.resources,
    ...(names.length === 0 ? {} : { resourceNames: names }),
    verbs: part.verbs,
  }
}

function sortKey(rule: PolicyRule): string {
  return [rule.apiGroups, rule.resources, rule.resourceNames ?? [], rule.verbs]
    .map((l) => (l ?? []).join('\x01'))
    .join('\0')
}

/** By code units: the same on every machine. */
export function compare(a: string | undefined, b: string | undefined): number {
  const [x, y] = [a ?? '', b ?? '']
  return x < y ? -1 : x > y ? 1 : 0
}

const VERB_ORDER = ['*', 'get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']

/** The order in which people write them: reading, writing, then all others by name. */
export function compareVerbs(a: string | undefined, b: string | undefined): number {
  const place = (verb: string | undefined): number => {
    const at = VERB_ORDER.indexOf(verb ?? '')
    return at < 0 ? VERB_ORDER.length : at
  }
  return place(a) - place(b) || compare(a, b)
}
