import { capped, type Estimate, type Size, scalar, TRAVERSAL, times, UNKNOWN } from './cel-estimate.ts'
import { DYN, TEXT } from './cel-size.ts'

/** Costs of functions: cel-go's standard library, and Kubernetes' own (k8s.io/apiserver/pkg/cel/library, cost.go). */

const REGEX = 0.25
/** Bytes of an address, IPv4 and IPv6. */
const ADDRESS: Size = { min: 4, max: 16 }

type Call = { cost: number; size?: Size; type?: Estimate['type'] }
/** Undefined: an ordinary function, of one unit. */
type Costing = (size: (value: Estimate) => Size, target: Estimate | undefined, args: Estimate[]) => Call | undefined

/** Functions whose values are numbers, booleans, times: of size one. */
const SCALARS = new Set(
  (
    'size int uint double bool timestamp duration matches startsWith endsWith contains indexOf lastIndexOf isSorted ' +
    'getFullYear getMonth getDayOfYear getDayOfMonth getDate getDayOfWeek getHours getMinutes getSeconds getMilliseconds ' +
    'compareTo isGreaterThan isLessThan isQuantity sign asInteger isInteger asApproximateFloat isURL isIP isCIDR family ' +
    'prefixLength isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast containsIP ' +
    'containsCIDR hasValue sum sets.contains sets.equivalent sets.intersects ' +
    // Opaque values are compared as one.
    'url ip cidr quantity masked add sub'
  ).split(' '),
)

const listOf = (type: Estimate['type']): Estimate['type'] => ({ ...DYN, kind: 'list', items: type })

/** One pass over the text, which keeps its length. */
const overTarget: Costing = (size, target) =>
  target && { cost: times(size(target), TRAVERSAL), size: size(target), type: TEXT }

/** One pass over a list and what its items are compared by, or over a text. */
const overItems: Costing = (size, target) => {
  if (target === undefined) return undefined
  const { items, kind } = target.type
  if (kind !== 'list') return { cost: times(size(target), TRAVERSAL) }
  const text = items?.kind === 'string' || items?.kind === 'bytes'
  const path = target.path.length === 0 ? [] : [...target.path, '@items']
  const each = 1 + (text ? times(size({ cost: 0, path, type: items }), TRAVERSAL) : 0)
  return { cost: times(size(target), each), ...(kind === 'list' && items && !text ? { type: items } : {}) }
}

const regex: Costing = (size, target, [pattern]) => {
  if (target === undefined || pattern === undefined) return undefined
  const { max } = size(target)
  const text = times({ min: 0, max: capped(max + 1) }, TRAVERSAL)
  return { cost: capped(text * times(size(pattern), REGEX)) }
}

const find: Costing = (size, target, args) => {
  const call = regex(size, target, args)
  return call && { ...call, size: { min: 0, max: size(target!).max } }
}

const overAddress =
  (more: number): Costing =>
  (size, target, [other]) => {
    if (target === undefined || other === undefined) return undefined
    const twice = times({ min: 0, max: 2 * ADDRESS.max }, TRAVERSAL)
    return { cost: twice + more + (other.type.kind === 'string' ? times(size(other), TRAVERSAL) : 0) }
  }

const sets =
  (factor: number): Costing =>
  (size, _target, [a, b]) =>
    a && b && { cost: capped(times({ min: 0, max: capped(size(a).max * size(b).max) }, factor) + 1) }

/** Conversions between texts and bytes go through all of them; a number's text is of unknown length. */
const toText: Costing = (size, _target, [value]) =>
  value?.type.kind === 'bytes'
    ? { cost: times(size(value), TRAVERSAL), size: size(value), type: TEXT }
    : { cost: 1, size: value?.type.kind === 'string' ? size(value) : UNKNOWN, type: TEXT }

