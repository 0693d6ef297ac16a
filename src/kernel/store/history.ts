import { type KeyRange, OrderedKeys } from './key-order.ts'

/** One version of one key: what the index keeps in memory. The value itself is read from disk when it is asked for. */
export class Version {
  readonly key: string
  readonly modRevision: number
  /** Place within its transaction, from 0. */
  readonly sub: number
  readonly createRevision: number
  /** 0 marks a deletion. */
  readonly version: number
  /** Bytes of the value, and their CRC-32. */
  readonly size: number
  readonly crc: number
  /** The version before, as long as history holds it. */
  previous: Version | undefined = undefined
  /** Held only until the version is durable. */
  value: Uint8Array | undefined = undefined

  constructor(
    key: string,
    modRevision: number,
    sub: number,
    createRevision: number,
    version: number,
    size: number,
    crc: number,
  ) {
    this.key = key
    this.modRevision = modRevision
    this.sub = sub
    this.createRevision = createRevision
    this.version = version
    this.size = size
    this.crc = crc
  }
}

/** What a version costs on disk, roughly: both records and their share of the pages. */
export const costOf = (version: Version): number => version.size + version.key.length + 96

/**
 * The index in memory: for every key its newest version with the older ones chained behind it, all keys in byte
 * order, and the versions since the last compaction in the order they were written (the log that watches replay).
 */
export class History {
  readonly heads: Map<string, Version> = new Map()
  readonly keys: OrderedKeys = new OrderedKeys()
  #log: Version[] = []
  #compactRevision = 0
  #bytes = 0

  get compactRevision(): number {
    return this.#compactRevision
  }
  get log(): readonly Version[] {
    return this.#log
  }
  /** What all versions cost together. */
  get bytes(): number {
    return this.#bytes
  }

  /** The newest version of `key`, undefined when it does not exist or was deleted. */
  live(key: string): Version | undefined {
    const head = this.heads.get(key)
    return head !== undefined && head.version > 0 ? head : undefined
  }

  /** The version of `key` that stood at `revision`. */
  at(key: string, revision: number): Version | undefined {
    let version = this.heads.get(key)
    while (version !== undefined && version.modRevision > revision) version = version.previous
    return version !== undefined && version.version > 0 ? version : undefined
  }

  /** Visits what stood at `revision` in a range, in key order, until `visit` answers true. */
  scan(range: KeyRange, revision: number, visit: (version: Version) => boolean): void {
    if (range.end === undefined && range.prefix !== true) {
      const version = this.at(range.key, revision)
      if (version !== undefined) visit(version)
      return
    }
    this.keys.scan(range, (key) => {
      const version = this.at(key, revision)
      return version !== undefined && visit(version)
    })
  }

  append(version: Version): void {
    const head = this.heads.get(version.key)
    version.previous = head
    if (head === undefined) this.keys.add(version.key)
    this.heads.set(version.key, version)
    this.#log.push(version)
    this.#bytes += costOf(version)
  }

  /** Takes back the newest version of the log. */
  undo(): void {
    const version = this.#log.pop()!
    this.#bytes -= costOf(version)
    const previous = version.previous
    if (previous === undefined || (previous.version === 0 && previous.modRevision <= this.#compactRevision)) {
      this.#forget(version.key)
    } else {
      this.heads.set(version.key, previous)
    }
  }

  /** Index in the log of the first version written at `revision` or later. */
  position(revision: number): number {
    let low = 0
    let high = this.#log.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#log[middle]!.modRevision < revision) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Forgets what no read at `revision` or later can see; the answer lists the records to remove from disk. */
  compact(revision: number): Version[] {
    const removed: Version[] = []
    let end = 0
    for (; end < this.#log.length; end++) {
      const version = this.#log[end]!
      if (version.modRevision > revision) break
      // A deletion was already removed when the log passed it.
      if (version.previous !== undefined && version.previous.version > 0) removed.push(version.previous)
      version.previous = undefined
      if (version.version === 0) {
        removed.push(version)
        if (this.heads.get(version.key) === version) this.#forget(version.key)
      }
    }
    this.#log.splice(0, end)
    for (const version of removed) this.#bytes -= costOf(version)
    this.#compactRevision = revision
    return removed
  }

  #forget(key: string): void {
    this.heads.delete(key)
    this.keys.delete(key)
  }
}
