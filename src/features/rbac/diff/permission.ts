import { urlPrefix } from '../engine/rules.ts'
import type { PolicyRule } from '../engine/types.ts'

/**
 * The smallest thing that a rule grants: one verb on one resource (`pods`, `pods/log`, `*`, or a star before `/log`) of
 * one group, for one name or for all (undefined), or one verb on one non-resource URL.
 */
export type Permission =
  | { verb: string; apiGroup: string; resource: string; name: string | undefined }
  | { verb: string; url: string }

const NONE: readonly string[] = []

/**
 * What the rules grant; each permission once, in the order in which they come. In a namespace non-resource URLs mean
 * nothing, so that they are left out there.
 */
export function permissionsOf(rules: readonly PolicyRule[], where: 'cluster' | 'namespace'): Permission[] {
  const found = new Map<string, Permission>()
  const add = (permission: Permission): void => {
    const key = permissionKey(permission)
    if (!found.has(key)) found.set(key, permission)
  }
  for (const rule of rules)
    for (const verb of rule.verbs ?? NONE) {
      for (const apiGroup of rule.apiGroups ?? NONE)
        for (const resource of rule.resources ?? NONE)
          for (const name of namesOf(rule)) add({ verb, apiGroup, resource, name })
      if (where === 'cluster') for (const url of rule.nonResourceURLs ?? NONE) add({ verb, url: plainURL(url) })
    }
  return [...found.values()]
}

function namesOf(rule: PolicyRule): readonly (string | undefined)[] {
  return rule.resourceNames != null && rule.resourceNames.length > 0 ? rule.resourceNames : [undefined]
}

/** Several stars at the end of a URL mean what one does. */
function plainURL(url: string): string {
  return url.endsWith('**') ? `${urlPrefix(url)}*` : url
}

/** Equal for equal permissions only. */
export function permissionKey(p: Permission): string {
  return 'url' in p ? JSON.stringify([p.verb, p.url]) : JSON.stringify([p.verb, p.apiGroup, p.resource, p.name ?? null])
}

export function ruleOf(p: Permission): PolicyRule {
  return 'url' in p
    ? { nonResourceURLs: [p.url], verbs: [p.verb] }
    : {
        apiGroups: [p.apiGroup],
        resources: [p.resource],
        ...(p.name === undefined ? {} : { resourceNames: [p.name] }),
        verbs: [p.verb],
      }
}
