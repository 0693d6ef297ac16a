import type { KubeObject } from '../../kernel/api/object.ts'
import { compileLabelSelector, type LabelSelector, matchesSelector, type Selector } from '../../kernel/api/selectors.ts'
import type { PolicyRule } from './engine/types.ts'

export function isAggregated(role: KubeObject): boolean {
  return role['aggregationRule'] !== undefined && role['aggregationRule'] !== null
}

/**
 * The rules that an aggregated ClusterRole should have: those of all other ClusterRoles that one of its selectors
 * matches, selector by selector and by name, each rule once (clusterroleaggregation controller).
 */
export function aggregatedRules(role: KubeObject, clusterRoles: Iterable<KubeObject>): PolicyRule[] {
  const selectors = ((role['aggregationRule']?.clusterRoleSelectors ?? []) as LabelSelector[])
    .map(compileLabelSelector)
    .filter((selector): selector is Selector => selector !== undefined)
  const others = [...clusterRoles]
    .filter((other) => other.metadata.name !== role.metadata.name)
    .sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1))
  const rules: PolicyRule[] = []
  const seen = new Set<string>()
  for (const selector of selectors)
    for (const other of others) {
      if (!matchesSelector(selector, other.metadata.labels)) continue
      for (const rule of (other['rules'] ?? []) as PolicyRule[]) {
        const key = ruleKey(rule)
        if (seen.has(key)) continue
        seen.add(key)
        rules.push(rule)
      }
    }
  return rules
}

export function sameRules(a: readonly PolicyRule[] | null | undefined, b: readonly PolicyRule[]): boolean {
  const own = a ?? []
  return own.length === b.length && own.every((rule, i) => ruleKey(rule) === ruleKey(b[i]!))
}

/** Equal for rules that Kubernetes' semantic equality calls equal: an absent list is an empty one, order counts. */
function ruleKey(rule: PolicyRule): string {
  return JSON.stringify([
    rule.verbs ?? [],
    rule.apiGroups ?? [],
    rule.resources ?? [],
    rule.resourceNames ?? [],
    rule.nonResourceURLs ?? [],
  ])
}