const toBytes: Costing = (size, _target, [value]) => {
  if (value === undefined) return undefined
  const { min, max } = size(value)
  const type = { ...TEXT, kind: 'bytes' as const }
  return { cost: times(size(value), TRAVERSAL), size: { min, max: capped(max * 4) }, type }
}

const COSTS: Readonly<Record<string, Costing>> = {
  isSorted: overItems,
  sum: overItems,
  max: overItems,
  min: overItems,
  indexOf: overItems,
  lastIndexOf: overItems,
  url: (size, _target, [text]) => text && { cost: times(size(text), TRAVERSAL) },
  lowerAscii: overTarget,
  upperAscii: overTarget,
  substring: overTarget,
  trim: overTarget,
  replace: (size, target, [from, to]) =>
    target &&
    from &&
    to && {
      cost: times(size(target), 2 * TRAVERSAL),
      size: replaced(size(target), size(from), size(to)),
      type: TEXT,
    },
  split: (size, target) =>
    target && {
      cost: times(size(target), 2 * TRAVERSAL),
      size: { min: 0, max: size(target).max },
      type: listOf(TEXT),
    },
  join: (size, target, [separator]) => target && joined(size, target, separator),
  format: (size, target) => target && { cost: times(size(target), TRAVERSAL), size: UNKNOWN, type: TEXT },
  find: (size, target, args) => typed(find(size, target, args), TEXT),
  findAll: (size, target, args) => typed(find(size, target, args), listOf(TEXT)),
  matches: regex,
  contains: (size, target, [part]) =>
    target && part && { cost: capped(times(size(target), TRAVERSAL) * times(size(part), TRAVERSAL)) },
  startsWith: (size, _target, [part]) => part && { cost: times(size(part), TRAVERSAL) },
  endsWith: (size, _target, [part]) => part && { cost: times(size(part), TRAVERSAL) },
  containsIP: overAddress(0),
  // Masking the address, and comparing its prefix.
  containsCIDR: overAddress(times(ADDRESS, TRAVERSAL) + 1),
  'sets.contains': sets(1),
  'sets.intersects': sets(1),
  'sets.equivalent': sets(2),
  string: toText,
  bytes: toBytes,
  dyn: (size, _target, [value]) => value && { cost: 1, size: size(value) },
}

const typed = (call: Call | undefined, type: Estimate['type']): Call | undefined => call && { ...call, type }

/** The longest result: the most occurrences of the shortest text, each replaced by the longest. */
function replaced(text: Size, from: Size, to: Size): Size {
  let count = Math.ceil(text.max / from.min)
  let kept = 0
  if (from.min === 0) {
    count = text.max + 1
    kept = text.max
  } else if (to.max <= from.min) {
    count = 0
    kept = text.max
  }
  return { min: 0, max: capped(capped(count * to.max) + kept) }
}

function joined(size: (value: Estimate) => Size, list: Estimate, separator: Estimate | undefined): Call {
  const { max: count } = size(list)
  const path = list.path.length === 0 ? [] : [...list.path, '@items']
  const items = size({ cost: 0, path, type: list.type.items ?? DYN })
  const between = separator === undefined ? 0 : size(separator).max * Math.max(0, count - 1)
  const result: Size = { min: 0, max: capped(capped(count * items.max) + between) }
  return { cost: times(result, TRAVERSAL), size: result, type: TEXT }
}

/** The whole call: its operands, and itself. */
export function callCost(
  size: (value: Estimate) => Size,
  name: string,
  target: Estimate | undefined,
  args: Estimate[],
): Estimate {
  const operands = args.reduce((sum, { cost }) => sum + cost, target?.cost ?? 0)
  const costing = Object.hasOwn(COSTS, name) ? COSTS[name] : undefined
  const call = costing?.(size, target, args) ?? { cost: 1 }
  if (SCALARS.has(name)) return scalar(operands + call.cost)
  return { cost: capped(operands + call.cost), size: call.size, path: [], type: call.type ?? DYN }
}
