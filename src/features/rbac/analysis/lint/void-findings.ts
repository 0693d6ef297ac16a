import type { PolicyRule } from '../../engine/types.ts'
import { qualified, ruleText } from '../describe.ts'
import type { KnownResource } from '../known-resources.ts'
import { type LintContext, type LintedRole, place } from './context.ts'
import type { Finding } from './finding.ts'
import { nearest } from './nearest.ts'

const VERBS = 'get,list,watch,create,update,patch,delete,deletecollection'.split(',')
const SPECIAL_VERBS =
  'bind,escalate,impersonate,approve,sign,attest,use,proxy,request-serviceaccounts-token-audience'.split(',')
const HTTP_VERBS = 'get,put,post,delete,head,options,patch'.split(',')

type Mistake = Pick<Finding, 'rule' | 'severity' | 'what' | 'fix'>

/** Rules that grant nothing, or not what they say: names that do not exist, names where names cannot count. */
export function* voidFindings(context: LintContext): Generator<Finding> {
  const catalog = new Catalog(context)
  for (const linted of context.roles)
    for (const { rule, index } of linted.rules)
      for (const mistake of mistakes(catalog, linted, rule))
        yield {
          ...mistake,
          ...place(context, linted.kind, linted.role),
          rules: [index],
          attack: NO_ATTACK[mistake.rule]!,
        }
}

const NO_ATTACK: Readonly<Record<string, string>> = {
  'unknown-resource': 'gets the right once an API of that name is installed; until then the rule misleads its readers',
  'unknown-verb': 'nothing: no request has this verb, so that somebody lacks a right and may be given too much instead',
  'ineffective-names': 'nothing: the rule does not allow what it seems to, so that somebody may take the names away',
  'no-effect': 'nothing: the rule is void, so that somebody may replace it by a ClusterRoleBinding',
}

class Catalog {
  readonly groups: Map<string, Map<string, KnownResource>> = new Map()
  readonly complete: boolean

  constructor({ known }: LintContext) {
    this.complete = known.complete
    for (const resource of known.resources) {
      let group = this.groups.get(resource.group)
      if (group === undefined) this.groups.set(resource.group, (group = new Map()))
      group.set(resource.plural, resource)
    }
  }

