import { createHash } from 'node:crypto'
import type { NetworkPolicyModel } from '../model/model.ts'
import type { NamedPort } from '../model/pod.ts'
import type { Rule } from '../model/policy.ts'
import type { Direction, Tier } from '../model/types.ts'
import type { LogOptions } from './base.ts'
import type { Attribution, Chain, Draft, NftFamily, Rule as NftRule, Statement } from './program.ts'
import { Stage } from './stage.ts'

/** What a fragment is made of. Fragments of equal specifications are one. */
export type Specification =
  /** The rules of cluster policies, in order; the first that matches decides. */
  | { kind: 'tier'; direction: Direction; tier: Tier; policies: readonly string[]; own: readonly NamedPort[] }
  /** All that is asked about a pod: where its verdict map entry goes. */
  | {
      kind: 'signature'
      direction: Direction
      admin: Fragment | undefined
      isolating: readonly string[]
      observed: readonly string[]
      baseline: Fragment | undefined
      own: readonly NamedPort[]
    }

export function specificationKey(specification: Specification): string {
  const { kind, direction, own } = specification
  const ports = own.map(({ name, protocol, port }) => `${name}=${port}/${protocol}`).join()
  const parts =
    specification.kind === 'tier'
      ? [specification.tier, ...specification.policies]
      : [
          specification.admin?.id ?? '',
          ...specification.isolating,
          'observed',
          ...specification.observed,
          specification.baseline?.id ?? '',
        ]
  return [kind, direction, ports, ...parts].join('|')
}

/** Names in the tables say the direction and nothing else; attributions say the rest. */
function identifier(direction: Direction, key: string): string {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, 12)
  return `${direction === 'ingress' ? 'in' : 'out'}_${digest}`
}

/** Bytes of a log prefix, which has to fit the field that userspace reads it from. */
export const PREFIX_BYTES = 63

/** `rampart <id> <outcome> <policy>`: the identifier decides, the policy's name is for people and may be cut. */
export const logPrefix = (id: string, outcome: 'drop' | 'seen', title: string): string =>
  `rampart ${id} ${outcome} ${title}`.slice(0, PREFIX_BYTES)

export function parseLogPrefix(prefix: string): { id: string; outcome: 'drop' | 'seen' } | undefined {
  const match = /^rampart ([a-z0-9_]+) (drop|seen)(?: |$)/.exec(prefix)
  return match === null ? undefined : { id: match[1]!, outcome: match[2] as 'drop' | 'seen' }
}

const titleOf = (policyKey: string): string => policyKey.slice(policyKey.indexOf('/') + 1)

/** The longest comment that nft takes has 128 bytes. */
const comment = (policies: readonly string[]): string => {
  const text = policies.map(titleOf).join(' ')
  return text.length <= 120 ? text : `${text.slice(0, 117)}...`
}

export const counterStatement = (name: string): Statement => ({ kind: 'counter', name })
const verdict = (name: 'accept' | 'drop' | 'return'): Statement => ({ kind: 'verdict', verdict: name })

/** Chains, sets and counters that belong together, shared by every pod to which the same rules apply. */
export class Fragment {
  readonly key: string
  readonly id: string
  readonly specification: Specification
  /** Addresses whose packets come here, by family: without any, the fragment is not in that family's table. */
  readonly references: Record<NftFamily, number> = { ip: 0, ip6: 0 }
  readonly #model: NetworkPolicyModel
  readonly #log: LogOptions
  stages: readonly Stage[] = []
  attributions: readonly Attribution[] = []
  #chains: readonly Chain[] = []
  #counters: readonly string[] = []

  constructor(model: NetworkPolicyModel, log: LogOptions, specification: Specification) {
    this.#model = model
    this.#log = log
    this.specification = specification
    this.key = specificationKey(specification)
    this.id = identifier(specification.direction, this.key)
    this.build()
  }

  get children(): Fragment[] {
    const { specification } = this
    if (specification.kind === 'tier') return []
    return [specification.admin, specification.baseline].filter((child) => child !== undefined)
  }

  get policies(): readonly string[] {
    const { specification } = this
    return specification.kind === 'tier'
      ? specification.policies
      : [...specification.isolating, ...specification.observed]
  }

