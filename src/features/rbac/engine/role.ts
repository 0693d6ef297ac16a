import type { Binding } from './binding.ts'
import { RuleIndex } from './rule-index.ts'
import { ruleAllowsPath, ruleAllowsResource } from './rules.ts'
import type { PolicyRule, ResourceQuery } from './types.ts'

/** Up to this many rules a scan is faster than an index. */
const SCAN_LIMIT = 8

const always = (): boolean => true

/**
 * A role that exists or that a binding names. Bindings hold the role itself, so that a change of its rules is seen by
 * all of them at once, and a role that appears later makes its bindings effective.
 */
export class Role {
  readonly kind: 'Role' | 'ClusterRole'
  readonly namespace: string
  readonly name: string
  /** Undefined while no such role exists. */
  rules: readonly PolicyRule[] | undefined
  readonly bindings: Set<Binding> = new Set()
  #index: RuleIndex<number> | undefined

  constructor(kind: 'Role' | 'ClusterRole', namespace: string, name: string) {
    this.kind = kind
    this.namespace = namespace
    this.name = name
  }

  setRules(rules: readonly PolicyRule[] | undefined): void {
    this.rules = rules
    this.#index = undefined
  }

  /** Index of a rule that allows it, or -1. */
  findResource(query: ResourceQuery): number {
    const rules = this.rules
    if (rules === undefined) return -1
    if (rules.length > SCAN_LIMIT) return this.#indexed(rules).findResource(query) ?? -1
    for (let i = 0; i < rules.length; i++) if (ruleAllowsResource(rules[i]!, query)) return i
    return -1
  }

  findPath(verb: string, path: string): number {
    const rules = this.rules
    if (rules === undefined) return -1
    if (rules.length > SCAN_LIMIT) return this.#indexed(rules).findPath(verb, path) ?? -1
    for (let i = 0; i < rules.length; i++) if (ruleAllowsPath(rules[i]!, verb, path)) return i
    return -1
  }

  #indexed(rules: readonly PolicyRule[]): RuleIndex<number> {
    if (this.#index === undefined) {
      this.#index = new RuleIndex<number>(always)
      for (const [i, rule] of rules.entries()) this.#index.add(rule, i)
    }
    return this.#index
  }
}
