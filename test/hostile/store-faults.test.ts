import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { testProgram } from '../setup/cluster.ts'
import { type Answer, type Credentials, request } from './wire.ts'

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'
const configMaps = { group: '', version: 'v1', resource: 'configmaps' }
const named = (name: string): KubeObject => ({
  kind: 'ConfigMap',
  apiVersion: 'v1',
  metadata: { name, namespace: 'default' },
})

const etcd = testProgram('etcd')
describe('the store is killed while serving', { skip: etcd === undefined && 'etcd is not there' }, () => {
  let server: TestServer
  let admin: Credentials
  /** The only place where etcd is found: without it there, it stays away. */
  let programs: string
  const oldPath = process.env['PATH']
  before(async () => {
    programs = mkdtempSync(join(tmpdir(), 'rampart-programs-'))
    symlinkSync(etcd!, join(programs, 'etcd'))
    process.env['PATH'] = programs
    server = await startTestServer({ settings: { store: 'etcd' } })
    admin = { cert: server.adminCert, key: server.adminKey }
  })
  after(async () => {
    await server.close()
    process.env['PATH'] = oldPath
    rmSync(programs, { recursive: true, force: true })
  })
  const create = (name: string): Promise<Answer> =>
    request(server, admin, { path: CONFIGMAPS, body: JSON.stringify(named(name)) })
  const etcdPid = (): number =>
    (JSON.parse(readFileSync(join(server.directory, 'etcd', 'etcd.json'), 'utf8')) as { pid: number }).pid

  test('writes and consistent reads say so, reads from memory go on, and all of it comes back', {
    timeout: 60_000,
  }, async () => {
    assert.equal((await create('before')).code, 201)
    const seen: string[] = []
    const stop = new AbortController()
    const { metadata } = await server.localClient.list(configMaps, { namespace: 'default' })
    const watching = (async () => {
      const events = server.localClient.watch(configMaps, {
        namespace: 'default',
        resourceVersion: metadata.resourceVersion,
        signal: stop.signal,
      })
      for await (const event of events) seen.push((event.object as KubeObject).metadata.name!)
    })()

    const pid = etcdPid()
    rmSync(join(programs, 'etcd'))
    process.kill(pid, 'SIGKILL')
    const refused = await Promise.all([create('during'), request(server, admin, { path: `${CONFIGMAPS}/before` })])
    for (const answer of refused) {
      assert.equal(answer.code, 503, answer.body)
      assert.match(answer.json().message!, /the store cannot be reached/)
      assert.equal(answer.json().details?.retryAfterSeconds, 1)
    }
    const fromMemory = await request(server, admin, { path: `${CONFIGMAPS}/before?resourceVersion=0` })
    assert.equal(fromMemory.code, 200, fromMemory.body)
    assert.equal((await request(server, admin, { path: '/livez' })).code, 200)

    symlinkSync(etcd!, join(programs, 'etcd'))
    let after = await create('after')
    for (let i = 0; i < 100 && after.code !== 201 && after.code !== 409; i++) {
      await sleep(200)
      after = await create('after')
    }
    assert.ok(after.code === 201 || after.code === 409, after.body)
    assert.notEqual(etcdPid(), pid)
    assert.equal((await request(server, admin, { path: `${CONFIGMAPS}/before` })).code, 200)
    for (let i = 0; i < 50 && !seen.includes('after'); i++) await sleep(100)
    assert.ok(seen.includes('after'), 'the watch that was open goes on')
    assert.equal((await request(server, admin, { path: '/readyz' })).code, 200)
    stop.abort()
    await watching
  })
})

describe('the clock jumps back a day', () => {
  let server: TestServer
  let offset = 0
  before(async () => {
    server = await startTestServer({ clock: { now: () => Date.now() + offset } })
  })
  after(() => server.close())

  test('revisions, watches, continue tokens, updates and deletes go on', async () => {
    const { localClient: client } = server
    for (const name of ['a', 'b', 'c']) await client.create(configMaps, named(name))
    const page = await client.list(configMaps, { namespace: 'default', limit: 1 })
    const stop = new AbortController()
    const seen: [string, string][] = []
    const watching = (async () => {
      const events = client.watch(configMaps, {
        namespace: 'default',
        resourceVersion: page.metadata.resourceVersion,
        signal: stop.signal,
      })
      for await (const event of events) {
        const { name = '', resourceVersion = '' } = (event.object as KubeObject).metadata
        seen.push([name, resourceVersion])
      }
    })()
    const before = await client.get(configMaps, 'default', 'a')
    // Less than certificates are backdated would be unkind to callers over the network: theirs fail until it is right.
    offset = -86_400_000
    const later = await client.create(configMaps, named('later'))
    assert.ok(Number(later.metadata.resourceVersion) > Number(before.metadata.resourceVersion))
    assert.ok(Date.parse(later.metadata.creationTimestamp!) < Date.parse(before.metadata.creationTimestamp!))
    const rest = await client.list(configMaps, { namespace: 'default', continue: page.metadata.continue! })
    assert.deepEqual(
      [page.items[0]!, ...rest.items].map((o) => o.metadata.name).filter((n) => n !== 'kube-root-ca.crt'),
      ['a', 'b', 'c'],
    )
    await client.update(configMaps, { ...before, data: { k: 'v' } })
    await client.delete(configMaps, 'default', 'b')
    for (let i = 0; i < 50 && seen.length < 3; i++) await sleep(20)
    stop.abort()
    await watching
    assert.deepEqual(
      seen.map(([name]) => name),
      ['later', 'a', 'b'],
    )
    const revisions = seen.map(([, revision]) => Number(revision))
    assert.deepEqual(
      revisions,
      revisions.toSorted((x, y) => x - y),
    )
  })
  test('a caller whose certificate is not valid yet by that clock is refused, and served again when it is right', async () => {
    const admin = { cert: server.adminCert, key: server.adminKey }
    const ask = async (): Promise<number> => (await request(server, admin, { path: '/version' })).code
    offset = -86_400_000
    assert.equal(await ask(), 401)
    // Five minutes of difference between machines are allowed for.
    offset = -240_000
    assert.equal(await ask(), 200)
    offset = 0
    assert.equal(await ask(), 200)
  })
  test('nothing failed inside', () => {
    assert.deepEqual(
      server.log.filter((line) => line.level === 'error'),
      [],
    )
  })
})
