import type { Operation, Transaction } from './diff.ts'
import type {
  Chain,
  Element,
  Field,
  NamedSet,
  NftFamily,
  Program,
  Rule,
  Statement,
  Table,
  VerdictMap,
} from './program.ts'

/** nft's language, for people, for golden files, and for where the kernel can only be reached through nft. */

const NAMES: Readonly<Record<NftFamily, Readonly<Record<Field, string>>>> = {
  ip: names('ip', 'icmp'),
  ip6: names('ip6', 'icmpv6'),
}

function names(family: string, icmp: string): Record<Field, string> {
  return {
    saddr: `${family} saddr`,
    daddr: `${family} daddr`,
    l4proto: 'meta l4proto',
    sport: 'th sport',
    dport: 'th dport',
    iifname: 'iifname',
    ctstate: 'ct state',
    icmptype: `${icmp} type`,
  }
}

const braced = (values: readonly string[]): string => (values.length === 1 ? values[0]! : `{ ${values.join(', ')} }`)

function statementText(statement: Statement, family: NftFamily): string {
  const fields = (list: readonly Field[]): string => list.map((field) => NAMES[family][field]).join(' . ')
  switch (statement.kind) {
    case 'lookup':
      return `${fields(statement.fields)} ${statement.negated ? '!= ' : ''}@${statement.set}`
    case 'vmap':
      return `${fields(statement.fields)} vmap @${statement.map}`
    case 'compare': {
      const { field, values, negated } = statement
      const text = field === 'iifname' ? values.map((value) => `"${value}"`) : values
      if (field === 'ctstate') return `ct state ${text.join(',')}`
      return `${NAMES[family][field]} ${negated ? '!= ' : ''}${braced(text)}`
    }
    case 'limit':
      return `limit rate ${statement.perSecond}/second burst ${statement.burst} packets`
    case 'log':
      return `log prefix "${statement.prefix}" group ${statement.group}`
    case 'counter':
      return `counter name "${statement.name}"`
    case 'verdict':
      return statement.verdict
    case 'jump':
    case 'goto':
      return `${statement.kind} ${statement.chain}`
    case 'reset':
      return 'reject with tcp reset'
  }
}

export const renderRule = (rule: Rule, family: NftFamily): string =>
  rule.map((statement) => statementText(statement, family)).join(' ')

const verdictText = ([element, chain]: readonly [Element, string]): string => `${element} : goto ${chain}`

function setText({ key, interval, timeout }: Omit<NamedSet, 'elements'>): string[] {
  const flags = [...(interval ? ['interval'] : []), ...(timeout === undefined ? [] : ['timeout'])]
  return [
    `type ${key.join(' . ')};`,
    ...(flags.length > 0 ? [`flags ${flags.join(', ')};`] : []),
    ...(timeout === undefined ? [] : [`timeout ${timeout}s;`]),
  ]
}

const mapText = ({ key }: Omit<VerdictMap, 'elements'>): string => `type ${key.join(' . ')} : verdict;`

function chainHead({ hook, comment }: Chain): string[] {
  return [
    ...(comment ? [`comment "${comment}";`] : []),
    ...(hook === undefined ? [] : [`type filter hook ${hook.hook} priority ${hook.priority}; policy accept;`]),
  ]
}

const block = (head: string, lines: readonly string[]): string =>
  [`  ${head} {`, ...lines.map((line) => `    ${line}`), '  }'].join('\n')

const elementsText = (elements: readonly string[]): string[] =>
  elements.length === 0 ? [] : [`elements = { ${elements.join(', ')} }`]

export function renderTable(table: Table): string {
  const { family, name, chains, sets, maps, counters } = table
  const chain = (c: Chain): string =>
    block(`chain ${c.name}`, [...chainHead(c), ...c.rules.map((rule) => renderRule(rule, family))])
  const parts = [
    ...[...counters].map((counter) => `  counter ${counter} { }`),
    ...[...sets.values()].map((set) => block(`set ${set.name}`, [...setText(set), ...elementsText([...set.elements])])),
    ...leavesFirst(chains).map(chain),
  ]
  const mapped = [...maps.values()].map((map) =>
    block(`map ${map.name}`, [mapText(map), ...elementsText([...map.elements].map(verdictText))]),
  )
  return `table ${family} ${name} {\n${[...mapped, ...parts].join('\n')}\n}\n`
}

/** nft reads a file as one: an order is for people, who look at what hooks in first. */
const leavesFirst = (chains: ReadonlyMap<string, Chain>): Chain[] =>
  [...chains.values()].sort((a, b) => Number(b.hook !== undefined) - Number(a.hook !== undefined))

export const renderProgram = (program: Program): string => [...program.values()].map(renderTable).join('')

/** Puts the whole program in the place of whatever was in its tables, in one transaction: for start and for repair. */
export const renderReplacement = (program: Program): string =>
  [...program.values()]
    .map((table) => {
      const name = `${table.family} ${table.name}`
      return `table ${name} { }\ndelete table ${name}\n${renderTable(table)}`
    })
    .join('')

/** One line for each operation; `nft -f` takes all of them or none. */
export const renderTransaction = (transaction: Transaction): string =>
  transaction
    .flatMap((operation) => operationLines(operation))
    .map((line) => `${line}\n`)
    .join('')

function operationLines(operation: Operation): string[] {
  const { table } = operation
  const family = table.slice(0, table.indexOf(' ')) as NftFamily
  const remove = (kind: string, name: string): string => `delete ${kind} ${table} ${name}`
  const add = (set: string, elements: readonly string[]): string =>
    `add element ${table} ${set} { ${elements.join(', ')} }`
  const drop = (set: string, elements: readonly string[]): string =>
    `delete element ${table} ${set} { ${elements.join(', ')} }`
  switch (operation.op) {
    case 'addTable':
      return [`add table ${table}`]
    case 'deleteTable':
      return [`delete table ${table}`]
    case 'addCounter':
      return [`add counter ${table} ${operation.name}`]
    case 'deleteCounter':
      return [remove('counter', operation.name)]
    case 'addSet':
      return [`add set ${table} ${operation.set.name} { ${setText(operation.set).join(' ')} }`]
    case 'addMap':
      return [`add map ${table} ${operation.map.name} { ${mapText(operation.map)} }`]
    case 'deleteSet':
      return [remove('set', operation.name)]
    case 'deleteMap':
      return [remove('map', operation.name)]
    case 'addChain': {
      const head = chainHead(operation.chain).join(' ')
      return [`add chain ${table} ${operation.chain.name}${head === '' ? '' : ` { ${head} }`}`]
    }
    case 'deleteChain':
      return [remove('chain', operation.name)]
    case 'setRules':
      return [
        `flush chain ${table} ${operation.chain}`,
        ...operation.rules.map((rule) => `add rule ${table} ${operation.chain} ${renderRule(rule, family)}`),
      ]
    case 'addElements':
      return [add(operation.set, operation.elements)]
    case 'deleteElements':
      return [drop(operation.set, operation.elements)]
    case 'replaceElements':
      return [drop(operation.set, operation.remove), add(operation.set, operation.add)]
    case 'addVerdicts':
      return [add(operation.map, operation.verdicts.map(verdictText))]
    case 'replaceVerdicts': {
      const keys = operation.verdicts.map(([element]) => element)
      return [drop(operation.map, keys), add(operation.map, operation.verdicts.map(verdictText))]
    }
    case 'deleteVerdicts':
      return [drop(operation.map, operation.elements)]
  }
}
