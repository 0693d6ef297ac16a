import { type AddressFamily, ipAddress, rangeContains, rangeOfCidr } from '../model/addresses.ts'
import { addressFamily, type Field, type NamedSet, type Program, type Rule, type Table } from './program.ts'

/** A packet as the fields that rules read. */
export type Packet = {
  family: AddressFamily
  saddr: string
  daddr: string
  l4proto: string
  sport?: number
  dport?: number
  iifname?: string
  ctstate?: 'new' | 'established' | 'related' | 'invalid'
  icmptype?: string
}

export type Outcome = { verdict: 'accept' | 'drop' | 'reset'; logs: string[]; counters: string[] }

type Run = { table: Table; packet: Packet; logs: string[]; counters: string[] }
type Result = 'accept' | 'drop' | 'reset' | 'return' | 'end'

/** What a program does with a packet at a hook: its chains in the order of their priorities, until one drops it. */
export function interpret(program: Program, hook: string, packet: Packet): Outcome {
  const logs: string[] = []
  const counters: string[] = []
  for (const table of program.values()) {
    if (addressFamily(table.family) !== packet.family) continue
    const chains = [...table.chains.values()].filter((chain) => chain.hook?.hook === hook)
    for (const chain of chains.sort((a, b) => a.hook!.priority - b.hook!.priority)) {
      const result = runChain({ table, packet, logs, counters }, chain.name, 0)
      if (result === 'drop' || result === 'reset') return { verdict: result, logs, counters }
    }
  }
  return { verdict: 'accept', logs, counters }
}

function runChain(run: Run, name: string, depth: number): Result {
  if (depth > 16) throw new Error(`${name}: jumps are nested more than 16 deep`)
  const chain = run.table.chains.get(name)
  if (chain === undefined) throw new Error(`there is no chain ${name}`)
  for (const rule of chain.rules) {
    const result = runRule(run, rule, depth)
    if (result !== 'end') return result === 'return' ? 'end' : result
  }
  return 'end'
}

/** 'end' goes on with the next rule. */
function runRule(run: Run, rule: Rule, depth: number): Result {
  const { table, packet } = run
  for (const statement of rule)
    switch (statement.kind) {
      case 'lookup': {
        const key = keyOf(packet, statement.fields)
        if (key === undefined) return 'end'
        if (contains(table.sets.get(statement.set)!, key) === (statement.negated ?? false)) return 'end'
        break
      }
      case 'vmap': {
        const key = keyOf(packet, statement.fields)
        const chain = key && table.maps.get(statement.map)!.elements.get(key.join(' . '))
        if (chain === undefined) return 'end'
        const result = runChain(run, chain, depth + 1)
        return result === 'end' ? 'return' : result
      }
      case 'compare': {
        const value = fieldOf(packet, statement.field)
        if (value === undefined || statement.values.some((v) => equals(v, value)) === (statement.negated ?? false))
          return 'end'
        break
      }
      case 'counter':
        run.counters.push(statement.name)
        break
      case 'log':
        run.logs.push(statement.prefix)
        break
      case 'limit':
        break
      case 'jump': {
        const result = runChain(run, statement.chain, depth + 1)
        if (result !== 'end') return result
        break
      }
      case 'goto': {
        const result = runChain(run, statement.chain, depth + 1)
        return result === 'end' ? 'return' : result
      }
      case 'verdict':
        return statement.verdict
      case 'reset':
        return 'reset'
    }
  return 'end'
}

function fieldOf(packet: Packet, field: Field): string | undefined {
  if (field === 'iifname') return packet.iifname === undefined ? undefined : `"${packet.iifname}"`
  const value = packet[field]
  return value === undefined ? undefined : String(value)
}

function keyOf(packet: Packet, fields: readonly Field[]): string[] | undefined {
  const key = fields.map((field) => fieldOf(packet, field))
  return key.every((part) => part !== undefined) ? (key as string[]) : undefined
}

function contains(set: NamedSet, key: readonly string[]): boolean {
  if (!set.interval) return set.elements.has(key.join(' . '))
  let found = 0
  for (const element of set.elements) {
    const parts = element.split(' . ')
    if (parts.every((part, i) => within(part, key[i]!))) found++
  }
  if (found > 1) throw new Error(`${set.name}: ${key.join(' . ')} is in ${found} elements`)
  return found === 1
}

const NUMBERS: Record<string, number> = { tcp: 6, udp: 17, sctp: 132, icmp: 1 }
const numberOf = (text: string): number => NUMBERS[text] ?? Number(text)

function within(part: string, value: string): boolean {
  const address = ipAddress(value)
  if (address === undefined) {
    const [first, last = first] = part.split('-') as [string, string?]
    return numberOf(first) <= numberOf(value) && numberOf(value) <= numberOf(last!)
  }
  const [first, last] = part.split('-') as [string, string?]
  const block = rangeOfCidr(part)
  if (block !== undefined) return rangeContains(block, address)
  const [low, high] = [ipAddress(first)!, ipAddress(last ?? first)!]
  return rangeContains({ family: low.family, first: low.value, last: high.value }, address)
}

function equals(pattern: string, value: string): boolean {
  if (value.startsWith('"')) return value === `"${pattern}"`
  return pattern.includes('/') || pattern.includes('.') || pattern.includes(':')
    ? within(pattern, value)
    : pattern === value
}