  find(groups: readonly string[], plural: string): KnownResource | undefined {
    const where = groups.includes('*') ? [...this.groups.keys()] : groups
    for (const group of where) {
      const found = this.groups.get(group)?.get(plural)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Nothing can be said of a group that the built-in kinds do not know. */
  judges(groups: readonly string[]): boolean {
    return groups.every((group) => group === '*' || this.complete || this.groups.has(group))
  }

  *all(): Generator<KnownResource> {
    for (const group of this.groups.values()) yield* group.values()
  }
}

function* mistakes(catalog: Catalog, linted: LintedRole, rule: PolicyRule): Generator<Mistake> {
  const groups = rule.apiGroups ?? []
  yield* unknownGroups(catalog, groups)
  for (const resource of rule.resources ?? []) yield* unknownResource(catalog, groups, resource)
  yield* unknownVerbs(rule)
  yield* namesWhereNoneCount(rule)
  yield* withoutEffect(catalog, linted, rule)
}

function* unknownGroups(catalog: Catalog, groups: readonly string[]): Generator<Mistake> {
  for (const group of groups) {
    if (group === '*' || catalog.groups.has(group)) continue
    const meant = nearest(
      group,
      [...catalog.groups.keys()].filter((known) => known !== ''),
    )
    const core = group === 'core' || group === 'v1'
    if (!catalog.complete && meant === undefined && !core) continue
    yield {
      rule: 'unknown-resource',
      severity: 'low',
      what: `API group ${JSON.stringify(group)} does not exist`,
      fix: core
        ? 'write "" for the core group'
        : meant === undefined
          ? 'take it out'
          : `write ${JSON.stringify(meant)}`,
    }
  }
}

function* unknownResource(catalog: Catalog, groups: readonly string[], resource: string): Generator<Mistake> {
  const [plural = '', sub] = resource.split('/')
  const mistake = (what: string, fix: string): Mistake => ({ rule: 'unknown-resource', severity: 'low', what, fix })
  if (plural === '*' || groups.length === 0) return
  if (sub === '*') {
    yield mistake(`${resource} matches nothing: a star does not stand for subresources`, 'name each subresource')
    return
  }
  const known = catalog.find(groups, plural)
  if (known === undefined) {
    if (!catalog.judges(groups)) return
    const hint = meantResource(catalog, groups, plural)
    yield mistake(
      `there is no resource ${JSON.stringify(plural)} in ${groups.map((g) => g || 'the core group').join(', ')}`,
      hint,
    )
    return
  }
  if (sub === undefined || known.subresources.includes(sub) || sub === 'finalizers') return
  // Subresources of aggregated and custom APIs need not be listed by name.
  if (!catalog.complete && known.subresources.length === 0) return
  const meant = nearest(sub, known.subresources)
  if (catalog.complete || meant !== undefined)
    yield mistake(
      `${plural} has no subresource ${JSON.stringify(sub)}`,
      meant === undefined ? 'take it out' : `write ${plural}/${meant}`,
    )
}

function meantResource(catalog: Catalog, groups: readonly string[], plural: string): string {
  const lower = plural.toLowerCase()
  const all = [...catalog.all()]
  const here = all.filter(({ group }) => groups.includes('*') || groups.includes(group))
  const isIt = (r: KnownResource): boolean =>
    r.plural === lower || r.singular === lower || r.kind === lower || r.shortNames.includes(lower)
  const same = here.find(isIt)
  if (same !== undefined) return `write ${same.plural}`
  const elsewhere = all.find(isIt)
  if (elsewhere !== undefined) return `${elsewhere.plural} are in the API group ${JSON.stringify(elsewhere.group)}`
  const meant =
    nearest(
      lower,
      here.map((r) => r.plural),
    ) ??
    nearest(
      lower,
      all.map((r) => r.plural),
    )
  return meant === undefined ? 'take it out' : `write ${meant}`
}

function* unknownVerbs(rule: PolicyRule): Generator<Mistake> {
  const paths = (rule.nonResourceURLs?.length ?? 0) > 0
  for (const verb of rule.verbs ?? []) {
    if (verb === '*' || (paths ? HTTP_VERBS : VERBS).includes(verb) || (!paths && SPECIAL_VERBS.includes(verb)))
      continue
    const meant = nearest(verb.toLowerCase(), paths ? HTTP_VERBS : [...VERBS, ...SPECIAL_VERBS])
    const own = meant === undefined && !paths
    if (own && (rule.apiGroups ?? []).some((group) => !BUILT_IN_GROUP.test(group))) continue
    yield {
      rule: 'unknown-verb',
      severity: 'low',
      what: `no request has the verb ${JSON.stringify(verb)}`,
      fix: meant === undefined ? 'take it out' : `write ${meant}`,
    }
  }
}

/** APIs of others may ask about verbs of their own. */
const BUILT_IN_GROUP = /^$|^[a-z]+$|\.k8s\.io$/

function* namesWhereNoneCount(rule: PolicyRule): Generator<Mistake> {
  if ((rule.resourceNames?.length ?? 0) === 0) return
  const plain = (rule.resources ?? []).filter((resource) => !resource.includes('/'))
  if (plain.length === 0) return
  const verbs = (rule.verbs ?? []).filter((verb) => verb === 'create' || verb === 'deletecollection')
  if (verbs.length > 0)
    yield {
      rule: 'ineffective-names',
      severity: 'medium',
      what: `${ruleText(rule)}: a request to ${verbs.join(' or ')} names no object, so that resourceNames never match it`,
      fix: `grant ${verbs.join(', ')} in a rule without resourceNames, or take it out`,
    }
  const lists = (rule.verbs ?? []).filter((verb) => verb === 'list' || verb === 'watch')
  if (lists.length > 0)
    yield {
      rule: 'ineffective-names',
      severity: 'low',
      what: `${ruleText(rule)}: ${lists.join(' and ')} is allowed with the field selector metadata.name=NAME only`,
      fix: `take ${lists.join(', ')} out if no client asks like that`,
    }
}

function* withoutEffect(catalog: Catalog, { kind, use }: LintedRole, rule: PolicyRule): Generator<Mistake> {
  const bound = kind === 'Role' || (use.namespaces.size > 0 && !use.everywhere)
  if (!bound) return
  const mistake = (what: string): Mistake => ({
    rule: 'no-effect',
    severity: 'low',
    what: `${what}, and ${kind === 'Role' ? 'a Role' : 'what a RoleBinding grants'} counts in its namespace only`,
    fix: 'grant it by a ClusterRole and a ClusterRoleBinding, or take it out',
  })
  if ((rule.nonResourceURLs?.length ?? 0) > 0)
    yield mistake(`${rule.nonResourceURLs!.join(', ')}: paths have no namespace`)
  const groups = rule.apiGroups ?? []
  const outside = (rule.resources ?? []).filter((resource) => {
    const [plural = ''] = resource.split('/')
    const found = catalog.find(groups, plural)
    if (found === undefined || found.namespaced || groups.includes('*')) return false
    // get of one's own namespace counts as in it, and bind is asked in the namespace of the binding.
    return plural !== 'namespaces' && !(rule.verbs ?? []).includes('bind')
  })
  if (outside.length > 0)
    yield mistake(
      `${outside.map((resource) => qualified(resource, groups[0] ?? '')).join(', ')}: no namespace holds them`,
    )
}
