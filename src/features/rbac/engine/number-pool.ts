const FIRST_SIZE = 4096

/**
 * Ranges of one array of 32-bit numbers. A range has a power of two as its size, and goes back to the list of its size:
 * nothing is ever moved.
 */
export class NumberPool {
  numbers: Int32Array = new Int32Array(FIRST_SIZE)
  #end = 0
  readonly #free = new Map<number, number[]>()

  /** Its offset. */
  take(values: Int32Array): number {
    const size = sizeOf(values.length)
    const offset = this.#free.get(size)?.pop() ?? this.#append(size)
    this.numbers.set(values, offset)
    return offset
  }

  give(offset: number, length: number): void {
    const size = sizeOf(length)
    const free = this.#free.get(size)
    if (free === undefined) this.#free.set(size, [offset])
    else free.push(offset)
  }

  #append(size: number): number {
    const offset = this.#end
    this.#end += size
    if (this.#end > this.numbers.length) {
      const grown = new Int32Array(Math.max(this.numbers.length * 2, this.#end))
      grown.set(this.numbers)
      this.numbers = grown
    }
    return offset
  }
}

function sizeOf(length: number): number {
  return length <= 1 ? 1 : 2 ** (32 - Math.clz32(length - 1))
}
