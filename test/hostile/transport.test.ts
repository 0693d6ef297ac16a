import assert from 'node:assert/strict'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { startTestServer, type TestServer } from '../../src/kernel/apiserver/testing.ts'
import { type Credentials, open, parseAnswer, readAll, request } from './wire.ts'

let server: TestServer
let admin: Credentials
before(async () => {
  server = await startTestServer()
  admin = { cert: server.adminCert, key: server.adminKey }
})
after(() => server.close())

const plain = (bytes: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connectTcp(server.port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
    socket.write(bytes)
  })

describe('what is not TLS 1.2 or later', () => {
  for (const [version, code] of [
    ['TLSv1', /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/],
    ['TLSv1.1', /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/],
  ] as const)
    test(version, async () => {
      // OpenSSL's own client refuses these versions at its default level: level 0 lets it ask.
      const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' } as const
      await assert.rejects(open(server, admin, old), (error: NodeJS.ErrnoException) => code.test(error.code ?? ''))
    })
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    test(`${version} is spoken`, async () => {
      const socket = await open(server, admin, { minVersion: version, maxVersion: version })
      assert.equal(socket.getProtocol(), version)
      socket.destroy()
    })
  test('plain HTTP is told so, and gets nothing else', async () => {
    const text = await plain('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(text, /^HTTP\/1\.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server\.\n$/)
  })
  test('garbage is closed without an answer in clear', async () => {
    assert.doesNotMatch(await plain('\x05\x01\x00 not TLS at all\r\n\r\n'), /HTTP/)
  })
  test('HTTP/2 alone is not agreed to', async () => {
    await assert.rejects(open(server, admin, { ALPNProtocols: ['h2'] }))
  })
})

/** Seconds until the server closes, and what it said. Drips `drip` once a second. */
async function held(socket: Socket | TLSSocket, drip?: string): Promise<string> {
  const timer = setInterval(() => {
    if (drip !== undefined && socket.writable) socket.write(drip)
  }, 500)
  socket.on('error', () => undefined)
  const answer = await readAll(socket as TLSSocket)
  clearInterval(timer)
  return answer.toString('latin1')
}

describe('slow peers, all at once', { concurrency: true }, () => {
  // The limits are 10 s for a handshake and for headers, 30 s for a body; a test run that hangs fails at its time-out.
  const limit = { timeout: 45_000 }
  test('a handshake that does not begin', limit, async () => {
    assert.equal(await held(connectTcp(server.port, '127.0.0.1')), '')
  })
  test('no request after the handshake', limit, async () => {
    assert.match(await held(await open(server)), /^HTTP\/1\.1 408 |^$/)
  })
  test('headers that drip', limit, async () => {
    const socket = await open(server, admin)
    socket.write('GET /api/v1/namespaces HTTP/1.1\r\nHost: x\r\n')
    assert.match(await held(socket, 'X-A: a\r\n'), /^HTTP\/1\.1 408 /)
  })
  test('a declared body that drips', limit, async () => {
    const socket = await open(server, admin)
    socket.write('POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{')
    const answer = parseAnswer(Buffer.from(await held(socket, ' '), 'latin1'))
    assert.equal(answer.code, 408)
    assert.match(answer.json().message!, /did not arrive in time/)
  })
  test('a chunked body that drips', limit, async () => {
    const socket = await open(server, admin)
    socket.write('POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    assert.equal(parseAnswer(Buffer.from(await held(socket, '1\r\n \r\n'), 'latin1')).code, 408)
  })
  test('others are served all the while', limit, async () => {
    for (let i = 0; i < 20; i++) {
      assert.equal((await request(server, admin, { path: '/api/v1/namespaces' })).code, 200)
      await sleep(500)
    }
  })
})
