/** Where a range starts and stops: the part of RangeRequest and WatchRequest that names keys. */
export type KeyRange = { key: string; end?: string; prefix?: boolean }

/**
 * Orders two keys as their UTF-8 bytes would. JavaScript orders by UTF-16 code unit, which differs only where a
 * surrogate meets U+E000..U+FFFF: there the surrogate stands for a code point above all of them.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return byteRank(x) - byteRank(y)
  }
  return a.length - b.length
}

function byteRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

const compareUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const beyondBasic = /[\ud800-\uffff]/

/** True when `key` lies in `range`; with neither `end` nor `prefix` only the key itself does. */
export function inRange(range: KeyRange, key: string): boolean {
  if (range.prefix === true) return key.startsWith(range.key)
  if (range.end === undefined) return key === range.key
  return compareKeys(key, range.key) >= 0 && compareKeys(key, range.end) < 0
}

const maxChunk = 512

/** A sorted set of keys in byte order: chunks of at most 512 keys, found by binary search. */
export class OrderedKeys {
  #chunks: string[][] = []
  #size = 0
  // The engine's own string comparison is right as long as no key reaches the surrogates; the flag only ever turns on.
  #compare: (a: string, b: string) => number = compareUnits

  get size(): number {
    return this.#size
  }

  /** Adds a key that is not in the set. */
  add(key: string): void {
    if (this.#compare === compareUnits && beyondBasic.test(key)) this.#compare = compareKeys
    this.#size++
    const at = this.#chunkOf(key)
    const chunk = this.#chunks[at]
    if (chunk === undefined) {
      this.#chunks.push([key])
      return
    }
    const last = chunk[chunk.length - 1]!
    if (this.#compare(key, last) > 0) chunk.push(key)
    else chunk.splice(this.#position(chunk, key), 0, key)
    if (chunk.length > maxChunk) {
      // Keys that arrive in order leave full chunks behind them.
      const keep = at === this.#chunks.length - 1 && this.#compare(key, last) > 0 ? maxChunk : maxChunk >> 1
      this.#chunks.splice(at + 1, 0, chunk.splice(keep))
    }
  }

  delete(key: string): void {
    const at = this.#chunkOf(key)
    const chunk = this.#chunks[at]
    if (chunk === undefined) return
    const position = this.#position(chunk, key)
    if (chunk[position] !== key) return
    this.#size--
    chunk.splice(position, 1)
    if (chunk.length === 0) this.#chunks.splice(at, 1)
  }

  /** Visits the keys of a range in order until `visit` answers true. */
  scan(range: KeyRange, visit: (key: string) => boolean): void {
    const { key: start, end } = range
    const prefix = range.prefix === true
    if (this.#chunks.length === 0) return
    let at = this.#chunkOf(start)
    let position = this.#position(this.#chunks[at]!, start)
    for (; at < this.#chunks.length; at++, position = 0) {
      const chunk = this.#chunks[at]!
      for (; position < chunk.length; position++) {
        const key = chunk[position]!
        if (prefix ? !key.startsWith(start) : end === undefined ? key !== start : this.#compare(key, end) >= 0) return
        if (visit(key)) return
      }
    }
  }

  /** The last chunk whose first key is not after `key`; the first chunk when there is none. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(this.#chunks[middle]![0]!, key) <= 0) low = middle + 1
      else high = middle
    }
    return low === 0 ? 0 : low - 1
  }

  /** Index of the first key that is not before `key`. */
  #position(chunk: string[], key: string): number {
    let low = 0
    let high = chunk.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(chunk[middle]!, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
