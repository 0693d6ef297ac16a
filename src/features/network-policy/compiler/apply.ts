import type { Operation, Transaction } from './diff.ts'
import { type Chain, Draft, type Program } from './program.ts'

type MutableTable = ReturnType<Draft['table']>

const inTable = (draft: Draft, key: string): MutableTable => {
  const table = draft.tables.get(key)
  if (table === undefined) throw new Error(`there is no table ${key}`)
  return table
}

function found<V>(values: ReadonlyMap<string, V>, name: string, what: string): V {
  const value = values.get(name)
  if (value === undefined) throw new Error(`there is no ${what} ${name}`)
  return value
}

/** A copy that can be changed. */
export function draftOf(program: Program): Draft {
  const draft = new Draft()
  for (const { family, name, chains, sets, maps, counters } of program.values()) {
    const table = draft.table(family, name)
    for (const chain of chains.values()) table.chains.set(chain.name, chain)
    for (const set of sets.values()) table.sets.set(set.name, { ...set, elements: new Set(set.elements) })
    for (const map of maps.values()) table.maps.set(map.name, { ...map, elements: new Map(map.elements) })
    for (const counter of counters) table.counters.add(counter)
  }
  return draft
}

/**
 * What a program is after a transaction, step by step as a kernel does it: an Error says which step asks for what is not
 * there, is there already, or is still in use.
 */
export function applyTransaction(program: Program, transaction: Transaction): Program {
  const draft = draftOf(program)
  for (const operation of transaction) applyOperation(draft, operation)
  return draft.tables
}

function applyOperation(draft: Draft, operation: Operation): void {
  if (operation.op === 'addTable') {
    const [family, name] = operation.table.split(' ') as ['ip' | 'ip6', string]
    draft.table(family, name)
    return
  }
  const table = inTable(draft, operation.table)
  switch (operation.op) {
    case 'deleteTable':
      draft.tables.delete(operation.table)
      return
    case 'addCounter':
      table.counters.add(operation.name)
      return
    case 'deleteCounter':
      unusedBy(table, operation.name, (statement) => statement.kind === 'counter' && statement.name)
      table.counters.delete(operation.name)
      return
    case 'addSet':
      table.sets.set(operation.set.name, { ...operation.set, elements: new Set() })
      return
    case 'addMap':
      table.maps.set(operation.map.name, { ...operation.map, elements: new Map() })
      return
    case 'deleteSet':
      unusedBy(table, operation.name, (statement) => statement.kind === 'lookup' && statement.set)
      table.sets.delete(operation.name)
      return
    case 'deleteMap':
      table.maps.delete(operation.name)
      return
    case 'addChain':
      table.chains.set(operation.chain.name, operation.chain)
      return
    case 'setRules':
      setRules(table, operation.chain, operation.rules)
      return
    case 'deleteChain':
      deleteChain(table, operation.name)
      return
    default:
      applyElements(table, operation)
  }
}

type Elements = Extract<Operation, { op: `${string}Elements` | `${string}Verdicts` }>

function applyElements(table: MutableTable, operation: Elements): void {
  if ('set' in operation) {
    const { elements } = found(table.sets, operation.set, 'set')
    const [add, remove] =
      operation.op === 'replaceElements'
        ? [operation.add, operation.remove]
        : operation.op === 'addElements'
          ? [operation.elements, []]
          : [[], operation.elements]
    for (const element of remove) if (!elements.delete(element)) throw new Error(`${operation.set} has no ${element}`)
    for (const element of add) elements.add(element)
    return
  }
  const { elements } = found(table.maps, operation.map, 'map')
  if (operation.op === 'deleteVerdicts') {
    for (const element of operation.elements)
      if (!elements.delete(element)) throw new Error(`${operation.map} has no ${element}`)
    return
  }
  for (const [element, chain] of operation.verdicts) {
    if (elements.has(element) !== (operation.op === 'replaceVerdicts'))
      throw new Error(`${operation.map}: ${element} is ${elements.has(element) ? '' : 'not '}there`)
    found(table.chains, chain, 'chain')
    elements.set(element, chain)
  }
}

function setRules(table: MutableTable, name: string, rules: Chain['rules']): void {
  for (const statement of rules.flat()) {
    if (statement.kind === 'lookup') found(table.sets, statement.set, 'set')
    else if (statement.kind === 'vmap') found(table.maps, statement.map, 'map')
    else if (statement.kind === 'jump' || statement.kind === 'goto') found(table.chains, statement.chain, 'chain')
    else if (statement.kind === 'counter' && !table.counters.has(statement.name))
      throw new Error(`there is no counter ${statement.name}`)
  }
  table.chains.set(name, { ...found(table.chains, name, 'chain'), rules })
}

function deleteChain(table: MutableTable, name: string): void {
  found(table.chains, name, 'chain')
  for (const { elements, name: map } of table.maps.values())
    for (const [element, chain] of elements)
      if (chain === name) throw new Error(`chain ${name} is still in map ${map} for ${element}`)
  table.chains.delete(name)
}

function unusedBy(
  table: MutableTable,
  name: string,
  uses: (statement: Chain['rules'][number][number]) => string | false,
): void {
  for (const chain of table.chains.values())
    for (const statement of chain.rules.flat())
      if (uses(statement) === name) throw new Error(`${name} is still used by chain ${chain.name}`)
}
