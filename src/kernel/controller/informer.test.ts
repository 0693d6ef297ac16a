import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { ApiError } from '../api/status.ts'
import type { Client, ClientWatchEvent, ListOptions, ListResult, WatchOptions } from '../client/client.ts'
import { FakeTime, settle } from './fake-time.ts'
import { createInformer, type InformerOptions, whenSynced } from './informer.ts'

const RESOURCE = { group: '', version: 'v1', resource: 'secrets' }

function secret(name: string, version: number, fields: Partial<KubeObject['metadata']> = {}): KubeObject {
  const metadata = { namespace: 'ns', name, uid: `uid-${name}`, resourceVersion: String(version), ...fields }
  return { apiVersion: 'v1', kind: 'Secret', metadata }
}

const bookmark = (version: number): ClientWatchEvent => ({
  type: 'BOOKMARK',
  object: { apiVersion: 'v1', kind: 'Secret', metadata: { resourceVersion: String(version) } },
})
const expired: ClientWatchEvent = {
  type: 'ERROR',
  object: { kind: 'Status', code: 410, reason: 'Expired', message: 'old' },
}

type Step = ClientWatchEvent | Error | 'close'

/** A server by hand: what it lists, and one open watch at a time into which steps are pushed. */
class Script implements Pick<Client, 'list' | 'watch'> {
  readonly lists: (ListOptions | undefined)[] = []
  readonly watches: WatchOptions[] = []
  answer: (options: ListOptions | undefined) => ListResult = () => ({ items: [], metadata: { resourceVersion: '1' } })
  #push: ((step: Step) => void) | undefined

  readonly list = async (_: unknown, options?: ListOptions): Promise<ListResult> => {
    this.lists.push(options)
    return this.answer(options)
  }

  readonly watch = (_: unknown, options: WatchOptions): AsyncIterable<ClientWatchEvent> => {
    this.watches.push(options)
    const steps: Step[] = []
    let wake: (() => void) | undefined
    this.#push = (step) => {
      steps.push(step)
      wake?.()
    }
    options.signal.addEventListener('abort', () => this.#push?.('close'))
    return (async function* () {
      for (;;) {
        const step = steps.shift()
        if (step === undefined) await new Promise<void>((resolve) => (wake = resolve))
        else if (step === 'close') return
        else if (step instanceof Error) throw step
        else yield step
      }
    })()
  }

  async push(...steps: Step[]): Promise<void> {
    for (const step of steps) this.#push!(step)
    await settle()
  }
}

