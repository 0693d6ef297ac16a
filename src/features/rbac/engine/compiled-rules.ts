import type { PolicyRule } from './types.ts'
import { ALL_VERBS, hasOwnBit, type Vocabulary, verbBit } from './vocabulary.ts'

/** A role of more combinations of verb, group, resource and name stays as it is written, and is scanned. */
const MAX_ENTRIES = 16_384
/** 32-bit numbers of an entry: pair, name (0: any), verbs (a mask, or minus a verb without a bit), rule. */
export const ENTRY = 4

/**
 * The resource rules of a role as entries sorted by pair, name and rule. Undefined when they would be too many. Holds
 * a reference to each word: `releaseRules` gives them back.
 */
export function compileRules(
  rules: readonly PolicyRule[],
  words: Vocabulary,
): { entries: Int32Array; verbs: number[] } | undefined {
  let size = 0
  for (const rule of rules) size += entriesOf(rule)
  if (size > MAX_ENTRIES) return undefined
  const entries: [pair: number, name: number, verbs: number, rule: number][] = []
  const verbs: number[] = []
  for (const [index, rule] of rules.entries()) {
    if (entriesOf(rule) === 0) continue
    const masks = verbMasks(rule.verbs ?? [], words, verbs)
    for (const group of rule.apiGroups ?? [])
      for (const resource of rule.resources ?? [])
        for (const name of namesOf(rule))
          for (const mask of masks)
            entries.push([
              words.acquirePair(group, resource),
              name === undefined ? 0 : words.acquireName(name),
              mask,
              index,
            ])
  }
  entries.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[3] - b[3])
  return { entries: Int32Array.from(entries.flat()), verbs }
}

export function releaseRules(entries: Int32Array, verbs: readonly number[], words: Vocabulary): void {
  for (let at = 0; at < entries.length; at += ENTRY) {
    words.releasePair(entries[at]!)
    if (entries[at + 1] !== 0) words.releaseName(entries[at + 1]!)
  }
  for (const verb of verbs) words.releaseVerb(verb)
}

const ANY_NAME: readonly undefined[] = [undefined]

function namesOf(rule: PolicyRule): readonly (string | undefined)[] {
  return rule.resourceNames === undefined || rule.resourceNames === null || rule.resourceNames.length === 0
    ? ANY_NAME
    : rule.resourceNames
}

/** At most; most verbs share a mask. */
function entriesOf(rule: PolicyRule): number {
  const { verbs, apiGroups, resources } = rule
  return (verbs?.length ?? 0) * (apiGroups?.length ?? 0) * (resources?.length ?? 0) * namesOf(rule).length
}

/** One mask for the verbs that have a bit; each other verb by itself, as minus its number. */
function verbMasks(verbs: readonly string[], words: Vocabulary, held: number[]): number[] {
  if (verbs.includes('*')) return [ALL_VERBS]
  let mask = 0
  const masks: number[] = []
  for (const verb of verbs) {
    const id = words.acquireVerb(verb)
    held.push(id)
    if (hasOwnBit(id)) mask |= verbBit(id)
    else masks.push(-id)
  }
  return mask === 0 ? masks : [mask, ...masks]
}
