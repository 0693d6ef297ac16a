import { urlPrefix } from './rules.ts'
import type { PolicyRule, ResourceQuery } from './types.ts'

/**
 * Many rules, one lookup: group → resource → (name →) verb → owners of a rule that allows it. The number of map
 * lookups of a question is bounded by the wildcard forms (2 groups × 3 resources × 2 verbs × with and without a name),
 * whatever the number of rules.
 *
 * Owners are never searched for when one is taken away: `alive` turns false for it, and lookups drop dead owners when
 * they meet them. Whoever removes many rebuilds.
 */
export class RuleIndex<Owner> {
  readonly #alive: (owner: Owner) => boolean
  readonly #groups = new Map<string, Map<string, Leaf<Owner>>>()
  readonly #paths = new Map<string, Verbs<Owner>>()
  readonly #prefixes = new Map<string, Verbs<Owner>>()
  /** Distinct lengths of the prefixes, so that a path is tried once a length and not once a prefix. */
  #prefixLengths: number[] = []

  constructor(alive: (owner: Owner) => boolean) {
    this.#alive = alive
  }

  add(rule: PolicyRule, owner: Owner): void {
    for (const verb of rule.verbs ?? []) {
      for (const group of rule.apiGroups ?? [])
        for (const resource of rule.resources ?? []) this.#addResource(group, resource, rule.resourceNames, verb, owner)
      for (const url of rule.nonResourceURLs ?? []) this.#addURL(url, verb, owner)
    }
  }

  findResource(query: ResourceQuery): Owner | undefined {
    return this.#inGroup(this.#groups.get(query.apiGroup), query) ?? this.#inGroup(this.#groups.get('*'), query)
  }

  findPath(verb: string, path: string): Owner | undefined {
    const exact = this.#withVerb(this.#paths.get(path), verb)
    if (exact !== undefined) return exact
    for (const length of this.#prefixLengths) {
      if (length > path.length) break
      const found = this.#withVerb(this.#prefixes.get(path.slice(0, length)), verb)
      if (found !== undefined) return found
    }
    return undefined
  }

  #addResource(
    group: string,
    resource: string,
    names: readonly string[] | undefined,
    verb: string,
    owner: Owner,
  ): void {
    const leaf = entry(entry(this.#groups, group, newMap), resource, newLeaf) as Leaf<Owner>
    if (names === undefined || names === null || names.length === 0) push(leaf.verbs, verb, owner)
    else {
      leaf.names ??= new Map()
      for (const name of names) push(entry(leaf.names, name, newMap) as Verbs<Owner>, verb, owner)
    }
  }

  #addURL(url: string, verb: string, owner: Owner): void {
    push(entry(this.#paths, url, newMap) as Verbs<Owner>, verb, owner)
    if (!url.endsWith('*')) return
    const prefix = urlPrefix(url)
    push(entry(this.#prefixes, prefix, newMap) as Verbs<Owner>, verb, owner)
    if (!this.#prefixLengths.includes(prefix.length))
      this.#prefixLengths = [...this.#prefixLengths, prefix.length].sort((a, b) => a - b)
  }

  #inGroup(resources: Map<string, Leaf<Owner>> | undefined, query: ResourceQuery): Owner | undefined {
    if (resources === undefined) return undefined
    const found = this.#inLeaf(resources.get(query.combined), query) ?? this.#inLeaf(resources.get('*'), query)
    if (found !== undefined || query.anyWithSubresource === undefined) return found
    return this.#inLeaf(resources.get(query.anyWithSubresource), query)
  }

  #inLeaf(leaf: Leaf<Owner> | undefined, query: ResourceQuery): Owner | undefined {
    if (leaf === undefined) return undefined
    return this.#withVerb(leaf.verbs, query.verb) ?? this.#withVerb(leaf.names?.get(query.name), query.verb)
  }

  #withVerb(verbs: Verbs<Owner> | undefined, verb: string): Owner | undefined {
    if (verbs === undefined) return undefined
    return this.#last(verbs.get(verb)) ?? this.#last(verbs.get('*'))
  }

  #last(owners: Owner[] | undefined): Owner | undefined {
    if (owners === undefined) return undefined
    while (owners.length > 0) {
      const owner = owners[owners.length - 1]!
      if (this.#alive(owner)) return owner
      owners.pop()
    }
    return undefined
  }
}

type Verbs<Owner> = Map<string, Owner[]>
type Leaf<Owner> = { verbs: Verbs<Owner>; names: Map<string, Verbs<Owner>> | undefined }

const newMap = <V>(): Map<string, V> => new Map()
const newLeaf = <Owner>(): Leaf<Owner> => ({ verbs: new Map(), names: undefined })

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

function push<Owner>(verbs: Verbs<Owner>, verb: string, owner: Owner): void {
  const owners = verbs.get(verb)
  if (owners === undefined) verbs.set(verb, [owner])
  else owners.push(owner)
}
