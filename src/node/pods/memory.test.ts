import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { KubeObject } from '../../kernel/api/object.ts'
import { ApiError, notFound } from '../../kernel/api/status.ts'
import { Checkpoints } from './checkpoint.ts'
import { makePod } from './engine/fixture.ts'
import { createEventRecorder } from './events.ts'
import { ObjectSource, SECRETS } from './objects.ts'
import { Semaphore } from './semaphore.ts'

describe('checkpoints', () => {
  it('are private, come back, and what is broken is left out', () => {
    const folder = mkdtempSync(join(tmpdir(), `rampart-checkpoints-${process.pid}-`))
    try {
      const checkpoints = new Checkpoints(folder)
      const { object } = makePod({ nodeName: 'n1' })
      checkpoints.save(object)
      assert.equal(statSync(join(folder, 'u1.json')).mode & 0o777, 0o600)
      writeFileSync(join(folder, 'broken.json'), '{')
      writeFileSync(join(folder, 'other.json'), JSON.stringify(object))
      writeFileSync(join(folder, 'u2.json.123.new'), 'half')
      const lines: string[] = []
      const loaded = new Checkpoints(folder).load((_, message) => void lines.push(message))
      assert.deepEqual(loaded, [object])
      assert.deepEqual(lines.map((line) => line.replace(/^.*\//, '').replace(/: .*/, '')).sort(), [
        'broken.json',
        'other.json',
      ])
      checkpoints.remove('u1')
      checkpoints.remove('u1')
      assert.ok(!readdirSync(folder).includes('u1.json'))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('objects that pods name', () => {
  it('are asked for once at a time, kept for a while, and outlive an API server that is away', async () => {
    let now = 0
    let asked = 0
    let answer: () => KubeObject = () => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a', resourceVersion: String(asked) },
    })
    const client = {
      get: async () => {
        asked++
        return answer()
      },
    }
    const objects = new ObjectSource(client, { now: () => now })
    const version = async (maxAgeMs: number) =>
      (await objects.get(SECRETS, 'shop', 'a', maxAgeMs))?.metadata.resourceVersion
    assert.deepEqual(await Promise.all([version(0), version(0)]), ['1', '1'])
    now = 1000
    assert.deepEqual([await version(5000), await version(500)], ['1', '2'])
    answer = () => {
      throw new Error('connect ECONNREFUSED')
    }
    now = 60_000
    assert.equal(await version(0), '2')
    answer = () => {
      throw new ApiError('Forbidden', 'no')
    }
    await assert.rejects(version(0), /no/)
    answer = () => {
      throw notFound('', 'secrets', 'a')
    }
    assert.equal(await version(0), undefined)
    await assert.rejects(
      new ObjectSource({ get: () => Promise.reject(new Error('away')) }, { now: () => 0 }).get(SECRETS, 'shop', 'b', 0),
      /away/,
    )
    now += 11 * 60_000
    objects.sweep()
    answer = () => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a', resourceVersion: 'new' },
      immutable: true,
    })
    assert.equal(await version(1e9), 'new')
    now += 1e9
    asked = 0
    assert.deepEqual([await version(0), asked], ['new', 0])
  })
})

describe('events', () => {
  it('said again raise a count; gone ones begin anew; an API server that is away loses them', async () => {
    const created: KubeObject[] = []
    const patched: unknown[] = []
    let failure: Error | undefined
    const recorder = createEventRecorder({
      client: {
        create: async (_, object) => {
          if (failure) throw failure
          created.push(object)
          return object
        },
        patch: async (_id, _namespace, _name, _type, patch) => {
          if (failure) throw failure
          patched.push(patch)
          return created[0]!
        },
      },
      host: 'n1',
      clock: { now: () => Date.UTC(2026, 0, 1) },
      log: () => undefined,
    })
    const target = { kind: 'Pod', apiVersion: 'v1', namespace: 'shop', name: 'web', uid: 'u1' }
    for (let i = 0; i < 3; i++) recorder.event(target, 'Warning', 'BackOff', 'again')
    recorder.event(target, 'Normal', 'Pulled', 'x'.repeat(5000))
    await recorder.flush()
    assert.deepEqual(
      created.map((event) => [event['reason'], event['count'], event['message'].length]),
      [
        ['BackOff', 1, 5],
        ['Pulled', 1, 1024],
      ],
    )
    assert.match(created[0]!.metadata.name!, /^web\.[0-9a-f]{16}$/)
    assert.deepEqual(
      patched,
      [2, 3].map((count) => ({ count, lastTimestamp: '2026-01-01T00:00:00Z' })),
    )
    failure = new Error('away')
    recorder.event(target, 'Warning', 'BackOff', 'again')
    await recorder.flush()
    failure = undefined
    recorder.event(target, 'Warning', 'BackOff', 'again')
    await recorder.flush()
    assert.equal(created.length, 3)
  })
})

describe('semaphore', () => {
  it('lets so many run, also when some fail', async () => {
    const semaphore = new Semaphore(2)
    let running = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      if (most === 2) throw new Error('fails')
    }
    await Promise.allSettled(Array.from({ length: 9 }, () => semaphore.run(work)))
    assert.deepEqual([running, most], [0, 2])
  })
})
