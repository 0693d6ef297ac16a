import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { ControlPlanePki } from '../../src/features/tls/index.ts'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { type ApiServer, LOOPBACK_USER, startApiServer } from '../../src/kernel/apiserver/server.ts'
import { builtinKinds } from '../../src/kernel/resources/kinds/index.ts'
import { openLmdbStore } from '../../src/kernel/store/lmdb.ts'
import type { Store } from '../../src/kernel/store/store.ts'
import { request } from './wire.ts'

const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' }
const STALLED_MS = 3000

describe('watchers against the clock', () => {
  const directory = mkdtempSync(join(tmpdir(), 'rampart-stalled-'))
  let store: Store
  let api: ApiServer
  let ca: string
  before(async () => {
    const pki = new ControlPlanePki({
      directory: join(directory, 'pki'),
      clock: { now: Date.now },
      clusterName: 'test',
      apiServerNames: [],
      serviceAddress: '10.96.0.1',
    })
    ca = pki.rootPem
    store = await openLmdbStore({ directory: join(directory, 'store') })
    api = await startApiServer({
      store,
      definitions: builtinKinds,
      access: async () => ({
        authenticate: () => ({ verdict: 'allow', by: 'test', user: LOOPBACK_USER }),
        authorizers: [
          { name: 'all', authorize: () => ({ verdict: 'allow', by: { authorizer: 'all', rule: '', reason: '' } }) },
        ],
        admission: [],
        virtual: () => new Map(),
        documents: new Map(),
      }),
      auditor: { levelFor: () => ({ level: 'None', omitStages: new Set() }), record: () => {}, close: async () => {} },
      clock: { now: Date.now },
      log: () => undefined,
      version: { major: '1', minor: '32', gitVersion: 'v1.32.0' } as never,
      host: '127.0.0.1',
      port: 0,
      tls: pki.serverContext(),
      stalledMs: STALLED_MS,
    })
  })
  after(async () => {
    await api.close(0)
    await store.close()
    rmSync(directory, { recursive: true })
  })

  const watch = async (): Promise<TLSSocket> => {
    const socket = connect({ port: api.port, host: '127.0.0.1', ca, servername: 'localhost' })
    socket.on('error', () => undefined)
    await once(socket, 'secureConnect')
    socket.write('GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n')
    return socket
  }
  const write = (name: string, bytes: number): Promise<KubeObject> =>
    api.client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
      data: { value: 'x'.repeat(bytes) },
    })
  const watches = async (): Promise<number> => {
    const { body } = await request({ port: api.port, ca }, {}, { path: '/metrics' })
    return Number(/^apiserver_longrunning_requests\{[^}]*verb="WATCH"[^}]*\} (\d+)$/m.exec(body)?.[1])
  }

  test('one that takes nothing is cut off after a while, one with nothing to take is not', async () => {
    const reader = await watch()
    let text = ''
    let received = 0
    reader.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-4000)
      received += chunk.length
    })
    const stubborn = await watch()
    stubborn.pause()
    for (let i = 0; i < 50 && !text.includes('200 OK'); i++) await sleep(20)
    // More than the kernel's buffers take, less than the backlog that cuts it off at once.
    for (let i = 0; i < 7; i++) await write(`big-${i}`, 1_000_000)
    for (let i = 0; i < 100 && received < 7_000_000; i++) await sleep(20)
    assert.equal(await watches(), 2, 'the backlog alone does not end it')
    for (let i = 0; i < 100 && (await watches()) > 1; i++) await sleep(100)
    assert.equal(await watches(), 1)
    // Twice the time without an event later the other one still sees what happens.
    await sleep(2 * STALLED_MS)
    await write('small', 1)
    for (let i = 0; i < 100 && !text.includes('"small"'); i++) await sleep(20)
    assert.match(text, /"small"/)
    reader.destroy()
    stubborn.destroy()
  })
})
