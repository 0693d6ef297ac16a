import { NumberPool } from './number-pool.ts'

/** 32-bit numbers of a slot: hash, id (0: empty), offset of the text, its length. */
const SLOT = 4
const FIRST_CAPACITY = 64

/**
 * What Ids is for strings of which there are very many: users, groups, namespaces, objects. A `Map` keeps its keys as
 * objects all over the heap; to find one of 100,000 in it costs half a microsecond of waiting for memory (measured,
 * with a string that was not hashed before). Here the hash lies in a flat table and the text in another, two code units
 * a number: two cache lines, or one for a name that is not there.
 */
export class Names {
  #slots = new Int32Array(FIRST_CAPACITY * SLOT)
  #mask = FIRST_CAPACITY - 1
  readonly #texts = new NumberPool()
  /** By id: the hash, to find the slot again, and how many refer to it. */
  readonly #hashes: number[] = [0]
  readonly #references: number[] = [0]
  readonly #free: number[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** 0 for a name that nothing refers to. */
  get(name: string): number {
    if (this.#size === 0) return 0
    const slots = this.#slots
    const hash = hashOf(name)
    for (let i = hash & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = i * SLOT
      const id = slots[at + 1]!
      if (id === 0) return 0
      if (slots[at] === hash && slots[at + 3] === name.length && this.#isText(slots[at + 2]!, name)) return id
    }
  }

  acquire(name: string): number {
    let id = this.get(name)
    if (id === 0) {
      id = this.#free.pop() ?? this.#hashes.length
      this.#references[id] = 0
      this.#insert(name, id)
    }
    this.#references[id]!++
    return id
  }

  release(id: number): void {
    if (--this.#references[id]! > 0) return
    let i = this.#hashes[id]! & this.#mask
    while (this.#slots[i * SLOT + 1] !== id) i = (i + 1) & this.#mask
    this.#texts.give(this.#slots[i * SLOT + 2]!, (this.#slots[i * SLOT + 3]! + 1) >> 1)
    this.#removeSlot(i)
    this.#free.push(id)
  }

  #isText(offset: number, name: string): boolean {
    const texts = this.#texts.numbers
    const even = name.length & ~1
    let at = offset
    for (let i = 0; i < even; i += 2)
      if (texts[at++] !== (name.charCodeAt(i) | (name.charCodeAt(i + 1) << 16))) return false
    return even === name.length || texts[at] === name.charCodeAt(even)
  }

  #insert(name: string, id: number): void {
    if (2 * (this.#size + 1) > this.#mask) this.#grow()
    const text = new Int32Array((name.length + 1) >> 1)
    for (let i = 0; i < name.length; i++) text[i >> 1]! |= name.charCodeAt(i) << (16 * (i & 1))
    const hash = hashOf(name)
    this.#hashes[id] = hash
    this.#slots.set([hash, id, this.#texts.take(text), name.length], this.#emptySlot(hash) * SLOT)
    this.#size++
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

function hashOf(name: string): number {
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
