import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import koffi from 'koffi'
import { ControlPlanePki } from '../../../features/tls/index.ts'
import { createListener } from './listener.ts'

/** Bytes that the C library's allocator has given out; undefined where it does not count them. */
function allocated(): (() => number) | undefined {
  const counters = [
    'arena',
    'ordblks',
    'smblks',
    'hblks',
    'hblkhd',
    'usmblks',
    'fsmblks',
    'uordblks',
    'fordblks',
    'top',
  ]
  try {
    const info = koffi.struct(Object.fromEntries(counters.map((name) => [name, 'size_t'])))
    const mallinfo = koffi.load('libc.so.6').func('mallinfo2', info, []) as () => { uordblks: number | bigint }
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    return () => {
      for (let i = 0; i < 3; i++) gc()
      return Number(mallinfo().uordblks)
    }
  } catch {
    return undefined
  }
}

const bytes = allocated()

test('connections with client certificates and chains leave nothing behind, and say who they are', {
  skip: bytes === undefined && 'the C library does not count its memory',
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rampart-peer-'))
  const pki = new ControlPlanePki({
    directory,
    clock: { now: Date.now },
    clusterName: 'test',
    apiServerNames: [],
    serviceAddress: '10.96.0.1',
  })
  const seen = new Set<string>()
  const { server } = createListener(pki.serverContext(), (req, res) => {
    const socket = req.socket as TLSSocket
    const certificate = socket.getPeerX509Certificate()
    seen.add(`${socket.authorized} ${certificate?.subject} ${certificate?.issuer.split('CN=')[1]}`)
    res.end()
  })
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const one = (credentials: { cert?: string; key?: string }): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.1', ca: pki.rootPem, servername: 'localhost', ...credentials })
        socket.on('error', reject).on('close', () => resolve())
        socket.resume()
        socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      })
    const admin = pki.leaf('admin')
    assert.equal(admin.cert.split('BEGIN CERTIFICATE').length, 3, 'its authority goes with it')
    const serving = pki.leaf('api-server')
    const many = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 10)
        await Promise.all([...Array.from({ length: 9 }, () => one(admin)), one(serving), one({})])
    }
    await many(200)
    const before = bytes!()
    const count = 400
    await many(count)
    const each = (bytes!() - before) / count
    assert.ok(each < 2000, `${Math.round(each)} bytes more for each connection`)
    assert.deepEqual([...seen].sort(), [
      'false CN=kube-apiserver test api-server CA',
      'false undefined undefined',
      'true O=system:masters\nCN=kubernetes-admin test client CA',
    ])
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(directory, { recursive: true })
  }
})