  /** Makes everything anew from the policies as they are now. */
  build(): void {
    this.stages = []
    this.attributions = []
    this.#chains = []
    this.#counters = []
    if (this.specification.kind === 'tier') this.#buildTier()
    else this.#buildSignature(this.specification)
  }

  /** Declares chains and counters, and the sets with all they hold. */
  emit(draft: Draft, table: string, family: NftFamily): void {
    const { chains, counters } = draft.table(family, table)
    for (const chain of this.#chains) chains.set(chain.name, chain)
    for (const counter of this.#counters) counters.add(counter)
    for (const stage of this.stages) stage.emit(draft, table, family, stage.sets(family))
  }

  #rules(policies: readonly string[]): Rule[] {
    return policies.flatMap((key) => this.#model.policy(key)?.[this.specification.direction] ?? [])
  }

  #stage(id: string, rules: readonly Rule[], policies: readonly string[]): Stage {
    const { direction, own } = this.specification
    const stage = new Stage(this.#model, id, direction, rules, own)
    this.stages = [...this.stages, stage]
    this.attributions = [...this.attributions, { id, direction, policies }]
    return stage
  }

  #chain(name: string, rules: readonly NftRule[], policies: readonly string[]): void {
    this.#chains = [...this.#chains, { name, comment: comment(policies), rules }]
  }

  #counted(name: string): Statement {
    this.#counters = [...this.#counters, name]
    return counterStatement(name)
  }

  #logged(id: string, outcome: 'drop' | 'seen', policies: readonly string[]): NftRule {
    const { group, perSecond, burst } = this.#log
    return [
      { kind: 'limit', perSecond, burst },
      { kind: 'log', prefix: logPrefix(id, outcome, titleOf(policies[0]!)), group },
    ]
  }

  #dropping(id: string, policies: readonly string[]): NftRule[] {
    return [this.#logged(id, 'drop', policies), [this.#counted(`${id}_drop`), verdict('drop')]]
  }

  /** Rules of one policy that stand together and do the same share their sets. */
  #buildTier(): void {
    const rules: NftRule[] = []
    const { direction } = this.specification
    for (const key of this.policies)
      runsOf(this.#rules([key])).forEach((run, i) => {
        const id = identifier(direction, `${this.key}|${key}|${i}`)
        const stage = this.#stage(id, run, [key])
        const { action } = run[0]!
        if (action === 'Pass') rules.push(...stage.matching([verdict('return')]))
        else if (action === 'Accept') rules.push(...stage.matching([this.#counted(`${id}_allow`), verdict('accept')]))
        else {
          this.#chain(`${id}_deny`, this.#dropping(id, [key]), [key])
          rules.push(...stage.matching([{ kind: 'goto', chain: `${id}_deny` }]))
        }
      })
    this.#chain(this.id, rules, this.policies)
  }

  #buildSignature(specification: Specification & { kind: 'signature' }): void {
    const { admin, baseline, isolating, observed } = specification
    const rules: NftRule[] = admin === undefined ? [] : [[{ kind: 'jump', chain: admin.id }]]
    if (isolating.length > 0) {
      const stage = this.#stage(this.id, this.#rules(isolating), isolating)
      if (stage.rules.length > 0) rules.push(...stage.matching([this.#counted(`${this.id}_allow`), verdict('accept')]))
      rules.push(...this.#dropping(this.id, isolating))
    } else {
      if (observed.length > 0) rules.push([{ kind: 'jump', chain: this.#observe(observed) }])
      if (baseline !== undefined) rules.push([{ kind: 'goto', chain: baseline.id }])
    }
    this.#chain(this.id, rules, this.policies)
  }

  /** What the policies would let through returns; the rest is logged and counted, and returns too. */
  #observe(observed: readonly string[]): string {
    const id = identifier(this.specification.direction, `${this.key}|seen`)
    const stage = this.#stage(id, this.#rules(observed), observed)
    const rules = [
      ...(stage.rules.length > 0 ? stage.matching([verdict('return')]) : []),
      this.#logged(id, 'seen', observed),
      [this.#counted(`${id}_seen`)],
    ]
    this.#chain(id, rules, observed)
    return id
  }
}

function runsOf(rules: readonly Rule[]): Rule[][] {
  const runs: Rule[][] = []
  for (const rule of rules) {
    const last = runs.at(-1)
    if (last?.[0]?.action === rule.action) last.push(rule)
    else runs.push([rule])
  }
  return runs
}
