import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FakeTime, settle } from './fake-time.ts'
import { runReconciler } from './reconciler.ts'
import { WorkQueue } from './workqueue.ts'

describe('WorkQueue', () => {
  test('hands out keys in order, each once', async () => {
    const queue = new WorkQueue()
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key)
    assert.equal(queue.size, 3)
    assert.deepEqual([await queue.take(), await queue.take(), await queue.take()], ['a', 'b', 'c'])
  })

  test('a key that is added while it is worked on waits for done', async () => {
    const queue = new WorkQueue()
    queue.add('a')
    assert.equal(await queue.take(), 'a')
    queue.add('a')
    queue.add('a')
    let second: string | undefined
    void queue.take().then((key) => (second = key))
    await settle()
    assert.equal(second, undefined)
    queue.done('a')
    await settle()
    assert.equal(second, 'a')
    queue.done('a')
    assert.equal(queue.size, 0)
  })

  test('a waiting taker gets the key at once', async () => {
    const queue = new WorkQueue()
    const taken = queue.take()
    queue.add('a')
    assert.equal(await taken, 'a')
    assert.equal(queue.size, 0)
  })

  test('delayed keys come when it is time; of two delays the earlier holds', async () => {
    const time = new FakeTime()
    const queue = new WorkQueue({ timers: time })
    queue.addAfter('a', 100)
    queue.addAfter('a', 50)
    queue.addAfter('a', 80)
    await time.advance(49)
    assert.equal(queue.size, 0)
    await time.advance(1)
    assert.equal(await queue.take(), 'a')
    queue.done('a')
    await time.advance(100)
    assert.equal(queue.size, 0)
  })

  test('retries wait 5, 10, 20 … ms up to the maximum, until forgotten', async () => {
    const time = new FakeTime()
    const queue = new WorkQueue({ timers: time, maxDelayMs: 20 })
    const waits: number[] = []
    for (let i = 0; i < 5; i++) {
      if (i === 4) queue.forget('a')
      queue.addRateLimited('a')
      const from = time.monotonic()
      while (queue.size === 0) await time.advance(1)
      waits.push(time.monotonic() - from)
      queue.done((await queue.take())!)
    }
    assert.deepEqual(waits, [5, 10, 20, 20, 5])
  })

  test('shut down: takers end, timers are gone, nothing is added', async () => {
    const time = new FakeTime()
    const queue = new WorkQueue({ timers: time })
    const taken = queue.take()
    queue.addAfter('b', 10)
    queue.shutDown()
    queue.add('c')
    assert.equal(await taken, undefined)
    assert.equal(await queue.take(), undefined)
    assert.equal(time.waiting, 0)
  })
})

describe('runReconciler', () => {
  test('never works on one key twice at a time, and on several keys at once', async () => {
    const queue = new WorkQueue()
    const stop = new AbortController()
    const running = new Set<string>()
    let most = 0
    let runs = 0
    const done = runReconciler({
      queue,
      workers: 4,
      signal: stop.signal,
      log: () => undefined,
      reconcile: async (key) => {
        assert.equal(running.has(key), false)
        running.add(key)
        most = Math.max(most, running.size)
        await settle()
        running.delete(key)
        if (++runs < 40) queue.add(key)
      },
    })
    for (const key of ['a', 'b', 'c']) queue.add(key)
    while (runs < 40 || running.size > 0) await settle()
    stop.abort()
    await done
    assert.equal(most, 3)
  })

  test('failures come again with back-off and are logged; results requeue', async () => {
    const time = new FakeTime()
    const queue = new WorkQueue({ timers: time })
    const stop = new AbortController()
    const lines: string[] = []
    let calls = 0
    const done = runReconciler({
      queue,
      workers: 1,
      signal: stop.signal,
      log: (level, message) => lines.push(`${level} ${message}`),
      reconcile: async () => {
        calls++
        if (calls <= 2) throw new Error('no')
        return { requeueAfterMs: 1000 }
      },
    })
    queue.add('a')
    await time.advance(4)
    assert.equal(calls, 1)
    await time.advance(1)
    assert.equal(calls, 2)
    await time.advance(10)
    assert.equal(calls, 3)
    assert.equal(queue.failures('a'), 0)
    await time.advance(1000)
    assert.equal(calls, 4)
    stop.abort()
    await done
    assert.deepEqual(lines, ['warn a: no; trying again', 'warn a: no; trying again'])
  })

  test('waits for the work in hand when it is stopped', async () => {
    const queue = new WorkQueue()
    const stop = new AbortController()
    let finished = false
    const done = runReconciler({
      queue,
      workers: 2,
      signal: stop.signal,
      log: () => undefined,
      reconcile: async () => {
        stop.abort()
        await settle()
        finished = true
      },
    })
    queue.add('a')
    await done
    assert.equal(finished, true)
  })
})
