/** Rotation of 10,000 Secrets in a real control plane that is killed again and again while its API is in use. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { adminClient } from '../src/cli/admin.ts'
import { clusterPaths } from '../src/cli/cluster.ts'
import type { SecretsStatus } from '../src/cli/commands/secrets.ts'
import type { KubeObject } from '../src/kernel/api/object.ts'
import type { Client, ResourceId } from '../src/kernel/client/client.ts'
import { startCluster, type TestCluster } from './setup/cluster.ts'

const secrets: ResourceId = { group: '', version: 'v1', resource: 'secrets' }
const COUNT = 10_000
const KILLS = 5
const WRITERS = 8

const nameOf = (i: number): string => `secret-${String(i).padStart(5, '0')}`
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('10,000 Secrets', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await startCluster(['--nodes', '0'])
    const client = await connect()
    await inParallel(32, COUNT, (i) =>
      client.create(secrets, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: nameOf(i), namespace: 'default' },
        data: { value: base64(`value ${i}`), round: base64('0') },
      }),
    )
  })
  after(() => cluster?.stop())

  const connect = async (): Promise<Client> => (await adminClient(clusterPaths({ dataDir: cluster.directory }))).client
  const status = async (): Promise<SecretsStatus> =>
    JSON.parse((await cluster.rampart(['secrets', 'status', '-o', 'json'])).stdout) as SecretsStatus
  const secretsBy = ({ usage }: SecretsStatus): Map<string, number> =>
    new Map(usage.filter((u) => u.resource === 'secrets').map((u) => [u.keyId ?? u.provider, u.objects]))

  test('survive a rotation that is killed at random, with writers at work', async () => {
    const first = await status()
    assert.equal(
      [...secretsBy(first).values()].reduce((a, b) => a + b, 0),
      COUNT,
    )
    const oldKey = first.keys.find((k) => k.writes)!.keyId!
    /** The last round that was acknowledged, by Secret. */
    const acknowledged = new Map<number, number>()
    let interrupted = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const client = await connect()
      const stop = new AbortController()
      const writing = Promise.all(
        Array.from({ length: WRITERS }, (_, w) => writeUntil(client, w, kill + 1, acknowledged, stop.signal)),
      )
      const rotation = cluster.rampart(['secrets', 'rotate', ...(kill === 0 ? ['--kek'] : kill === 2 ? ['--dek'] : [])])
      await sleep(250 + Math.random() * 700)
      process.kill(await cluster.pid(), 'SIGKILL')
      stop.abort()
      if ((await rotation).code !== 0) interrupted++
      await writing
      const up = await cluster.rampart(['up', '--port', '0', '--nodes', '0'])
      assert.equal(up.code, 0, up.stderr)
    }
    assert.ok(interrupted > 0, 'no rotation was under way when its server was killed')

    const forgottenTooEarly = await cluster.rampart(['secrets', 'forget-keys'])
    const early = secretsBy(await status())
    if ((early.get(oldKey) ?? 0) > 0) {
      assert.equal(forgottenTooEarly.code, 3)
      assert.match(forgottenTooEarly.stderr, new RegExp(`key ${oldKey} protects \\d+ secrets`))
    }

    const finished = await cluster.rampart(['secrets', 'rotate'])
    assert.equal(finished.code, 0, finished.stderr)
    const last = await status()
    assert.equal(last.unreadableCount, 0)
    assert.equal(
      last.usage.reduce((sum, u) => sum + u.stale, 0),
      0,
    )
    const newKey = last.keys.find((k) => k.writes)!.keyId!
    assert.notEqual(newKey, oldKey)
    assert.deepEqual([...secretsBy(last)], [[newKey, COUNT]])

    const client = await connect()
    const { items } = await client.list(secrets, { namespace: 'default' })
    assert.equal(items.length, COUNT)
    items.forEach((item, i) => {
      const data = item['data'] as Record<string, string>
      assert.equal(data['value'], base64(`value ${i}`), item.metadata.name)
      const round = Number(Buffer.from(data['round']!, 'base64').toString())
      assert.ok(round >= (acknowledged.get(i) ?? 0), `${item.metadata.name} lost an acknowledged write`)
    })
    assert.ok(acknowledged.size > 0, 'nobody wrote meanwhile')

    const forgotten = await cluster.rampart(['secrets', 'forget-keys'])
    assert.equal(forgotten.code, 0, forgotten.stderr)
    const restarted = await cluster.rampart(['down']).then(() => cluster.rampart(['up', '--port', '0', '--nodes', '0']))
    assert.equal(restarted.code, 0, restarted.stderr)
    const verified = await cluster.rampart(['secrets', 'verify'])
    assert.equal(verified.code, 0, verified.stderr)
    assert.deepEqual(
      (await status()).keys.filter((k) => k.provider === 'kms').map((k) => k.keyId),
      [newKey],
    )
  })

  test('a second rotation at the same time is refused', async () => {
    const [one, two] = await Promise.all([
      cluster.rampart(['secrets', 'rotate', '--dek']),
      cluster.rampart(['secrets', 'rotate', '--dek']),
    ])
    const codes = [one.code, two.code].sort()
    if (codes[1] === 0) return // the first had ended before the second began
    assert.deepEqual(codes, [0, 3])
    assert.match(one.stderr + two.stderr, /under way already/)
  })
})

async function writeUntil(
  client: Client,
  writer: number,
  round: number,
  acknowledged: Map<number, number>,
  signal: AbortSignal,
): Promise<void> {
  for (let i = writer; !signal.aborted; i = (i + WRITERS * 7) % COUNT) {
    try {
      await client.patch(secrets, 'default', nameOf(i), 'merge', { data: { round: base64(String(round)) } })
      acknowledged.set(i, round)
    } catch {
      return // its server was killed: nothing was promised
    }
  }
}

async function inParallel(width: number, count: number, work: (i: number) => Promise<KubeObject>): Promise<void> {
  let next = 0
  const run = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  await Promise.all(Array.from({ length: width }, run))
}
