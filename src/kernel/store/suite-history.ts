import assert from 'node:assert/strict'
import { Model, plain, plainResults } from './model.ts'
import type { Operation, RangeRequest, RangeResult, Store, TxnRequest, TxnResult, WatchRequest } from './store.ts'
import { Recorder } from './suite-watch.ts'

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Done<Request, Result> = {
  request: Request
  result: Result
  /** Highest revision that anyone had been told when the request began. */
  floor: number
}

const keys = ['/a/1', '/a/2', '/a/3', '/b', '/b/1', '/c', '/é', '/\uffee', '/😀']

/**
 * Lets `workers` at a time do random transactions and reads while others watch, then shows that everything they saw
 * is one sequential history: the model, given the transactions in the order of their revisions, answers the same.
 */
export async function checkRandomHistory(
  store: Store,
  options: { seed: number; workers: number; steps: number },
): Promise<void> {
  const random = seeded(options.seed)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  // What an earlier history left stands in the model from the start, as of a revision at which nothing else happens.
  const before = await store.range({ key: '', prefix: true })
  const base = before.revision
  const txns: Done<TxnRequest, TxnResult>[] = []
  const ranges: Done<RangeRequest, RangeResult>[] = []
  let told = base
  const lastSeen = new Map<string, { modRevision: number; version: number }>()

  const operation = (used: Set<string>): Operation | undefined => {
    const key = pick(keys)
    if ([...used].some((other) => other.startsWith(key) || key.startsWith(other))) return { type: 'get', key: '/c' }
    used.add(key)
    const kind = random()
    if (kind < 0.6) return { type: 'put', key, value: Buffer.from(`${key}=${Math.floor(random() * 1e6)}`) }
    if (kind < 0.75) return { type: 'delete', key }
    if (kind < 0.85) return { type: 'delete', key, prefix: true }
    return { type: 'get', key }
  }
  const operations = (): Operation[] => {
    const used = new Set<string>()
    const list: Operation[] = []
    for (let count = random() < 0.7 ? 1 : 3; count > 0; count--) {
      const next = operation(used)
      if (next !== undefined) list.push(next)
    }
    return list
  }
  const txnRequest = (): TxnRequest => {
    const request: TxnRequest = { compare: [], success: operations() }
    if (random() < 0.7) {
      const key = pick(keys)
      const seen = lastSeen.get(key)
      if (random() < 0.5) request.compare.push({ key, modRevision: seen?.modRevision ?? 0 })
      else request.compare.push({ key, version: seen?.version ?? 0 })
    }
    if (random() < 0.4) request.failure = operations()
    return request
  }
  const rangeRequest = (): RangeRequest => {
    const request: RangeRequest = pick([{ key: '/a/', prefix: true }, { key: '/a/2', end: '/c' }, { key: '/b' }])
    return random() < 0.3 ? { ...request, revision: base + Math.floor(random() * (told - base + 1)) } : request
  }
  const watches: { request: WatchRequest; recorder: Recorder }[] = []
  const watch = (request: WatchRequest): void => {
    watches.push({ request, recorder: new Recorder(store, request) })
  }
  watch({ key: '', prefix: true, fromRevision: base + 1 })
  watch({ key: '/a/', prefix: true, fromRevision: base + 1 })

  const worker = async (): Promise<void> => {
    for (let step = 0; step < options.steps; step++) {
      const floor = told
      if (random() < 0.75) {
        const request = txnRequest()
        const result = await store.txn(request)
        txns.push({ request, result, floor })
        told = Math.max(told, result.revision)
        for (const { kvs } of result.results) for (const kv of kvs) lastSeen.set(kv.key, kv)
      } else if (random() < 0.9) {
        const request = rangeRequest()
        const result = await store.range(request)
        ranges.push({ request, result, floor })
        told = Math.max(told, result.revision)
        if (!request.revision) for (const kv of result.kvs) lastSeen.set(kv.key, kv)
      } else {
        const fromRevision = base + 1 + Math.floor(random() * (told - base + 1))
        watch({ ...pick([{ key: '/b' }, { key: '/a/', prefix: true }, { key: '/a', end: '/b/2' }]), fromRevision })
      }
    }
  }
  await Promise.all(Array.from({ length: options.workers }, worker))

  const model = new Model(base, before.kvs.map(plain))
  const seed = `seed ${options.seed}`
  // Those that wrote, in the order of their revisions; then, with all revisions known, those that did not.
  const wrote = ({ result, request }: Done<TxnRequest, TxnResult>): boolean =>
    (result.succeeded ? request.success : (request.failure ?? [])).some(
      (operation, index) =>
        operation.type === 'put' || (operation.type === 'delete' && result.results[index]!.kvs.length > 0),
    )
  for (const { request, result, floor } of txns.filter(wrote).sort((a, b) => a.result.revision - b.result.revision)) {
    assert.equal(result.revision, model.revision + 1, `${seed}: revisions follow each other`)
    assert.ok(result.revision > floor, `${seed}: a write comes after all that was answered before it began`)
    const expected = model.txn(request, model.revision)
    assert.equal(result.succeeded, expected.succeeded, seed)
    assert.deepEqual(plainResults(result.results), expected.results, `${seed}: results at ${result.revision}`)
  }
  const last = model.revision
  assert.equal(await store.revision(), last, seed)
  for (const { request, result, floor } of txns.filter((done) => !wrote(done))) {
    assert.ok(result.revision >= floor, `${seed}: nothing goes back behind what was answered before`)
    const expected = model.txn(request, result.revision)
    assert.equal(result.succeeded, expected.succeeded, seed)
    assert.deepEqual(plainResults(result.results), expected.results, seed)
  }
  for (const { request, result, floor } of ranges) {
    assert.ok(result.revision >= floor, `${seed}: a read shows all that was answered before it began`)
    assert.deepEqual(result.kvs.map(plain), model.range(request, request.revision || result.revision), seed)
  }
  for (let revision = base; revision <= last; revision += Math.ceil((last - base + 1) / 20)) {
    const request = { key: '/', prefix: true, revision }
    assert.deepEqual((await store.range(request)).kvs.map(plain), model.range(request, revision), seed)
  }
  for (const { request, recorder } of watches) {
    if ((request.fromRevision ?? 0) > last) continue
    await recorder.reached(store, last)
    recorder.watch.cancel()
    assert.deepEqual(recorder.violations, [], seed)
    assert.deepEqual(recorder.events, model.watch(request), `${seed}: watch ${JSON.stringify(request)}`)
  }
}
