import type { PolicyRule } from '../../engine/types.ts'
import type { Grant } from '../world-index.ts'
import { type HeldPower, needsCluster, type Power, powersOf } from './powers.ts'

/** The rule that gives a power, and the grant by which it came. */
export type Evidence = { grant: Grant; ruleIndex: number; rule: PolicyRule; names: readonly string[] | undefined }

/** The powers of one subject, by namespace ('' everywhere). */
export class Holdings {
  readonly #scopes = new Map<string, Map<Power, Evidence[]>>()
  /** Asked where this one holds nothing itself: the groups that its subject is in. */
  readonly #also: readonly Holdings[]

  constructor(grants: Iterable<Grant>, also: readonly Holdings[] = []) {
    this.#also = also
    for (const grant of grants) for (const held of powersOf(grant.rules)) this.#add(grant, held)
  }

  #add(grant: Grant, { power, ruleIndex, names }: HeldPower): void {
    if (grant.namespace !== '' && needsCluster(power)) {
      return
    }
    let scope = this.#scopes.get(grant.namespace)
    if (scope === undefined) this.#scopes.set(grant.namespace, (scope = new Map()))
    const evidence = { grant, ruleIndex, rule: grant.rules[ruleIndex]!, names }
    const list = scope.get(power)
    if (list === undefined) scope.set(power, [evidence])
    // One unlimited proof is enough; limited ones add up.
    else if (names !== undefined) list.push(evidence)
    else if (list[0]!.names !== undefined) list.unshift(evidence)
  }

  /** Namespaces in which something is held by the subject itself; '' for everywhere. */
  namespaces(): Iterable<string> {
    return this.#scopes.keys()
  }

  /** Proofs of a power in exactly that scope, the subject's own only. */
  own(power: Power, namespace: string): readonly Evidence[] {
    return this.#scopes.get(namespace)?.get(power) ?? []
  }

  /** Proofs of a power that counts in the namespace, wherever it comes from: held everywhere, or by a group. */
  find(power: Power, namespace: string): readonly Evidence[] {
    const own = [...this.own(power, ''), ...(namespace === '' ? [] : this.own(power, namespace))]
    if (own.length > 0) return own
    for (const other of this.#also) {
      const found = other.find(power, namespace)
      if (found.length > 0) return found
    }
    return own
  }

  /** The first proof that is not limited to names. */
  unlimited(power: Power, namespace: string): Evidence | undefined {
    return this.find(power, namespace).find(({ names }) => names === undefined)
  }
}
