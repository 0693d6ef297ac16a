import { urlMatches } from './rules.ts'
import type { PolicyRule } from './types.ts'

/**
 * Whether whoever holds `owner` holds everything that `wanted` grants (k8s.io/component-helpers
 * auth/rbac/validation, Covers). Each wanted rule is broken into its atoms (one verb, one group, one resource, one
 * name); an atom must be covered by one owner rule alone. `missing` are the atoms that nobody covers.
 */
export function covers(
  owner: readonly PolicyRule[],
  wanted: readonly PolicyRule[],
): { covered: boolean; missing: PolicyRule[] } {
  const missing: PolicyRule[] = []
  for (const rule of wanted)
    for (const atom of breakdown(rule)) if (!owner.some((held) => ruleCovers(held, atom))) missing.push(atom)
  return { covered: missing.length === 0, missing }
}

/** How many atoms `covers` would look at. Lists multiply: a role of a megabyte can have more than there is time for. */
export function countAtoms(rules: readonly PolicyRule[]): number {
  let atoms = 0
  for (const rule of rules) {
    const names = Math.max(1, rule.resourceNames?.length ?? 0)
    const things = (rule.apiGroups?.length ?? 0) * (rule.resources?.length ?? 0) * names
    atoms += (things + (rule.nonResourceURLs?.length ?? 0)) * (rule.verbs?.length ?? 0)
  }
  return atoms
}

type Atom = {
  verbs: [string]
  apiGroups?: [string]
  resources?: [string]
  resourceNames?: [string]
  nonResourceURLs?: [string]
}

function* breakdown(rule: PolicyRule): Generator<Atom> {
  for (const group of rule.apiGroups ?? [])
    for (const resource of rule.resources ?? [])
      for (const verb of rule.verbs ?? []) {
        const atom: Atom = { apiGroups: [group], resources: [resource], verbs: [verb] }
        const names = rule.resourceNames ?? []
        if (names.length === 0) yield atom
        for (const name of names) yield { ...atom, resourceNames: [name] }
      }
  for (const url of rule.nonResourceURLs ?? [])
    for (const verb of rule.verbs ?? []) yield { nonResourceURLs: [url], verbs: [verb] }
}

function ruleCovers(held: PolicyRule, atom: Atom): boolean {
  return (
    hasOrStar(held.verbs, atom.verbs[0]) &&
    (atom.apiGroups === undefined || hasOrStar(held.apiGroups, atom.apiGroups[0])) &&
    (atom.resources === undefined || resourceCovers(held.resources ?? [], atom.resources[0])) &&
    namesCover(held.resourceNames ?? [], atom.resourceNames?.[0]) &&
    (atom.nonResourceURLs === undefined || urlCovers(held.nonResourceURLs ?? [], atom.nonResourceURLs[0]))
  )
}

function hasOrStar(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(value))
}

/** `*` covers all, `pods/log` is also covered by `*` + `/log`. */
function resourceCovers(held: readonly string[], resource: string): boolean {
  if (held.includes('*') || held.includes(resource)) return true
  const slash = resource.indexOf('/')
  return slash >= 0 && held.includes(`*${resource.slice(slash)}`)
}

/** A rule limited to names covers only those names; an unlimited one covers every name. */
function namesCover(held: readonly string[], name: string | undefined): boolean {
  return held.length === 0 || (name !== undefined && held.includes(name))
}

function urlCovers(held: readonly string[], url: string): boolean {
  return held.some((h) => urlMatches(h, url))
}

/**
 * Joins atoms that differ only in their verb (component-helpers' CompactRules), for messages. Rules with one group and
 * one resource only; others stay as they are.
 */
export function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const out: PolicyRule[] = []
  const simple = new Map<string, { verbs: string[] } & PolicyRule>()
  for (const rule of rules) {
    const key = simpleKey(rule)
    const known = key === undefined ? undefined : simple.get(key)
    if (known !== undefined) known.verbs.push(...(rule.verbs ?? []))
    else if (key !== undefined) simple.set(key, { ...rule, verbs: [...(rule.verbs ?? [])] })
    else out.push(rule)
  }
  return [...out, ...simple.values()]
}

function simpleKey(rule: PolicyRule): string | undefined {
  if ((rule.resourceNames?.length ?? 0) > 1 || (rule.nonResourceURLs?.length ?? 0) > 0) return undefined
  if (rule.apiGroups?.length !== 1 || rule.resources?.length !== 1) return undefined
  return JSON.stringify([rule.apiGroups[0], rule.resources[0], rule.resourceNames?.[0] ?? null])
}

/** `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`, as Kubernetes prints a rule. */
export function ruleToString(rule: PolicyRule): string {
  const parts: string[] = []
  const add = (label: string, list: readonly string[] | undefined): void => {
    if (list !== undefined && list !== null && list.length > 0) parts.push(`${label}:${quotedList(list)}`)
  }
  add('APIGroups', rule.apiGroups)
  add('Resources', rule.resources)
  add('NonResourceURLs', rule.nonResourceURLs)
  add('ResourceNames', rule.resourceNames)
  add('Verbs', rule.verbs)
  return `{${parts.join(', ')}}`
}

/** Go's `%q` of a list of strings. */
export function quotedList(list: readonly string[]): string {
  return `[${list.map((s) => JSON.stringify(s)).join(' ')}]`
}
