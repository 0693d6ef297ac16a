import type { Node } from 'yaml'
import type { FieldReader } from './yaml-fields.ts'

/** `secrets`, `deployments.apps`, `*.apps`, `*.` (the core group) or `*.*`. */
export type ResourceRule = { text: string; group: string; resource: string }

type LocatedRule = ResourceRule & { at: Node }

/** Kubernetes stores none of these under an API of their own. */
const NO_API = ['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations']

/** Names, overlaps within an entry, and rules that an earlier entry masks, as kube-apiserver refuses them. */
export function validateResources(
  reader: FieldReader,
  entries: readonly { resources: readonly LocatedRule[] }[],
): void {
  const earlier = new Set<string>()
  for (const { resources } of entries) {
    for (const rule of resources) {
      const wrong = wrongName(rule)
      if (wrong !== undefined) reader.wrong(rule.at, `resource ${JSON.stringify(rule.text.slice(0, 253))}: ${wrong}`)
    }
    refuseOverlap(reader, resources)
    for (const rule of resources) {
      const mask = [`* ${rule.group}`, '* *'].find((wildcard) => earlier.has(wildcard))
      if (mask === undefined) continue
      const by = mask === '* *' ? '*.*' : `*.${rule.group}`
      reader.wrong(rule.at, `resource "${rule.text}" is masked by the rule "${by}" of an earlier entry`)
    }
    for (const { resource, group } of resources) earlier.add(`${resource} ${group}`)
  }
}

function wrongName({ text, group, resource }: ResourceRule): string | undefined {
  if (text.toLowerCase() !== text) return 'a resource name has no capital letters'
  if (text === '*') return "use '*.' for all resources of the core group or '*.*' for all resources"
  if (resource === '') return 'the name of the resource is missing'
  if (NO_API.includes(text)) return 'resources without a REST API cannot be encrypted'
  if (group === 'events.k8s.io') return "events are stored in the core group: use 'events'"
  if (group === 'extensions') return "the group 'extensions' was removed and cannot be encrypted"
  if (group === '*' && resource !== '*') return 'encrypting the same resource across groups is not supported'
  return undefined
}

function refuseOverlap(reader: FieldReader, rules: readonly LocatedRule[]): void {
  rules.forEach((rule, i) => {
    const others = rules.slice(0, i)
    const same = others.find((other) => other.group === rule.group && other.resource === rule.resource)
    if (same !== undefined) {
      reader.wrong(rule.at, `resource "${rule.text}" is named twice in one entry`)
      return
    }
    const overlap = others.find((other) => covers(other, rule) || covers(rule, other))
    if (overlap !== undefined) {
      reader.wrong(rule.at, `resources "${overlap.text}" and "${rule.text}" of one entry overlap`)
    }
  })
}

const covers = (wide: ResourceRule, narrow: ResourceRule): boolean =>
  wide.resource === '*' && (wide.group === '*' || wide.group === narrow.group)
