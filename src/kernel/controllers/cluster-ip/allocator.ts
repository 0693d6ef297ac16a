/**
 * Which of `size` numbers are taken: one bit each. The lower band is for those who ask for a number themselves and is
 * given out only when the rest is full (KEP-3070 for addresses, KEP-3668 for ports).
 */
export class BitmapAllocator {
  readonly size: number
  readonly #band: number
  readonly #words: Uint32Array
  #taken = 0

  /** `band`: how many of the lowest numbers are kept for requests by number. */
  constructor(size: number, band: number = staticBand(size)) {
    if (!Number.isSafeInteger(size) || size < 1) throw new Error(`a size of ${size} cannot be allocated from`)
    this.size = size
    this.#band = band < size ? band : 0
    this.#words = new Uint32Array(Math.ceil(size / 32))
  }

  get taken(): number {
    return this.#taken
  }

  has(number: number): boolean {
    return (this.#words[number >>> 5]! & (1 << (number & 31))) !== 0
  }

  /** False when it was taken already, or is outside. */
  take(number: number): boolean {
    if (number < 0 || number >= this.size || this.has(number)) return false
    this.#words[number >>> 5]! |= 1 << (number & 31)
    this.#taken++
    return true
  }

  release(number: number): void {
    if (number < 0 || number >= this.size || !this.has(number)) return
    this.#words[number >>> 5]! &= ~(1 << (number & 31))
    this.#taken--
  }

  /** A free number, not taken yet: near a random place of the upper band, else of the lower; undefined when full. */
  findFree(random: () => number): number | undefined {
    if (this.#taken >= this.size) return undefined
    return this.#scan(this.#band, this.size, random) ?? this.#scan(0, this.#band, random)
  }

  #scan(from: number, to: number, random: () => number): number | undefined {
    const length = to - from
    if (length <= 0) return undefined
    const start = from + Math.floor(random() * length)
    return this.#firstFree(start, to) ?? this.#firstFree(from, start)
  }

  #firstFree(from: number, to: number): number | undefined {
    for (let number = from; number < to; ) {
      if ((number & 31) === 0 && this.#words[number >>> 5] === 0xffff_ffff) number += 32
      else if (this.has(number)) number++
      else return number
    }
    return undefined
  }
}

/** KEP-3070: min(max(16, size/16), 256), and none when the range is too small to be divided. */
export function staticBand(size: number): number {
  const band = Math.min(Math.max(16, Math.floor(size / 16)), 256)
  return band < size ? band : 0
}

/** KEP-3668: min(max(16, size/32), 128). */
export function staticPortBand(size: number): number {
  const band = Math.min(Math.max(16, Math.floor(size / 32)), 128)
  return band < size ? band : 0
}
