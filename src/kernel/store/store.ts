/**
 * The store's contract: etcd v3's semantics (one revision counter; per key create revision, mod revision, version;
 * transactions that compare and write; ranges at a revision; watches without gaps; compaction).
 * Keys are UTF-8 strings compared by bytes; values are opaque bytes. Revisions are safe integers.
 */

export type KeyValue = {
  key: string
  value: Uint8Array
  createRevision: number
  modRevision: number
  /** 1 on creation, counts up with each write, restarts after a delete. */
  version: number
}

export type RangeRequest = {
  /** First key. With neither `end` nor `prefix` exactly this key. */
  key: string
  /** Exclusive end of the range. */
  end?: string
  /** True: every key that starts with `key`. */
  prefix?: boolean
  /** Read as it was at this revision; undefined or 0: now (linearizable). */
  revision?: number
  /** 0 or undefined: no limit. */
  limit?: number
  keysOnly?: boolean
  countOnly?: boolean
}

export type RangeResult = {
  /** The store's current revision when it answered (etcd's header.revision), not the one read at. */
  revision: number
  kvs: KeyValue[]
  /** True when `limit` cut the answer. */
  more: boolean
  /** Keys in the whole range, beyond the limit too. */
  count: number
}

export type Compare =
  | { key: string; modRevision: number } // 0: the key must not exist
  | { key: string; version: number }

export type Operation =
  | { type: 'put'; key: string; value: Uint8Array }
  | { type: 'delete'; key: string; prefix?: boolean }
  | { type: 'get'; key: string }

export type OperationResult = {
  /** For put: the value before, when there was one. For delete: all that was deleted. For get: the value, if any. */
  kvs: KeyValue[]
}

export type TxnRequest = { compare: Compare[]; success: Operation[]; failure?: Operation[] }
export type TxnResult = {
  succeeded: boolean
  /** Revision of this transaction's writes, or the current one when it wrote nothing. */
  revision: number
  results: OperationResult[]
}

export type WatchEvent = {
  type: 'put' | 'delete'
  /** For delete: value empty, modRevision is the revision of the deletion. */
  kv: KeyValue
  /** The value before this event, when there was one and history still holds it. */
  previous?: KeyValue
}

export type WatchRequest = {
  key: string
  prefix?: boolean
  end?: string
  /** First revision to deliver; undefined: everything after now. */
  fromRevision?: number
}

/**
 * Events come in revision order; all events of one revision in one batch. `revision` is the batch's last revision: a
 * batch may be empty, then it says that everything up to `revision` has been delivered (progress).
 */
export type WatchListener = {
  onEvents: (events: WatchEvent[], revision: number) => void
  /**
   * The watch ended and will deliver no more: CompactedError when fromRevision is compacted away, StoreError otherwise.
   * A lost connection is not an end: the implementation reconnects and loses nothing.
   */
  onEnd: (error: Error | undefined) => void
}

export type Watch = { cancel: () => void }

export type Store = {
  /** Current revision, linearizable. Embedded: resolves without I/O. */
  revision: () => Promise<number>
  range: (request: RangeRequest) => Promise<RangeResult>
  /** Resolves only when the writes are on disk (etcd: committed by quorum). */
  txn: (request: TxnRequest) => Promise<TxnResult>
  watch: (request: WatchRequest, listener: WatchListener) => Watch
  /** Asks that an (empty) progress batch is delivered soon to every watch which has seen everything. */
  requestProgress: () => void
  /** Forgets history below `revision`: reads below it fail with CompactedError; current values stay. */
  compact: (revision: number) => Promise<void>
  /** Writes a consistent copy to `file` (0600, atomic rename) while the store is in use. */
  backup: (file: string) => Promise<{ revision: number; bytes: number }>
  /** Rejects with the reason when the store cannot serve: readyz. */
  health: () => Promise<void>
  close: () => Promise<void>
}

export class StoreError extends Error {
  /** 'unavailable' may be tried again; 'no-space' until space is made; 'locked' names the other process. */
  readonly code: 'unavailable' | 'no-space' | 'corrupt' | 'locked' | 'closed' | 'too-large' | 'internal'
  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}

export class CompactedError extends Error {
  readonly compactRevision: number
  constructor(compactRevision: number) {
    super(`required revision has been compacted (oldest kept: ${compactRevision})`)
    this.name = 'CompactedError'
    this.compactRevision = compactRevision
  }
}

export class FutureRevisionError extends Error {
  constructor(revision: number, current: number) {
    super(`required revision ${revision} is a future revision (current: ${current})`)
    this.name = 'FutureRevisionError'
  }
}
