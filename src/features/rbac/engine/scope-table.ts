const SLOT = 3
const FIRST_CAPACITY = 64

/**
 * (subject, namespace) → number, all above 0 but the value, which is not 0: open addressing with linear probing in one
 * array of 32-bit numbers, so that a question costs one cache line and no object.
 */
export class ScopeTable {
  #slots = new Int32Array(FIRST_CAPACITY * SLOT)
  #mask = FIRST_CAPACITY - 1
  #size = 0

  /** 0 when there is none. */
  get(subject: number, namespace: number): number {
    const slots = this.#slots
    for (let i = mix(subject, namespace) & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = i * SLOT
      const value = slots[at + 2]!
      if (value === 0) return 0
      if (slots[at] === subject && slots[at + 1] === namespace) return value
    }
  }

  /** Reads where `get` will begin to look. */
  fetch(subject: number, namespace: number): number {
    return this.#slots[(mix(subject, namespace) & this.#mask) * SLOT]!
  }

  /** A value of 0 removes. */
  set(subject: number, namespace: number, value: number): void {
    let i = this.#find(subject, namespace)
    if (value === 0) {
      if (this.#slots[i * SLOT + 2] !== 0) this.#remove(i)
      return
    }
    if (this.#slots[i * SLOT + 2] === 0) {
      if (2 * (this.#size + 1) > this.#mask) {
        this.#grow()
        i = this.#find(subject, namespace)
      }
      this.#size++
    }
    this.#slots[i * SLOT] = subject
    this.#slots[i * SLOT + 1] = namespace
    this.#slots[i * SLOT + 2] = value
  }

  /** Its slot, or the empty one where it belongs. */
  #find(subject: number, namespace: number): number {
    const slots = this.#slots
    let i = mix(subject, namespace) & this.#mask
    while (slots[i * SLOT + 2] !== 0 && (slots[i * SLOT] !== subject || slots[i * SLOT + 1] !== namespace))
      i = (i + 1) & this.#mask
    return i
  }

  /** Moves back what was pushed on by the one that goes, so that no marks of the dead are needed. */
  #remove(hole: number): void {
    const slots = this.#slots
    let empty = hole
    for (let i = (hole + 1) & this.#mask; slots[i * SLOT + 2] !== 0; i = (i + 1) & this.#mask) {
      const home = mix(slots[i * SLOT]!, slots[i * SLOT + 1]!) & this.#mask
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
      if (old[at + 2] !== 0) this.#slots.set(old.subarray(at, at + SLOT), this.#find(old[at]!, old[at + 1]!) * SLOT)
  }
}

function mix(subject: number, namespace: number): number {
  let h = Math.imul(subject, 0x9e3779b1) ^ Math.imul(namespace, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  return (h ^ (h >>> 13)) >>> 0
}
