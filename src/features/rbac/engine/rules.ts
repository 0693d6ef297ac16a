import type { PolicyRule, ResourceQuery } from './types.ts'

const NONE: readonly string[] = []

/**
 * The matching of one rule, as pkg/apis/rbac/v1/evaluation_helpers.go defines it. Everything is compared exactly, with
 * its case. `*` stands for all verbs, groups or resources; `*` + `/sub` for that subresource of all resources;
 * `pods` + `/*` has no meaning of its own. A trailing `*` in a URL matches every path that starts with what is before.
 */
export function ruleAllowsResource(rule: PolicyRule, query: ResourceQuery): boolean {
  return (
    hasOrStar(rule.verbs ?? NONE, query.verb) &&
    hasOrStar(rule.apiGroups ?? NONE, query.apiGroup) &&
    resourceMatches(rule.resources ?? NONE, query) &&
    nameMatches(rule.resourceNames, query.name)
  )
}

export function ruleAllowsPath(rule: PolicyRule, verb: string, path: string): boolean {
  if (!hasOrStar(rule.verbs ?? NONE, verb)) return false
  for (const url of rule.nonResourceURLs ?? NONE) if (urlMatches(url, path)) return true
  return false
}

export function urlMatches(ruleURL: string, path: string): boolean {
  if (ruleURL === path) return true
  return ruleURL.endsWith('*') && path.startsWith(urlPrefix(ruleURL))
}

/** What is before the trailing stars. */
export function urlPrefix(ruleURL: string): string {
  let end = ruleURL.length
  while (end > 0 && ruleURL.charCodeAt(end - 1) === 0x2a) end--
  return ruleURL.slice(0, end)
}

export function resourceQuery(
  verb: string,
  apiGroup: string,
  resource: string,
  subresource: string,
  name: string,
): ResourceQuery {
  return subresource === ''
    ? { verb, apiGroup, combined: resource, anyWithSubresource: undefined, name }
    : { verb, apiGroup, combined: `${resource}/${subresource}`, anyWithSubresource: `*/${subresource}`, name }
}

function hasOrStar(list: readonly string[], value: string): boolean {
  for (let i = 0; i < list.length; i++) if (list[i] === value || list[i] === '*') return true
  return false
}

function resourceMatches(list: readonly string[], query: ResourceQuery): boolean {
  for (let i = 0; i < list.length; i++) {
    const r = list[i]
    if (r === query.combined || r === '*') return true
    if (query.anyWithSubresource !== undefined && r === query.anyWithSubresource) return true
  }
  return false
}

function nameMatches(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names === null || names.length === 0 || names.includes(name)
}
