import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { loadKubeconfig } from '../../src/kernel/client/kubeconfig.ts'
import { createRemoteClient, type RemoteClient } from '../../src/kernel/client/remote.ts'
import { processStartTime } from '../../src/platform/process.ts'
import { rampart, run } from '../setup/cluster.ts'

const configMaps = { group: '', version: 'v1', resource: 'configmaps' }

let directory: string
let scope: string[]
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'rampart-restart-'))
  scope = ['--data-dir', join(directory, 'data')]
})
after(async () => {
  await run(rampart, ['down', ...scope])
  rmSync(directory, { recursive: true, force: true })
})

const up = (): ReturnType<typeof run> =>
  run(rampart, ['up', ...scope, '--port', '0', '--nodes', '0'], { timeoutMs: 60_000 })
const pidNow = (): number =>
  (JSON.parse(readFileSync(join(directory, 'data', 'control-plane.json'), 'utf8')) as { pid: number }).pid
const connect = async (): Promise<RemoteClient> =>
  createRemoteClient({
    ...(await loadKubeconfig(join(directory, 'data', 'kubeconfig'))),
    userAgent: 'restart',
  })

describe('one data folder', () => {
  test('of two `up` at once one starts, and the other refuses and names it', async () => {
    const results = await Promise.all([up(), up()])
    const pid = pidNow()
    const [started, refused] = results.toSorted((a, b) => a.code - b.code)
    assert.equal(started!.code, 0, started!.stderr)
    assert.notEqual(refused!.code, 0, refused!.stdout)
    assert.match(refused!.stderr, new RegExp(`\\b${pid}\\b`))
    assert.ok(processStartTime(pid) !== undefined)
  })
  test('`up` again finds it running', async () => {
    const pid = pidNow()
    const again = await up()
    assert.equal(again.code, 0, again.stderr)
    assert.equal(pidNow(), pid)
  })
})

describe('kill -9 of the control plane under write load', () => {
  for (const round of [1, 2])
    test(`round ${round}: \`up\` continues with everything that was acknowledged`, { timeout: 60_000 }, async () => {
      const client = await connect()
      const acknowledged = new Map<string, string>()
      const deleted = new Set<string>()
      let stopped = false
      const write = async (writer: number): Promise<void> => {
        for (let i = 0; !stopped; i++) {
          const name = `r${round}-w${writer}-${i}`
          try {
            const object: KubeObject = {
              kind: 'ConfigMap',
              apiVersion: 'v1',
              metadata: { name, namespace: 'default' },
              data: { i: String(i) },
            }
            const made = await client.create(configMaps, object)
            acknowledged.set(name, made.metadata.resourceVersion!)
            if (i % 5 !== 4) continue
            const victim = `r${round}-w${writer}-${i - 1}`
            acknowledged.delete(victim) // From here on both outcomes are right until the answer is there.
            await client.delete(configMaps, 'default', victim)
            deleted.add(victim)
          } catch {
            return // The server is gone: nothing was promised for this one.
          }
        }
      }
      const writers = Array.from({ length: 16 }, (_, i) => write(i))
      for (let i = 0; i < 200 && acknowledged.size < 300; i++) await sleep(20)
      assert.ok(acknowledged.size >= 300, `only ${acknowledged.size} writes`)
      const pid = pidNow()
      process.kill(pid, 'SIGKILL')
      await Promise.all(writers)
      stopped = true
      client.close()

      const again = await up()
      assert.equal(again.code, 0, again.stderr)
      assert.notEqual(pidNow(), pid)
      const reconnected = await connect()
      const { items, metadata } = await reconnected.list(configMaps, { namespace: 'default' })
      const found = new Map(items.map((o) => [o.metadata.name!, o.metadata.resourceVersion!]))
      for (const [name, revision] of acknowledged) assert.equal(found.get(name), revision, name)
      for (const name of deleted) assert.equal(found.has(name), false, `${name} was deleted`)
      const newest = Math.max(...[...acknowledged.values()].map(Number))
      assert.ok(Number(metadata.resourceVersion) >= newest, 'revisions do not go back')
      reconnected.close()
    })
  test('`down` after it leaves no process', async () => {
    const pid = pidNow()
    assert.equal((await run(rampart, ['down', ...scope])).code, 0)
    assert.equal(processStartTime(pid), undefined)
    assert.equal(existsSync(join(directory, 'data', 'control-plane.json')), false)
  })
})
