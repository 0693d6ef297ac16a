import type { Chain, Element, NamedSet, Program, Rule, Table, VerdictMap } from './program.ts'

type In = { table: string }

/**
 * One change of a table (`family name`). Everything of a transaction is meant to happen at once. Whoever has to take it in
 * parts keeps the order: what is looked up comes first, then the chains that look, then the map that sends packets there;
 * what is no longer used goes last. `replace…` must not be torn apart.
 */
export type Operation =
  | (In & { op: 'addTable' })
  | (In & { op: 'deleteTable' })
  | (In & { op: 'addCounter' | 'deleteCounter' | 'deleteSet' | 'deleteMap' | 'deleteChain'; name: string })
  | (In & { op: 'addSet'; set: Omit<NamedSet, 'elements'> })
  | (In & { op: 'addMap'; map: Omit<VerdictMap, 'elements'> })
  /** Without its rules; a hook takes effect only when the whole transaction does. */
  | (In & { op: 'addChain'; chain: Chain })
  /** Instead of all rules that the chain has. */
  | (In & { op: 'setRules'; chain: string; rules: readonly Rule[] })
  | (In & { op: 'addElements'; set: string; elements: readonly Element[] })
  | (In & { op: 'deleteElements'; set: string; elements: readonly Element[] })
  /** Intervals: what goes must have gone when what comes would overlap it. */
  | (In & { op: 'replaceElements'; set: string; remove: readonly Element[]; add: readonly Element[] })
  | (In & { op: 'addVerdicts'; map: string; verdicts: readonly (readonly [Element, string])[] })
  | (In & { op: 'replaceVerdicts'; map: string; verdicts: readonly (readonly [Element, string])[] })
  | (In & { op: 'deleteVerdicts'; map: string; elements: readonly Element[] })

export type Transaction = readonly Operation[]

/** True when nothing but elements changes: such a transaction needs no parser. */
export const isElementsOnly = (transaction: Transaction): boolean =>
  transaction.every(({ op }) => op.endsWith('Elements') || op.endsWith('Verdicts'))

const EMPTY: Omit<Table, 'family' | 'name'> = {
  chains: new Map(),
  sets: new Map(),
  maps: new Map(),
  counters: new Set(),
}

/** Parts of a transaction, in the order in which they have to happen. */
type Phases = Record<
  'tables' | 'objects' | 'chains' | 'elements' | 'rules' | 'verdicts' | 'unused' | 'removals',
  Operation[]
>
const REMOVAL_ORDER = ['deleteChain', 'deleteMap', 'deleteSet', 'deleteCounter', 'deleteTable']

/** The smallest transaction that makes `before` into `after`. Elements of sets with a timeout are not compared. */
export function diff(before: Program, after: Program): Transaction {
  const phases: Phases = {
    tables: [],
    objects: [],
    chains: [],
    elements: [],
    rules: [],
    verdicts: [],
    unused: [],
    removals: [],
  }
  for (const [table, now] of after) {
    if (!before.has(table)) phases.tables.push({ op: 'addTable', table })
    diffTable(table, before.get(table) ?? EMPTY, now, phases)
  }
  for (const table of before.keys()) if (!after.has(table)) phases.removals.push({ op: 'deleteTable', table })
  phases.removals.sort((a, b) => REMOVAL_ORDER.indexOf(a.op) - REMOVAL_ORDER.indexOf(b.op))
  return Object.values(phases).flat()
}

function diffTable(table: string, was: typeof EMPTY, now: Table, phases: Phases): void {
  const { objects, chains, rules, unused, removals } = phases
  for (const name of now.counters) if (!was.counters.has(name)) objects.push({ op: 'addCounter', table, name })
  for (const set of now.sets.values()) diffSet(table, was.sets.get(set.name), set, phases)
  for (const map of now.maps.values()) diffMap(table, was.maps.get(map.name), map, phases)
  for (const chain of now.chains.values()) {
    const known = was.chains.get(chain.name)
    if (known === undefined) chains.push({ op: 'addChain', table, chain: { ...chain, rules: [] } })
    if (known === undefined ? chain.rules.length > 0 : !sameRules(known, chain))
      rules.push({ op: 'setRules', table, chain: chain.name, rules: chain.rules })
  }
  for (const name of was.chains.keys()) {
    if (now.chains.has(name)) continue
    unused.push({ op: 'setRules', table, chain: name, rules: [] })
    removals.push({ op: 'deleteChain', table, name })
  }
  for (const name of was.sets.keys()) if (!now.sets.has(name)) removals.push({ op: 'deleteSet', table, name })
  for (const name of was.maps.keys()) if (!now.maps.has(name)) removals.push({ op: 'deleteMap', table, name })
  for (const name of was.counters) if (!now.counters.has(name)) removals.push({ op: 'deleteCounter', table, name })
}

function diffSet(table: string, was: NamedSet | undefined, now: NamedSet, { objects, elements, unused }: Phases): void {
  const { elements: wanted, ...set } = now
  if (was === undefined) objects.push({ op: 'addSet', table, set })
  if (now.timeout !== undefined) return
  const add = was === undefined ? [...wanted] : [...wanted].filter((element) => !was.elements.has(element))
  const remove = was === undefined ? [] : [...was.elements].filter((element) => !wanted.has(element))
  if (now.interval && remove.length > 0 && add.length > 0) {
    elements.push({ op: 'replaceElements', table, set: now.name, remove, add })
    return
  }
  if (add.length > 0) elements.push({ op: 'addElements', table, set: now.name, elements: add })
  if (remove.length > 0) unused.push({ op: 'deleteElements', table, set: now.name, elements: remove })
}

function diffMap(
  table: string,
  was: VerdictMap | undefined,
  now: VerdictMap,
  { objects, verdicts, unused }: Phases,
): void {
  const { elements: wanted, ...map } = now
  if (was === undefined) objects.push({ op: 'addMap', table, map })
  const old = was?.elements ?? new Map<Element, string>()
  const add = [...wanted].filter(([element]) => !old.has(element))
  const replace = [...wanted].filter(([element, chain]) => old.has(element) && old.get(element) !== chain)
  const remove = [...old.keys()].filter((element) => !wanted.has(element))
  if (add.length > 0) verdicts.push({ op: 'addVerdicts', table, map: now.name, verdicts: add })
  if (replace.length > 0) verdicts.push({ op: 'replaceVerdicts', table, map: now.name, verdicts: replace })
  if (remove.length > 0) unused.unshift({ op: 'deleteVerdicts', table, map: now.name, elements: remove })
}

const sameRules = (a: Chain, b: Chain): boolean => a === b || JSON.stringify(a.rules) === JSON.stringify(b.rules)
