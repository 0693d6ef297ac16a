import {
  type AddressFamily,
  type AddressRange,
  formatRange,
  rangeContains,
  subtractRanges,
} from '../model/addresses.ts'
import type { Protocol } from '../model/types.ts'

export type PortRange = { first: number; last: number }
/** Addresses × ports of one protocol, or everything that these addresses send when there is no protocol. */
export type Rectangle = { range: AddressRange; protocol: Protocol | undefined; ports: PortRange }

export const ALL_PORTS: PortRange = { first: 0, last: 65535 }
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP']

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

/** Sorted, and what touches or overlaps joined. */
export function uniteRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const united: AddressRange[] = []
  for (const range of [...ranges].sort((a, b) => compare(a.first, b.first))) {
    const last = united.at(-1)
    if (last === undefined || range.first > last.last + 1n) united.push({ ...range })
    else if (range.last > last.last) last.last = range.last
  }
  return united
}

export function unitePorts(ports: readonly PortRange[]): PortRange[] {
  const united: PortRange[] = []
  for (const range of [...ports].sort((a, b) => a.first - b.first)) {
    const last = united.at(-1)
    if (last === undefined || range.first > last.last + 1) united.push({ ...range })
    else if (range.last > last.last) last.last = range.last
  }
  return united
}

export function subtractPorts(ports: readonly PortRange[], holes: readonly PortRange[]): PortRange[] {
  let left = [...ports]
  for (const hole of holes)
    left = left.flatMap((range) => [
      ...(range.first < hole.first ? [{ first: range.first, last: Math.min(range.last, hole.first - 1) }] : []),
      ...(range.last > hole.last ? [{ first: Math.max(range.first, hole.last + 1), last: range.last }] : []),
    ])
  return left
}

/** The same packets in rectangles that do not overlap: the kernel's interval sets refuse what does. */
export function disjoint(rectangles: readonly Rectangle[], family: AddressFamily): Rectangle[] {
  const own = rectangles.filter(({ range }) => range.family === family)
  const whole = uniteRanges(own.filter((r) => r.protocol === undefined).map(({ range }) => range))
  const found: Rectangle[] = whole.map((range) => ({ range, protocol: undefined, ports: ALL_PORTS }))
  for (const protocol of PROTOCOLS) {
    const rest = own
      .filter((r) => r.protocol === protocol)
      .flatMap((r) => subtractRanges(r.range, whole).map((range) => ({ ...r, range })))
    for (const { range, ports } of sweep(rest, family))
      for (const part of ports) found.push({ range, protocol, ports: part })
  }
  return found
}

type Strip = { range: AddressRange; ports: PortRange[] }

/** From lowest to highest address, cut wherever a rectangle begins or ends; neighbours with the same ports are joined. */
function sweep(rectangles: Rectangle[], family: AddressFamily): Strip[] {
  const waiting = rectangles.sort((a, b) => compare(a.range.first, b.range.first))
  const cuts = [...new Set(waiting.flatMap(({ range }) => [range.first, range.last + 1n]))].sort(compare)
  const strips: Strip[] = []
  let active: Rectangle[] = []
  let next = 0
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [first, last] = [cuts[i]!, cuts[i + 1]! - 1n]
    active = active.filter(({ range }) => range.last >= first)
    while (next < waiting.length && waiting[next]!.range.first === first) active.push(waiting[next++]!)
    if (active.length === 0) continue
    const ports = unitePorts(active.map((r) => r.ports))
    const before = strips.at(-1)
    if (before !== undefined && before.range.last + 1n === first && samePorts(before.ports, ports))
      before.range.last = last
    else strips.push({ range: { family, first, last }, ports })
  }
  return strips
}

const samePorts = (a: readonly PortRange[], b: readonly PortRange[]): boolean =>
  a.length === b.length && a.every(({ first, last }, i) => first === b[i]!.first && last === b[i]!.last)

/** What of a protocol's ports these rectangles already let through at an address. */
export const covered = (
  rectangles: readonly Rectangle[],
  address: { family: AddressFamily; value: bigint },
  protocol: Protocol,
): PortRange[] =>
  rectangles
    .filter((r) => (r.protocol === undefined || r.protocol === protocol) && rangeContains(r.range, address))
    .map(({ ports }) => ports)

export const formatPorts = ({ first, last }: PortRange): string => (first === last ? `${first}` : `${first}-${last}`)

export const formatRectangle = ({ range, protocol, ports }: Rectangle): string =>
  `${formatRange(range)} . ${protocol === undefined ? '0-255' : protocol.toLowerCase()} . ${formatPorts(ports)}`
