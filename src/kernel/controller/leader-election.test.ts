import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KubeObject } from '../api/object.ts'
import { ApiError, conflict, notFound } from '../api/status.ts'
import type { Client } from '../client/client.ts'
import type { Controller } from '../feature.ts'
import { FakeTime, settle } from './fake-time.ts'
import { type LeaderElectionOptions, microTime, runLeaderElection } from './leader-election.ts'
import { runControllers } from './runner.ts'

/** One Lease with optimistic locking. */
class LeaseServer {
  lease: KubeObject | undefined
  version = 0
  down = false

  client(): Pick<Client, 'get' | 'create' | 'update'> {
    const reachable = (): void => {
      if (this.down) throw new ApiError('ServiceUnavailable', 'down')
    }
    const store = (object: KubeObject): KubeObject => {
      const metadata = { ...object.metadata, resourceVersion: String(++this.version) }
      this.lease = structuredClone({ ...object, metadata })
      return this.lease
    }
    return {
      get: async () => {
        reachable()
        if (this.lease === undefined) throw notFound('coordination.k8s.io', 'leases', 'l')
        return this.lease
      },
      create: async (_, object) => {
        reachable()
        if (this.lease !== undefined) throw new ApiError('AlreadyExists', 'exists')
        return store(object)
      },
      update: async (_, object) => {
        reachable()
        if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw conflict('coordination.k8s.io', 'leases', 'l', 'modified')
        return store(object)
      },
    }
  }
}

type Candidate = { leading: boolean; terms: number; stop: AbortController; done: Promise<void>; leaders: string[] }

function candidate(
  server: LeaseServer,
  time: FakeTime,
  identity: string,
  more: Partial<LeaderElectionOptions> = {},
): Candidate {
  const stop = new AbortController()
  const state: Candidate = { leading: false, terms: 0, stop, done: Promise.resolve(), leaders: [] }
  const options: LeaderElectionOptions = {
    client: server.client(),
    namespace: 'kube-system',
    name: 'l',
    identity,
    clock: time,
    timers: time,
    random: () => 0,
    log: () => undefined,
    onNewLeader: (leader) => state.leaders.push(leader),
    lead: async (signal) => {
      state.leading = true
      state.terms++
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      state.leading = false
    },
    ...more,
  }
  state.done = runLeaderElection(options, stop.signal)
  return state
}

