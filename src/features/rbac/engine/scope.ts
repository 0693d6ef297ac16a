import type { Decision } from '../../../kernel/authz/types.ts'
import { allowedBy, type Binding } from './binding.ts'
import type { Role } from './role.ts'
import { RuleIndex } from './rule-index.ts'
import type { ResourceQuery, Subject } from './types.ts'

/** Up to this many distinct roles are asked one after the other; beyond, their rules go into one index. */
const SCAN_LIMIT = 8

/** One subject of one binding. */
export type Grant = { binding: Binding; subject: Subject }

/** A role in a scope with the bindings that brought it there. `alive` false: taken away, or its rules changed. */
type RoleUse = { role: Role; grants: Grant[]; alive: boolean; decisions: (Decision | undefined)[] }

type Owner = { use: RoleUse; rule: number }

const ownerAlive = (owner: Owner): boolean => owner.use.alive

/**
 * All that one user or group holds cluster-wide, or in one namespace.
 */
export class Scope {
  readonly #uses = new Map<Role, RoleUse>()
  /** The same uses as an array, for the scan: iterating a Map allocates. */
  #list: RoleUse[] = []
  #index: RuleIndex<Owner> | undefined
  #dead = 0

  get size(): number {
    return this.#uses.size
  }

  *grants(): Generator<Grant> {
    for (const use of this.#list) yield* use.grants
  }

  add(role: Role, grant: Grant): void {
    const use = this.#uses.get(role)
    if (use !== undefined) {
      use.grants.push(grant)
      return
    }
    this.#put({ role, grants: [grant], alive: true, decisions: [] })
  }

  remove(role: Role, grant: Grant): void {
    const use = this.#uses.get(role)
    if (use === undefined) return
    const at = use.grants.indexOf(grant)
    if (at < 0) return
    use.grants[at] = use.grants[use.grants.length - 1]!
    use.grants.pop()
    use.decisions = []
    if (use.grants.length === 0) this.#drop(use)
  }

  /** The role's rules are others now. */
  roleChanged(role: Role): void {
    const use = this.#uses.get(role)
    if (use === undefined) return
    if (this.#index === undefined) {
      use.decisions = []
      return
    }
    this.#drop(use)
    this.#put({ role, grants: use.grants, alive: true, decisions: [] })
  }

  findResource(query: ResourceQuery): Decision | undefined {
    if (this.#list.length > SCAN_LIMIT) return ownerDecision(this.#indexed().findResource(query))
    for (const use of this.#list) {
      const rule = use.role.findResource(query)
      if (rule >= 0) return decisionOf(use, rule)
    }
    return undefined
  }

  findPath(verb: string, path: string): Decision | undefined {
    if (this.#list.length > SCAN_LIMIT) return ownerDecision(this.#indexed().findPath(verb, path))
    for (const use of this.#list) {
      const rule = use.role.findPath(verb, path)
      if (rule >= 0) return decisionOf(use, rule)
    }
    return undefined
  }

  #put(use: RoleUse): void {
    this.#uses.set(use.role, use)
    this.#list.push(use)
    if (this.#index !== undefined) addRules(this.#index, use)
  }

  #drop(use: RoleUse): void {
    use.alive = false
    this.#uses.delete(use.role)
    const at = this.#list.indexOf(use)
    this.#list[at] = this.#list[this.#list.length - 1]!
    this.#list.pop()
    if (this.#index === undefined) return
    if (++this.#dead > this.#list.length + 64) {
      this.#index = undefined
      this.#dead = 0
    }
  }

  #indexed(): RuleIndex<Owner> {
    if (this.#index === undefined) {
      this.#index = new RuleIndex<Owner>(ownerAlive)
      this.#dead = 0
      for (const use of this.#list) addRules(this.#index, use)
    }
    return this.#index
  }
}

function addRules(index: RuleIndex<Owner>, use: RoleUse): void {
  const rules = use.role.rules ?? []
  for (let rule = 0; rule < rules.length; rule++) index.add(rules[rule]!, { use, rule })
}

function ownerDecision(owner: Owner | undefined): Decision | undefined {
  return owner === undefined ? undefined : decisionOf(owner.use, owner.rule)
}

function decisionOf(use: RoleUse, rule: number): Decision {
  const known = use.decisions[rule]
  if (known !== undefined) return known
  const { binding, subject } = use.grants[0]!
  return (use.decisions[rule] = allowedBy(binding, subject, rule))
}
