import type { PolicyRule } from '../engine/types.ts'
import type { AggregationChange } from './aggregation-changes.ts'
import type { Change, RbacDiff, UnresolvedChange } from './compare.ts'
import { holderText } from './holder.ts'
import type { BindingId, RoleId } from './holdings.ts'

/** The difference as people read it: a paragraph a subject, a line for each thing gained (+) or lost (-). */
export function diffLines(diff: RbacDiff): string[] {
  const lines: string[] = []
  for (const { subject, changes } of diff.subjects) {
    lines.push(printable(holderText(subject)))
    for (const change of changes) lines.push(...changeLines(change))
  }
  for (const change of diff.aggregation) lines.push(...aggregationLines(change))
  if (diff.unresolved.length > 0) {
    lines.push('Bindings to roles that do not exist')
    lines.push(...diff.unresolved.map(unresolvedLine))
  }
  return lines
}

function changeLines(change: Change): string[] {
  const mark = signOf(change.change)
  const where = change.namespace === undefined ? 'cluster-wide' : `in namespace ${printable(change.namespace)}`
  const through = change.through.map(({ binding, role }) => `${bindingText(binding)} → ${roleText(role)}`).join('; ')
  const danger =
    change.danger === undefined ? '' : `  ${change.change === 'gain' ? 'DANGER' : 'was dangerous'}: ${change.danger}`
  const held =
    change.heldIn === undefined
      ? ''
      : `, ${change.change === 'gain' ? 'before only' : 'still'} in ${change.heldIn.map(printable).join(', ')}`
  return change.rules.map((rule) => `  ${mark} ${ruleText(rule)} ${where}${held}  (${through})${danger}`)
}

function aggregationLines({ clusterRole, joined, left, gained, lost }: AggregationChange): string[] {
  const members = [
    ...joined.map((name) => `now gathers ${printable(name)}`),
    ...left.map((name) => `no longer gathers ${printable(name)}`),
  ]
  return [
    `Aggregated ClusterRole ${printable(clusterRole)}${members.length === 0 ? '' : `: ${members.join(', ')}`}`,
    ...gained.map((rule) => `  + ${ruleText(rule)}`),
    ...lost.map((rule) => `  - ${ruleText(rule)}`),
  ]
}

function unresolvedLine({ change, holder, binding, role }: UnresolvedChange): string {
  return `  ${signOf(change)} ${printable(holderText(holder))}: ${bindingText(binding)} → ${roleText(role)}, whose rules are not known`
}

const signOf = (change: 'gain' | 'loss'): string => (change === 'gain' ? '+' : '-')

function bindingText({ kind, namespace, name, origin }: BindingId): string {
  return `${kind} ${scoped(namespace, name)}${origin === undefined ? '' : ` [${printable(origin)}]`}`
}

function roleText({ kind, namespace, name, origin }: RoleId): string {
  return `${printable(kind)} ${scoped(namespace, name)}${origin === undefined ? '' : ` [${printable(origin)}]`}`
}

function scoped(namespace: string, name: string): string {
  return printable(namespace === '' ? name : `${namespace}/${name}`)
}

/** `get,list deployments.apps,pods "web"`: resources with their group behind a dot, names in quotes. */
export function ruleText(rule: PolicyRule): string {
  const resources = (rule.apiGroups ?? []).flatMap((group) =>
    (rule.resources ?? []).map((resource) => (group === '' ? resource : withGroup(resource, group))),
  )
  const names = (rule.resourceNames ?? []).map((name) => ` ${JSON.stringify(name)}`).join('')
  const what = [...resources, ...(rule.nonResourceURLs ?? [])].join(',')
  return `${printable((rule.verbs ?? []).join(','))} ${printable(what)}${names}`
}

/** The group belongs to the resource, not to the subresource: `deployments.apps/scale`. */
function withGroup(resource: string, group: string): string {
  const slash = resource.indexOf('/')
  return slash < 0 ? `${resource}.${group}` : `${resource.slice(0, slash)}.${group}${resource.slice(slash)}`
}

/** Names come from outside: nothing in them may steer a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, '0')}`)
}
