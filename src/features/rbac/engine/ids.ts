/**
 * Small whole numbers for names that are written in many places, so that what is asked often compares numbers and lies
 * close together in memory. Counted: a number is given to another name once nobody refers to it. 0 is never given.
 */
export class Ids<Name> {
  readonly #ids = new Map<Name, number>()
  readonly #names: (Name | undefined)[] = [undefined]
  readonly #references: number[] = [0]
  readonly #free: number[] = []

  get size(): number {
    return this.#ids.size
  }

  /** 0 for a name that nothing refers to. */
  get(name: Name): number {
    return this.#ids.get(name) ?? 0
  }

  acquire(name: Name): number {
    let id = this.#ids.get(name)
    if (id === undefined) {
      id = this.#free.pop() ?? this.#names.length
      this.#ids.set(name, id)
      this.#names[id] = name
      this.#references[id] = 0
    }
    this.#references[id]!++
    return id
  }

  /** True when that was the last reference. */
  release(id: number): boolean {
    if (--this.#references[id]! > 0) return false
    this.#ids.delete(this.#names[id]!)
    this.#names[id] = undefined
    this.#free.push(id)
    return true
  }

  name(id: number): Name {
    return this.#names[id]!
  }
}
