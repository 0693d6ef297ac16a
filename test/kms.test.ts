/** A control plane whose keys another process holds: `rampart kms serve`, killed, restarted and rotated meanwhile. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { adminClient } from '../src/cli/admin.ts'
import { clusterPaths } from '../src/cli/cluster.ts'
import type { SecretsStatus } from '../src/cli/commands/secrets.ts'
import type { Client, ResourceId } from '../src/kernel/client/client.ts'
import { rampart, run, startCluster, type TestCluster } from './setup/cluster.ts'

const secrets: ResourceId = { group: '', version: 'v1', resource: 'secrets' }

describe('keys held by rampart kms serve', () => {
  let folder: string
  let socket: string
  let keyFile: string
  let plugin: ChildProcess | undefined
  let cluster: TestCluster
  let client: Client

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rampart-kms-'))
    mkdirSync(join(folder, 'run'), { mode: 0o700 })
    socket = join(folder, 'run', 'kms.sock')
    keyFile = join(folder, 'keys.json')
    await serve()
    const configuration = join(folder, 'encryption.yaml')
    writeFileSync(
      configuration,
      `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms: {apiVersion: v2, name: outside, endpoint: 'unix://${socket}', timeout: 1s}
  - identity: {}
`,
      { mode: 0o600 },
    )
    cluster = await startCluster(['--nodes', '0', '--encryption-provider-config', configuration])
    client = await connect()
  })
  after(async () => {
    await cluster?.stop()
    await stop('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })

  const connect = async (): Promise<Client> => (await adminClient(clusterPaths({ dataDir: cluster.directory }))).client

  async function serve(): Promise<void> {
    plugin = spawn(rampart, ['kms', 'serve', '--socket', socket, '--key-file', keyFile, '--name', 'outside'], {
      stdio: 'ignore',
    })
    for (let i = 0; i < 200; i++) {
      const { code } = await run(rampart, ['kms', 'status', '--socket', socket])
      if (code === 0) return
      await sleep(50)
    }
    throw new Error('the plugin does not serve')
  }
  async function stop(signal: NodeJS.Signals): Promise<void> {
    const child = plugin
    plugin = undefined
    if (child === undefined || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
  const create = (name: string) =>
    client.create(secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: 'default' },
      stringData: { value: `value of ${name}` },
    })
  const read = async (name: string): Promise<string> => {
    const { data } = (await client.get(secrets, 'default', name)) as { data?: Record<string, string> }
    return Buffer.from(data!['value']!, 'base64').toString()
  }
  const status = async (): Promise<SecretsStatus> =>
    JSON.parse((await cluster.rampart(['secrets', 'status', '-o', 'json'])).stdout) as SecretsStatus

  test('Secrets are protected by its key, and no local key file is made', async () => {
    await create('first')
    assert.equal(await read('first'), 'value of first')
    const { usage } = await status()
    assert.deepEqual(
      usage.filter((u) => u.resource === 'secrets').map((u) => [u.provider, u.name, u.objects]),
      [['kms', 'outside', 1]],
    )
    assert.ok(!existsSync(join(cluster.directory, 'encryption', 'keys.json')))
  })

  test('while it is dead, what is in memory is read and written; after a restart without it, what needs it is refused', async () => {
    await stop('SIGKILL')
    assert.equal(await read('first'), 'value of first')
    await create('with-the-key-in-memory')
    await cluster.rampart(['down'])
    const up = await cluster.rampart([
      'up',
      '--port',
      '0',
      '--nodes',
      '0',
      '--encryption-provider-config',
      join(folder, 'encryption.yaml'),
    ])
    assert.equal(up.code, 0, up.stderr)
    client = await connect()
    await assert.rejects(read('first'), /outside/)
    await assert.rejects(create('impossible'), /nothing was written.*outside/)
    const { items } = await client.list({ ...secrets, resource: 'configmaps' })
    assert.ok(items.length > 0, 'what is not encrypted is served')
    const blind = await cluster.rampart(['secrets', 'rotate'])
    assert.equal(blind.code, 3, 'what is stale cannot be known')
    assert.match(blind.stderr, /outside.*nobody listens/)
    const hasty = await cluster.rampart(['secrets', 'discard', '/registry/core/secrets/default/first'])
    assert.equal(hasty.code, 3)
    assert.match(hasty.stderr, /may be readable when its key service is well again/)

    await serve()
    const deadline = Date.now() + 30_000
    while (Date.now() < deadline && (await read('first').catch(() => '')) === '') await sleep(100)
    assert.equal(await read('first'), 'value of first')
    assert.equal(await read('with-the-key-in-memory'), 'value of with-the-key-in-memory')
    while (
      Date.now() < deadline &&
      (await create('again').then(
        () => false,
        () => true,
      ))
    )
      await sleep(200)
    assert.equal(await read('again'), 'value of again')
    await assert.rejects(client.get(secrets, 'default', 'impossible'), { reason: 'NotFound' })
  })

  test('a key rotated there is taken over, and everything is rewritten with it', async () => {
    const rotated = await run(rampart, ['kms', 'rotate', '--key-file', keyFile])
    assert.equal(rotated.code, 0, rotated.stderr)
    const keyId = rotated.stdout.trim()
    const refused = await cluster.rampart(['secrets', 'rotate', '--kek'])
    assert.equal(refused.code, 3, 'the key is not ours to rotate')
    // At once, without waiting for the minute's question.
    const rewritten = await cluster.rampart(['secrets', 'rotate'])
    assert.equal(rewritten.code, 0, rewritten.stderr)
    const { usage } = await status()
    assert.deepEqual(
      usage.filter((u) => u.resource === 'secrets').map((u) => [u.keyId?.includes(keyId), u.stale]),
      [[true, 0]],
    )
    assert.equal(await read('first'), 'value of first')
  })
})
