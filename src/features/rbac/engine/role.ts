import type { Binding } from './binding.ts'
import type { PolicyRule } from './types.ts'

/** A scope with its own index, which copies the rules of its roles. */
export type RulesFollower = { roleChanged: (role: Role) => void }

/**
 * A role that exists or that a binding names. Bindings hold the role itself, so that a change of its rules is seen by
 * all of them at once, and a role that appears later makes its bindings effective.
 */
export class Role {
  /** As in roleRef: a binding may name a kind that is no role. */
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Its number in the RoleTable. */
  readonly id: number
  /** Undefined while no such role exists. */
  rules: readonly PolicyRule[] | undefined
  readonly bindings: Set<Binding> = new Set()
  /** Made when the first one comes: few roles are in a large scope. */
  followers: Set<RulesFollower> | undefined

  constructor(kind: string, namespace: string, name: string, id: number) {
    this.kind = kind
    this.namespace = namespace
    this.name = name
    this.id = id
  }
}