describe('leader election', () => {
  test('one leads, renews, gives back when it stops, and the other takes over at once', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const a = candidate(server, time, 'a')
    await settle()
    const b = candidate(server, time, 'b')
    await time.advance(60_000)
    assert.deepEqual([a.leading, b.leading], [true, false])
    assert.equal(server.lease?.['spec'].holderIdentity, 'a')
    assert.equal(server.lease?.['spec'].renewTime, microTime(time.now()))
    assert.equal(server.lease?.['spec'].leaseDurationSeconds, 15)
    assert.equal(server.lease?.['spec'].leaseTransitions, 0)
    a.stop.abort()
    await a.done
    assert.equal(server.lease?.['spec'].holderIdentity, '')
    await time.advance(2000)
    assert.deepEqual([a.leading, b.leading], [false, true])
    assert.equal(server.lease?.['spec'].leaseTransitions, 1)
    assert.deepEqual(b.leaders, ['a', 'b'])
    b.stop.abort()
    await b.done
  })

  test('a leader that vanished is followed when its lease has not changed for its duration', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const a = candidate(server, time, 'a')
    await time.advance(4000)
    // a is cut off, without a word.
    const dead = server.lease
    const cut = new LeaseServer()
    cut.lease = dead
    cut.version = server.version
    const b = candidate(cut, time, 'b')
    await time.advance(14_000)
    assert.equal(b.leading, false)
    await time.advance(3000)
    assert.equal(b.leading, true)
    a.stop.abort()
    b.stop.abort()
    await Promise.all([a.done, b.done])
  })

  test('wrong wall clocks do not matter', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const hour = 3_600_000
    const behind = { now: () => time.now() - hour }
    const ahead = { now: () => time.now() + hour }
    const a = candidate(server, time, 'a', { clock: behind })
    await settle()
    const b = candidate(server, time, 'b', { clock: ahead })
    await time.advance(30_000)
    time.setWallClock(0)
    await time.advance(30_000)
    assert.deepEqual([a.leading, b.leading, a.terms], [true, false, 1])
    a.stop.abort()
    b.stop.abort()
    await Promise.all([a.done, b.done])
  })

  test('a leader that cannot renew stops before another may take over', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const a = candidate(server, time, 'a')
    await time.advance(2000)
    server.down = true
    await time.advance(9000)
    assert.equal(a.leading, true)
    await time.advance(4000)
    assert.equal(a.leading, false)
    server.down = false
    await time.advance(4000)
    assert.deepEqual([a.leading, a.terms], [true, 2])
    a.stop.abort()
    await a.done
  })

  test('a request that hangs counts as a failed renewal', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const client = server.client()
    let hang = false
    const get: typeof client.get = async (...a) =>
      hang ? await new Promise<never>(() => undefined) : await client.get(...a)
    const a = candidate(server, time, 'a', { client: { ...client, get } })
    await time.advance(3000)
    hang = true
    await time.advance(15_000)
    assert.equal(a.leading, false)
    a.stop.abort()
  })

  test('a lease that was taken away ends the term', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const a = candidate(server, time, 'a')
    await time.advance(1000)
    const spec = { ...server.lease!['spec'], holderIdentity: 'c' }
    await server.client().update({ group: '', version: '', resource: '' }, { ...server.lease!, spec })
    await time.advance(2000)
    assert.equal(a.leading, false)
    assert.equal(server.lease?.['spec'].holderIdentity, 'c')
    a.stop.abort()
    await a.done
  })

  test('of many candidates at once exactly one leads, at every moment', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    const all = Array.from({ length: 5 }, (_, i) => candidate(server, time, `c${i}`))
    for (let round = 0; round < 5; round++) {
      await time.advance(20_000)
      const leading = all.filter((c) => c.leading)
      assert.equal(leading.length, 1)
      leading[0]!.stop.abort()
      await leading[0]!.done
    }
  })

  test('refuses times that would let two lead', async () => {
    const options = { renewDeadlineMs: 15_000, leaseDurationMs: 15_000 }
    const c = candidate(new LeaseServer(), new FakeTime(), 'a', options)
    await assert.rejects(c.done, /renewDeadlineMs must be below/)
  })
})

describe('runControllers', () => {
  const client = {} as Client

  test('a controller that crashes starts again with back-off; the others go on', async () => {
    const time = new FakeTime()
    const lines: string[] = []
    const starts: number[] = []
    let steady = 0
    const forever = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    const bad = (): Controller => ({
      name: 'bad',
      run: async () => {
        starts.push(time.monotonic())
        throw new Error('crash')
      },
    })
    const good = (): Controller => ({
      name: 'good',
      run: (signal) => {
        steady++
        return forever(signal)
      },
    })
    const stop = new AbortController()
    const context = {
      client,
      clock: time,
      log: (level: string, m: string): void => void lines.push(`${level} ${m.split('\n')[0]}`),
    }
    const done = runControllers({ factories: [bad, good], context, timers: time, random: () => 0 }, stop.signal)
    await time.advance(7500)
    assert.deepEqual(starts, [0, 1000, 3000, 7000])
    assert.equal(steady, 1)
    assert.equal(lines[0], 'error controller bad crashed: Error: crash')
    stop.abort()
    await done
  })

  test('under election the controllers run only while we lead, and anew in each term', async () => {
    const server = new LeaseServer()
    const time = new FakeTime()
    let running = 0
    let started = 0
    const factory = (): Controller => ({
      name: 'x',
      run: async (signal) => {
        running++
        started++
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        running--
      },
    })
    const stop = new AbortController()
    const done = runControllers(
      {
        factories: [factory],
        context: { client: server.client() as Client, clock: time, log: () => undefined },
        timers: time,
        random: () => 0,
        election: { namespace: 'kube-system', name: 'l', identity: 'a' },
      },
      stop.signal,
    )
    await time.advance(1000)
    assert.deepEqual([running, started], [1, 1])
    server.down = true
    await time.advance(14_000)
    assert.equal(running, 0)
    server.down = false
    await time.advance(5000)
    assert.deepEqual([running, started], [1, 2])
    stop.abort()
    await done
    assert.equal(running, 0)
  })
})
