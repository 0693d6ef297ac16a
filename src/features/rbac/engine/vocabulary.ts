import { Ids } from './ids.ts'
import { Names } from './names.ts'

/** Verbs above this have no bit of their own. */
const VERB_BITS = 29
/** Set for verbs without a bit, and in the mask of `*`. */
export const OTHER_VERB: number = 1 << 30
/** The mask of a rule with the verb `*`. */
export const ALL_VERBS = 0x7fffffff
const STAR = '*'
const NO_PAIR = { group: 0, resource: 0, references: 0 }

/** A question in numbers. One object for each engine, written anew by each question. */
export type Query = {
  /** 0: no rule names the verb. */
  verb: number
  verbBit: number
  /** Which (group, resource) a rule may name to allow it: the exact ones and those with `*`; `pairCount` of them. */
  readonly pairs: Int32Array
  pairCount: number
  /** The same as a Bloom filter of one word. Bit 0 is always set, for roles that no filter describes. */
  bloom: number
  objectName: string
  /** The name as a number; -1 while nobody has needed it. */
  name: number
}

/**
 * The words of all rules as numbers: verbs, (group, resource) pairs and resource names. What no rule names has no
 * number, so that a question with unknown words is answered by the rules with `*` alone.
 */
export class Vocabulary {
  readonly #verbs = new Ids<string>()
  readonly #groups = new Ids<string>()
  readonly #resources = new Ids<string>()
  readonly #names = new Names()
  /** group → resource → pair */
  readonly #pairs: (Map<number, number> | undefined)[] = []
  readonly #pairParts: { group: number; resource: number; references: number }[] = [NO_PAIR]
  readonly #freePairs: number[] = []
  readonly #starGroup: number
  readonly #starResource: number
  readonly query: Query = {
    verb: 0,
    verbBit: 0,
    pairs: new Int32Array(6),
    pairCount: 0,
    bloom: 0,
    objectName: '',
    name: 0,
  }

  constructor() {
    this.#starGroup = this.#groups.acquire(STAR)
    this.#starResource = this.#resources.acquire(STAR)
  }

  acquireVerb(verb: string): number {
    return this.#verbs.acquire(verb)
  }

  releaseVerb(verb: number): void {
    this.#verbs.release(verb)
  }

  acquireName(name: string): number {
    return this.#names.acquire(name)
  }

  releaseName(name: number): void {
    this.#names.release(name)
  }

  acquirePair(apiGroup: string, combinedResource: string): number {
    const group = this.#groups.acquire(apiGroup)
    const resource = this.#resources.acquire(combinedResource)
    const ofGroup = (this.#pairs[group] ??= new Map())
    const known = ofGroup.get(resource)
    if (known !== undefined) {
      // The pair holds its words already.
      this.#groups.release(group)
      this.#resources.release(resource)
      this.#pairParts[known]!.references++
      return known
    }
    const pair = this.#freePairs.pop() ?? this.#pairParts.length
    ofGroup.set(resource, pair)
    this.#pairParts[pair] = { group, resource, references: 1 }
    return pair
  }

  releasePair(pair: number): void {
    const parts = this.#pairParts[pair]!
    if (--parts.references > 0) return
    const ofGroup = this.#pairs[parts.group]!
    ofGroup.delete(parts.resource)
    if (ofGroup.size === 0) this.#pairs[parts.group] = undefined
    this.#groups.release(parts.group)
    this.#resources.release(parts.resource)
    this.#freePairs.push(pair)
  }

  ask(verb: string, apiGroup: string, resource: string, subresource: string, objectName: string): Query {
    const { query } = this
    query.verb = this.#verbs.get(verb)
    query.verbBit = verbBit(query.verb)
    query.objectName = objectName
    query.name = -1
    const combined = this.#resources.get(subresource === '' ? resource : `${resource}/${subresource}`)
    const anyWithSubresource = subresource === '' ? 0 : this.#resources.get(`*/${subresource}`)
    const group = this.#groups.get(apiGroup)
    query.bloom = 1
    query.pairCount = 0
    if (group !== this.#starGroup) this.#addPairs(group, combined, anyWithSubresource)
    this.#addPairs(this.#starGroup, combined, anyWithSubresource)
    return query
  }

  /** The number of the object's name, looked up at the first rule that is limited to names. */
  queryName(query: Query): number {
    if (query.name < 0) query.name = this.#names.get(query.objectName)
    return query.name
  }

  /** For a question without a resource. */
  verb(verb: string): number {
    return this.#verbs.get(verb)
  }

  #addPairs(group: number, combined: number, anyWithSubresource: number): void {
    const ofGroup = this.#pairs[group]
    if (ofGroup === undefined) return
    if (combined !== 0) this.#addPair(ofGroup.get(combined))
    this.#addPair(ofGroup.get(this.#starResource))
    if (anyWithSubresource !== 0) this.#addPair(ofGroup.get(anyWithSubresource))
  }

  #addPair(pair: number | undefined): void {
    if (pair === undefined) return
    const { query } = this
    query.pairs[query.pairCount++] = pair
    query.bloom |= pairBit(pair)
  }
}

/** The bit of a pair in a Bloom filter: any but the first. */
export function pairBit(pair: number): number {
  return 2 << (pair % 31)
}

/** The bit of a verb in a rule's mask. */
export function verbBit(verb: number): number {
  return verb === 0 || verb > VERB_BITS ? OTHER_VERB : 1 << verb
}

export function hasOwnBit(verb: number): boolean {
  return verb <= VERB_BITS
}
