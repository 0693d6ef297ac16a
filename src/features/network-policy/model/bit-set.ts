/** A set of small whole numbers: a group of 10,000 pods costs 1.25 kB however many of them are in it. */
export class BitSet {
  #words = new Uint32Array(4)
  size = 0

  has(n: number): boolean {
    return ((this.#words[n >>> 5] ?? 0) & (1 << (n & 31))) !== 0
  }

  /** False when it was in already. */
  add(n: number): boolean {
    const at = n >>> 5
    if (at >= this.#words.length) {
      const grown = new Uint32Array(Math.max(at + 1, this.#words.length * 2))
      grown.set(this.#words)
      this.#words = grown
    }
    if (this.has(n)) return false
    this.#words[at]! |= 1 << (n & 31)
    this.size++
    return true
  }

  /** False when it was not in. */
  delete(n: number): boolean {
    if (!this.has(n)) return false
    this.#words[n >>> 5]! &= ~(1 << (n & 31))
    this.size--
    return true
  }

  *[Symbol.iterator](): Generator<number> {
    for (let at = 0; at < this.#words.length; at++)
      for (let word = this.#words[at]!; word !== 0; word &= word - 1) yield at * 32 + 31 - Math.clz32(word & -word)
  }
}
