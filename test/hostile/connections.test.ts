import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { KubeObject } from '../../src/kernel/api/object.ts'
import { startTestServer } from '../../src/kernel/apiserver/testing.ts'
import { startCluster, type TestCluster } from '../setup/cluster.ts'
import { type Credentials, open, type Peer, readAll, request } from './wire.ts'

const MEBIBYTE = 1024 * 1024
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps'

/** The server is a process of its own here, so that its memory can be told from the clients'. */
describe('many and stubborn clients', () => {
  let cluster: TestCluster
  let peer: Peer
  let admin: Credentials
  let pid: number
  const sockets: (Socket | TLSSocket)[] = []
  before(async () => {
    cluster = await startCluster(['--nodes', '0'])
    pid = await cluster.pid()
    const pem = (file: string): string => readFileSync(join(cluster.directory, 'pki', file), 'utf8')
    peer = { port: Number(new URL(cluster.url).port), ca: pem('ca.crt') }
    admin = { cert: pem('admin.crt'), key: pem('admin.key') }
  })
  after(async () => {
    for (const socket of sockets) socket.destroy()
    await cluster.stop()
  })

  const residentMebibytes = (): number =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
  /** Of the server's process: what it has given up is not among them, whether or not the client has noticed. */
  const openSockets = (): number => {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).filter((fd) => {
      try {
        return readlinkSync(join(folder, fd)).startsWith('socket:')
      } catch {
        return false // closed meanwhile
      }
    }).length
  }
  const answers = async (): Promise<void> =>
    assert.equal((await request(peer, admin, { path: '/api/v1/namespaces' })).code, 200)

  test('5,000 idle connections: 2,000 behind a handshake, 3,000 without one', { timeout: 90_000 }, async () => {
    const before = residentMebibytes()
    let session: Buffer | undefined
    const handshake = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = connectTls(
          { host: '127.0.0.1', port: peer.port, ca: peer.ca, servername: 'localhost', ...(session ? { session } : {}) },
          resolve,
        )
        socket.once('session', (ticket: Buffer) => (session ??= ticket))
        socket.once('error', reject)
        sockets.push(socket)
      })
    const tcp = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = connectTcp(peer.port, '127.0.0.1', resolve)
        socket.once('error', reject)
        sockets.push(socket)
      })
    for (let i = 0; i < 3000; i += 500) await Promise.all(Array.from({ length: 500 }, tcp))
    for (let i = 0; i < 2000; i += 100) await Promise.all(Array.from({ length: 100 }, handshake))
    await answers()
    const grown = residentMebibytes() - before
    assert.ok(grown < 400, `${grown} MiB more for 5,000 connections`)
    for (const socket of sockets) socket.on('error', () => undefined)
    await answers()
    // Nothing was asked on them within the limits: the server closes them all, though nobody here reads what it says.
    for (let i = 0; i < 200 && openSockets() > 100; i++) await sleep(200)
    assert.ok(openSockets() < 100, `${openSockets()} sockets are still open`)
    await answers()
    // And what they cost goes back to the system.
    for (let i = 0; i < 100 && residentMebibytes() - before > 120; i++) await sleep(200)
    assert.ok(residentMebibytes() - before < 120, `${residentMebibytes() - before} MiB more, though all are gone`)
    for (const socket of sockets.splice(0)) socket.destroy()
  })

  test('a watcher that does not read is cut off, and costs no more than its backlog', { timeout: 60_000 }, async () => {
    const stubborn = await open(peer, admin)
    sockets.push(stubborn)
    stubborn.pause()
    stubborn.write(`GET ${CONFIGMAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n`)
    const attentive = await open(peer, admin)
    sockets.push(attentive)
    let received = 0
    attentive.on('data', (chunk: Buffer) => (received += chunk.length))
    attentive.write(`GET ${CONFIGMAPS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n`)
    await sleep(200)
    const value = 'x'.repeat(500_000)
    const write = (i: number): ReturnType<typeof request> =>
      request(peer, admin, {
        path: CONFIGMAPS,
        body: JSON.stringify({ metadata: { name: `big-${i}` }, data: { value } }),
      })
    await write(0)
    const before = residentMebibytes()
    const objects = 80
    for (let i = 1; i <= objects; i++) assert.equal((await write(i)).code, 201)
    const sent = objects * value.length
    for (let i = 0; i < 50 && received < sent; i++) await sleep(100)
    assert.ok(received >= sent, 'who reads gets everything')
    // What it can still read is less than what was sent: the rest was never kept for it.
    const rest = readAll(stubborn)
    stubborn.resume()
    const got = (await rest).length
    assert.ok(got < sent, `${got} of ${sent} bytes`)
    // Every object is in memory once as bytes; heap that is not collected yet comes on top.
    const grown = residentMebibytes() - before
    assert.ok(grown < 300, `${grown} MiB more for ${sent / MEBIBYTE} MiB of objects`)
    await answers()
  })

  test('a client that asks and asks and reads nothing is held back', { timeout: 60_000 }, async () => {
    const before = residentMebibytes()
    const greedy = await open(peer, admin)
    sockets.push(greedy)
    greedy.pause()
    // 200 lists of 40 MB, in one connection.
    for (let i = 0; i < 200; i++) greedy.write(`GET ${CONFIGMAPS} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await sleep(2000)
    await answers()
    const grown = residentMebibytes() - before
    assert.ok(grown < 300, `${grown} MiB more`)
    greedy.destroy()
  })
})

describe('10,000 watches', () => {
  // HTTP/1.1 has one watch a connection: 9,500 are opened in the server's process, 500 over sockets.
  const LOCAL = 9500
  const REMOTE = 500
  test('each sees a write once', { timeout: 90_000 }, async () => {
    const server = await startTestServer()
    const stop = new AbortController()
    try {
      const configMaps = { group: '', version: 'v1', resource: 'configmaps' }
      const { metadata } = await server.localClient.list(configMaps, { namespace: 'default' })
      const resourceVersion = metadata.resourceVersion
      const counts = new Uint32Array(LOCAL)
      const local = Array.from({ length: LOCAL }, async (_, i) => {
        const events = server.localClient.watch(configMaps, {
          namespace: 'default',
          fieldSelector: 'metadata.name=all',
          resourceVersion,
          signal: stop.signal,
        })
        for await (const event of events) if (event.type === 'ADDED') counts[i]!++
      })
      const admin = { cert: server.adminCert, key: server.adminKey }
      const texts: string[] = Array(REMOTE).fill('')
      const sockets: TLSSocket[] = []
      for (let i = 0; i < REMOTE; i += 50)
        await Promise.all(
          Array.from({ length: 50 }, async (_, j) => {
            const socket = await open(server, admin)
            sockets.push(socket)
            socket.setEncoding('utf8').on('data', (text: string) => (texts[i + j] += text))
            socket.write(
              `GET ${CONFIGMAPS}?watch=1&fieldSelector=metadata.name%3Dall&resourceVersion=${resourceVersion} HTTP/1.1\r\nHost: x\r\n\r\n`,
            )
          }),
        )
      for (let i = 0; i < 200 && texts.some((t) => !t.includes('200 OK')); i++) await sleep(50)
      const object: KubeObject = {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: { name: 'all', namespace: 'default' },
      }
      await server.localClient.create(configMaps, object)
      const done = (): boolean => counts.every((n) => n === 1) && texts.every((t) => t.includes('"ADDED"'))
      for (let i = 0; i < 200 && !done(); i++) await sleep(50)
      assert.equal(counts.filter((n) => n === 1).length, LOCAL)
      assert.equal(texts.filter((t) => t.split('"ADDED"').length === 2).length, REMOTE)
      stop.abort()
      await Promise.all(local)
      for (const socket of sockets) socket.destroy()
    } finally {
      stop.abort()
      await server.close()
    }
  })
})
