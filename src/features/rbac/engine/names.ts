import { NumberPool } from './number-pool.ts'

/** 32-bit numbers of a slot: hash, id (0: empty). */
const SLOT = 2
const FIRST_CAPACITY = 64
/** 32-bit numbers of a name before what its user keeps there: hash, references, length (minus length: 16-bit text). */
const HEADER = 3

/**
 * What Ids is for strings of which there are very many: users, groups, namespaces, objects. A `Map` keeps its keys as
 * objects all over the heap; to find one of 100,000 in it costs half a microsecond of waiting for memory (measured,
 * with strings that were not hashed before). Here a flat table leads from the hash to one record that holds the text,
 * four characters a number (two, if one is beyond Latin-1), and in front of it what is known of the name: two cache
 * lines, or one for a name that is not there. An id is where the record lies.
 */
export class Names {
  #slots = new Int32Array(FIRST_CAPACITY * SLOT)
  #mask = FIRST_CAPACITY - 1
  readonly #pool = new NumberPool()
  /** Where the text begins. */
  readonly #text: number
  #size = 0

  /** `extra`: how many numbers are kept with each name. */
  constructor(extra = 0) {
    this.#text = HEADER + extra
    // So that no record begins at 0.
    this.#pool.take(new Int32Array(1))
  }

  get size(): number {
    return this.#size
  }

  /** 0 for a name that nothing refers to. */
  get(name: string): number {
    return this.find(hashOf(name), name)
  }

  /** The first record with this hash, most often the right one: to fetch those of several names at once. */
  candidate(hash: number): number {
    const slots = this.#slots
    for (let i = hash & this.#mask; ; i = (i + 1) & this.#mask) {
      const id = slots[i * SLOT + 1]!
      if (id === 0 || slots[i * SLOT] === hash) return id
    }
  }

  find(hash: number, name: string): number {
    const slots = this.#slots
    for (let i = hash & this.#mask; ; i = (i + 1) & this.#mask) {
      const id = slots[i * SLOT + 1]!
      if (id === 0) return 0
      if (slots[i * SLOT] === hash && this.isText(id, name)) return id
    }
  }

  /** Reads a record before somebody needs it. */
  fetch(id: number): number {
    return this.#pool.numbers[id]!
  }

  extra(id: number, index: number): number {
    return this.#pool.numbers[id + HEADER + index]!
  }

  setExtra(id: number, index: number, value: number): void {
    this.#pool.numbers[id + HEADER + index] = value
  }

  acquire(name: string): number {
    let id = this.get(name)
    if (id === 0) id = this.#insert(name)
    this.#pool.numbers[id + 1]!++
    return id
  }

  release(id: number): void {
    const numbers = this.#pool.numbers
    if (--numbers[id + 1]! > 0) return
    let i = numbers[id]! & this.#mask
    while (this.#slots[i * SLOT + 1] !== id) i = (i + 1) & this.#mask
    this.#removeSlot(i)
    const length = numbers[id + 2]!
    this.#pool.give(id, this.#text + (length < 0 ? (1 - length) >> 1 : (length + 3) >> 2))
  }

  isText(id: number, name: string): boolean {
    const numbers = this.#pool.numbers
    const { length } = name
    const stored = numbers[id + 2]!
    let at = id + this.#text
    if (stored === -length && length > 0) {
      for (let i = 0; i < length; i += 2, at++) if (numbers[at] !== wideText(name, i)) return false
      return true
    }
    if (stored !== length) return false
    const whole = length & ~3
    for (let i = 0; i < whole; i += 4, at++) {
      const a = name.charCodeAt(i)
      const b = name.charCodeAt(i + 1)
      const c = name.charCodeAt(i + 2)
      const d = name.charCodeAt(i + 3)
      if ((a | b | c | d) > 0xff || numbers[at] !== (a | (b << 8) | (c << 16) | (d << 24))) return false
    }
    for (let i = whole; i < length; i++)
      if (name.charCodeAt(i) !== ((numbers[at]! >>> (8 * (i - whole))) & 0xff)) return false
    return true
  }

  #insert(name: string): number {
    if (2 * (this.#size + 1) > this.#mask) this.#grow()
    const { length } = name
    const wide = isWide(name)
    const record = new Int32Array(this.#text + (wide ? (length + 1) >> 1 : (length + 3) >> 2))
    const hash = hashOf(name)
    record[0] = hash
    record[2] = wide ? -length : length
    if (wide) for (let i = 0; i < length; i += 2) record[this.#text + (i >> 1)] = wideText(name, i)
    else for (let i = 0; i < length; i++) record[this.#text + (i >> 2)]! |= name.charCodeAt(i) << (8 * (i & 3))
    const id = this.#pool.take(record)
    this.#slots.set([hash, id], this.#emptySlot(hash) * SLOT)
    this.#size++
    return id
  }

  #emptySlot(hash: number): number {
    let i = hash & this.#mask
    while (this.#slots[i * SLOT + 1] !== 0) i = (i + 1) & this.#mask
    return i
  }

  /** Moves back what was pushed on by the one that goes, so that no marks of the dead are needed. */
  #removeSlot(hole: number): void {
    const slots = this.#slots
    let empty = hole
    for (let i = (hole + 1) & this.#mask; slots[i * SLOT + 1] !== 0; i = (i + 1) & this.#mask) {
      const home = slots[i * SLOT]! & this.#mask
      if (((i - home) & this.#mask) < ((i - empty) & this.#mask)) continue
      slots.copyWithin(empty * SLOT, i * SLOT, i * SLOT + SLOT)
      empty = i
    }
    slots.fill(0, empty * SLOT, empty * SLOT + SLOT)
    this.#size--
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Int32Array(old.length * 2)
    this.#mask = this.#slots.length / SLOT - 1
    for (let at = 0; at < old.length; at += SLOT)
      if (old[at + 1] !== 0) this.#slots.set(old.subarray(at, at + SLOT), this.#emptySlot(old[at]!) * SLOT)
  }
}

/** Not against who chooses names to collide: only who may write bindings puts names into a table. */
export function hashOf(name: string): number {
  const even = name.length & ~1
  let hash = name.length
  for (let i = 0; i < even; i += 2) {
    hash = Math.imul(hash ^ (name.charCodeAt(i) | (name.charCodeAt(i + 1) << 16)), 0x9e3779b1)
    hash ^= hash >>> 15
  }
  if (even !== name.length) hash = Math.imul(hash ^ name.charCodeAt(even), 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}

function isWide(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0xff) return true
  return false
}

/** Two code units from `i`, the second 0 at the end. */
function wideText(name: string, i: number): number {
  return i + 1 < name.length ? name.charCodeAt(i) | (name.charCodeAt(i + 1) << 16) : name.charCodeAt(i)
}