function start(options: Partial<InformerOptions> = {}) {
  const server = new Script()
  const time = new FakeTime()
  const seen: string[] = []
  const lines: string[] = []
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`)
  const informer = createInformer({
    client: server,
    resource: RESOURCE,
    timers: time,
    random: () => 0,
    log,
    ...options,
  })
  informer.addHandler({
    onAdd: (o, initial) => seen.push(`+${o.metadata.name}@${o.metadata.resourceVersion}${initial ? ' initial' : ''}`),
    onUpdate: (o, old) =>
      seen.push(`~${o.metadata.name}@${old.metadata.resourceVersion}→${o.metadata.resourceVersion}`),
    onDelete: (o) => seen.push(`-${o.metadata.name}@${o.metadata.resourceVersion}`),
  })
  const stop = new AbortController()
  const take = (): string[] => seen.splice(0)
  return { server, time, informer, stop, take, lines, done: undefined as Promise<void> | undefined }
}

async function run(setup: ReturnType<typeof start>): Promise<ReturnType<typeof start>> {
  setup.done = setup.informer.run(setup.stop.signal)
  await settle()
  return setup
}

describe('informer', () => {
  test('lists, tells its handlers, and then watches from there', async () => {
    const setup = start()
    setup.server.answer = () => ({ items: [secret('a', 3), secret('b', 4)], metadata: { resourceVersion: '7' } })
    assert.equal(setup.informer.hasSynced, false)
    const { server, informer, take, stop, done } = await run(setup)
    await informer.synced()
    assert.deepEqual(take(), ['+a@3 initial', '+b@4 initial'])
    assert.equal(server.watches[0]?.resourceVersion, '7')
    assert.equal(server.watches[0]?.allowWatchBookmarks, true)
    assert.equal(server.watches[0]?.timeoutSeconds, 300)
    await server.push({ type: 'ADDED', object: secret('c', 8) }, { type: 'MODIFIED', object: secret('a', 9) })
    await server.push({ type: 'DELETED', object: secret('b', 10) })
    assert.deepEqual(take(), ['+c@8', '~a@3→9', '-b@10'])
    assert.deepEqual([...informer.store.list()].map((o) => o.metadata.name).sort(), ['a', 'c'])
    stop.abort()
    await done
  })

  test('goes on from the last event or bookmark when the server ends the watch', async () => {
    const { server, time, stop, done, take, lines } = await run(start())
    await time.advance(2000)
    await server.push(bookmark(50), 'close')
    assert.equal(server.watches[1]?.resourceVersion, '50')
    await time.advance(2000)
    await server.push({ type: 'ADDED', object: secret('a', 60) }, new ApiError('InternalError', 'broken pipe'))
    await time.advance(60_000)
    assert.equal(server.watches[2]?.resourceVersion, '60')
    assert.equal(server.lists.length, 1)
    assert.deepEqual(take(), ['+a@60'])
    assert.deepEqual(lines, ['warn informer of secrets: broken pipe'])
    stop.abort()
    await done
  })

  test('410 lists again: what changed in between is told, nothing twice', async () => {
    const setup = start()
    setup.server.answer = () => ({
      items: [secret('same', 1), secret('changes', 2), secret('goes', 3), secret('replaced', 4)],
      metadata: { resourceVersion: '5' },
    })
    const { server, time, stop, done, take } = await run(setup)
    take()
    server.answer = () => ({
      items: [secret('same', 1), secret('changes', 20), secret('replaced', 21, { uid: 'other' }), secret('new', 22)],
      metadata: { resourceVersion: '30' },
    })
    await server.push(expired)
    await time.advance(1000)
    assert.deepEqual(take(), ['-goes@3', '~changes@2→20', '-replaced@4', '+replaced@21', '+new@22'])
    assert.equal(server.watches.at(-1)?.resourceVersion, '30')
    stop.abort()
    await done
  })

  test('pages; when history ends in between, lists all at once', async () => {
    const setup = start()
    const pages: Record<string, ListResult> = {
      '': { items: [secret('a', 1)], metadata: { resourceVersion: '9', continue: 'two' } },
      two: { items: [secret('b', 2)], metadata: { resourceVersion: '9', continue: '' } },
    }
    setup.server.answer = (options) => pages[options?.continue ?? '']!
    const first = await run(setup)
    assert.deepEqual(first.take(), ['+a@1 initial', '+b@2 initial'])
    first.stop.abort()
    await first.done

    const second = start()
    second.server.answer = (options) => {
      if (options?.continue === 'two') throw new ApiError('Expired', 'too old')
      return options?.limit === undefined
        ? { items: [secret('a', 5), secret('b', 6)], metadata: { resourceVersion: '10' } }
        : pages['']!
    }
    await run(second)
    assert.deepEqual(second.take(), ['+a@5 initial', '+b@6 initial'])
    second.stop.abort()
    await second.done
  })

  test('a server that is away is asked again with growing waits', async () => {
    const setup = start()
    setup.server.answer = () => {
      throw new ApiError('ServiceUnavailable', 'away')
    }
    const { server, time, stop, done, informer } = await run(setup)
    const at: number[] = []
    for (let ms = 0; ms < 4000; ms += 50) {
      const before = server.lists.length
      await time.advance(50)
      if (server.lists.length > before) at.push(time.monotonic())
    }
    assert.deepEqual(at, [250, 750, 1750, 3750])
    assert.equal(informer.hasSynced, false)
    const waiting = whenSynced([informer], stop.signal)
    stop.abort()
    assert.equal(await waiting, false)
    await done
  })

  test('keeps what transform leaves; by default managedFields go', async () => {
    const setup = start()
    const managedFields = [
      { manager: 'm', operation: 'Update' as const, apiVersion: 'v1', fieldsType: 'FieldsV1' as const, fieldsV1: {} },
    ]
    const original = secret('a', 1, { managedFields })
    setup.server.answer = () => ({ items: [original], metadata: { resourceVersion: '1' } })
    const { informer, stop, done } = await run(setup)
    assert.equal(informer.store.get('ns/a')?.metadata.managedFields, undefined)
    assert.equal(original.metadata.managedFields, managedFields)
    stop.abort()
    await done
  })

  test('indexes follow the objects', async () => {
    const setup = start({ indexers: { app: (o) => (o.metadata.labels?.['app'] ? [o.metadata.labels['app']] : []) } })
    const { server, informer, stop, done } = await run(setup)
    const by = (value: string): string[] => informer.store.byIndex('app', value).map((o) => o.metadata.name!)
    await server.push({ type: 'ADDED', object: secret('a', 2, { labels: { app: 'x' } }) })
    await server.push({ type: 'ADDED', object: secret('b', 3, { labels: { app: 'x' } }) })
    assert.deepEqual(by('x'), ['a', 'b'])
    await server.push({ type: 'MODIFIED', object: secret('a', 4, { labels: { app: 'y' } }) })
    await server.push({ type: 'DELETED', object: secret('b', 5, { labels: { app: 'x' } }) })
    assert.deepEqual([by('x'), by('y')], [[], ['a']])
    assert.throws(() => informer.store.byIndex('none', ''), /no index "none"/)
    stop.abort()
    await done
  })

  test('resync hands every object over again; a late handler gets what is there', async () => {
    const setup = start({ resyncMs: 1000 })
    setup.server.answer = () => ({ items: [secret('a', 1)], metadata: { resourceVersion: '1' } })
    const { informer, time, take, stop, done } = await run(setup)
    take()
    await time.advance(2500)
    assert.deepEqual(take(), ['~a@1→1', '~a@1→1'])
    const late: string[] = []
    const remove = informer.addHandler({
      onAdd: (o) => late.push(o.metadata.name!),
      onUpdate: () => late.push('update'),
    })
    assert.deepEqual(late, ['a'])
    remove()
    await time.advance(1000)
    assert.deepEqual(late, ['a'])
    stop.abort()
    await done
    assert.equal(time.waiting, 0)
  })

  test('a handler that throws is logged and does not stop the others', async () => {
    const setup = start()
    setup.informer.addHandler({
      onAdd: () => {
        throw new Error('bad handler')
      },
    })
    const after: string[] = []
    setup.informer.addHandler({ onAdd: (o) => after.push(o.metadata.name!) })
    const { server, lines, stop, done } = await run(setup)
    await server.push({ type: 'ADDED', object: secret('a', 2) })
    assert.deepEqual(after, ['a'])
    assert.match(lines[0]!, /^error informer of secrets: handler failed: Error: bad handler/)
    stop.abort()
    await done
  })

  test('a server that closes every watch at once is not asked in a loop', async () => {
    const { server, time, stop, done } = await run(start())
    for (let i = 0; i < 5; i++) {
      await server.push('close')
      await time.advance(100)
    }
    assert.ok(server.watches.length <= 3, `${server.watches.length} watches`)
    stop.abort()
    await done
  })
})
