import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Run, rampart, run } from '../setup/cluster.ts'
import { type Answer, request } from './wire.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const root = process.getuid?.() === 0

describe('a disk that is full when the control plane starts', {
  skip: !root && 'mounting a small disk needs root',
}, () => {
  let disk: string
  let scope: string[]
  before(() => {
    disk = mkdtempSync(join(tmpdir(), 'rampart-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'rampart-full', disk])
    scope = ['--data-dir', join(disk, 'data')]
  })
  after(async () => {
    await run(rampart, ['down', ...scope])
    execFileSync('umount', [disk])
    rmdirSync(disk)
  })
  const up = (): Promise<Run> => run(rampart, ['up', '--nodes', '0', '--port', '0', ...scope])
  const status = async (): Promise<{ server: string; pid: number }> =>
    JSON.parse((await run(rampart, ['status', '-o', 'json', ...scope])).stdout)
  const ask = async (o: { method?: string; path: string; body?: object }): Promise<Answer> => {
    const pem = (file: string): string => readFileSync(join(disk, 'data/pki', file), 'utf8')
    return request(
      { port: Number(new URL((await status()).server).port), ca: pem('ca.crt') },
      { cert: pem('admin.crt'), key: pem('admin.key') },
      { ...o, ...(o.body === undefined ? {} : { body: JSON.stringify(o.body) }) } as Parameters<typeof request>[2],
    )
  }
  let fillers = 0
  const fill = (): void => {
    const fd = openSync(join(disk, `filler-${fillers++}`), 'w')
    try {
      for (;;) writeSync(fd, Buffer.alloc(4096))
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    } finally {
      closeSync(fd)
    }
  }
  const configMap = (name: string, bytes: number): object => ({
    metadata: { name },
    data: { value: 'x'.repeat(bytes) },
  })
  const killed = async (): Promise<void> => {
    const { pid } = await status()
    process.kill(pid, 'SIGKILL')
    await sleep(200)
  }
  const stopped = async (): Promise<void> => assert.equal((await run(rampart, ['down', ...scope])).code, 0)

  test('it starts again and again, serves reads, deletes, says why writes fail, and recovers', {
    timeout: 120_000,
  }, async () => {
    assert.equal((await up()).code, 0)
    for (const name of ['a', 'b', 'c']) {
      assert.equal((await ask({ path: CONFIGMAPS, body: configMap(name, 20_000) })).code, 201)
    }
    for (const [name, end] of [
      ['a', killed],
      ['b', stopped],
      ['c', killed],
    ] as const) {
      fill()
      await end()
      fill()
      const { code, stderr } = await up()
      assert.equal(code, 0, stderr)
      assert.equal((await ask({ path: '/readyz' })).code, 200)
      assert.equal((await ask({ path: `${CONFIGMAPS}/${name}` })).code, 200)
      assert.equal((await ask({ method: 'DELETE', path: `${CONFIGMAPS}/${name}` })).code, 200)
      const refused = await ask({ path: CONFIGMAPS, body: configMap('big', 500_000) })
      assert.equal(refused.code, 507, refused.body)
      assert.match(refused.json().message!, /the store has no space left/)
    }
    for (let i = 0; i < fillers; i++) rmSync(join(disk, `filler-${i}`))
    let again = await ask({ path: CONFIGMAPS, body: configMap('big', 500_000) })
    for (let i = 0; i < 50 && again.code !== 201; i++) {
      await sleep(200)
      again = await ask({ path: CONFIGMAPS, body: configMap('big', 500_000) })
    }
    assert.equal(again.code, 201, again.body)
  })
})
