import { compareKeys, inRange } from './key-order.ts'
import type {
  Compare,
  KeyValue,
  Operation,
  OperationResult,
  RangeRequest,
  TxnRequest,
  WatchEvent,
  WatchRequest,
} from './store.ts'

/** A key-value whose value is text, so that two are compared at a glance. */
export type Plain = { key: string; value: string; createRevision: number; modRevision: number; version: number }
export type PlainEvent = { type: 'put' | 'delete'; kv: Plain; previous: Plain | undefined }

export const plain = (kv: KeyValue): Plain => ({ ...kv, value: Buffer.from(kv.value).toString() })

export const plainEvent = ({ type, kv, previous }: WatchEvent): PlainEvent => ({
  type,
  kv: plain(kv),
  previous: previous && plain(previous),
})

/** The store's semantics, as slow and as plain as can be: a whole map of the keys for every revision. */
export class Model {
  readonly #base: number
  readonly #states: Map<string, Plain>[]
  readonly #events: PlainEvent[][] = []

  /** `state` holds what stood at revision `base`. */
  constructor(base: number, state: Plain[] = []) {
    this.#base = base
    this.#states = [new Map(state.map((kv) => [kv.key, kv]))]
  }

  get revision(): number {
    return this.#base + this.#states.length - 1
  }

  range(request: RangeRequest, revision: number): Plain[] {
    const state = this.#states[revision - this.#base]
    if (state === undefined) throw new Error(`the model has no revision ${revision}`)
    return [...state.values()].filter((kv) => inRange(request, kv.key)).sort((a, b) => compareKeys(a.key, b.key))
  }

  succeeds(compares: Compare[], revision: number): boolean {
    const state = this.#states[revision - this.#base]!
    return compares.every((compare) => {
      const kv = state.get(compare.key)
      if ('version' in compare) return (kv?.version ?? 0) === compare.version
      return (kv?.modRevision ?? 0) === compare.modRevision
    })
  }

  /** Executes a transaction after `revision`, which must be the newest when it writes. */
  txn(request: TxnRequest, revision: number): { succeeded: boolean; wrote: boolean; results: Plain[][] } {
    const succeeded = this.succeeds(request.compare, revision)
    const state = new Map(this.#states[revision - this.#base])
    const events: PlainEvent[] = []
    const results = (succeeded ? request.success : (request.failure ?? [])).map((operation) =>
      execute(operation, state, revision + 1, events),
    )
    if (events.length > 0) {
      if (revision !== this.revision) throw new Error(`revision ${revision + 1} was given out twice`)
      this.#states.push(state)
      this.#events.push(events)
    }
    return { succeeded, wrote: events.length > 0, results }
  }

  /** All events that a watch must see, from its `fromRevision` on. */
  watch(request: WatchRequest): PlainEvent[] {
    const skip = (request.fromRevision ?? this.#base + 1) - this.#base - 1
    return this.#events.slice(skip).flatMap((events) => events.filter((event) => inRange(request, event.kv.key)))
  }
}

function execute(operation: Operation, state: Map<string, Plain>, revision: number, events: PlainEvent[]): Plain[] {
  const { key } = operation
  const range = operation.type === 'delete' && operation.prefix === true ? { key, prefix: true } : { key }
  const found = [...state.values()].filter((kv) => inRange(range, kv.key)).sort((a, b) => compareKeys(a.key, b.key))
  if (operation.type === 'put') {
    const previous = found[0]
    const kv = {
      key,
      value: Buffer.from(operation.value).toString(),
      createRevision: previous?.createRevision ?? revision,
      modRevision: revision,
      version: (previous?.version ?? 0) + 1,
    }
    state.set(key, kv)
    events.push({ type: 'put', kv, previous })
  } else if (operation.type === 'delete') {
    for (const previous of found) {
      state.delete(previous.key)
      const kv = { key: previous.key, value: '', createRevision: 0, modRevision: revision, version: 0 }
      events.push({ type: 'delete', kv, previous })
    }
  }
  return found
}

export const plainResults = (results: OperationResult[]): Plain[][] => results.map(({ kvs }) => kvs.map(plain))
