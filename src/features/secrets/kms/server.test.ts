import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { status } from '@grpc/grpc-js'
import { connectKeyService } from './client.ts'
import { Connection } from './connection.ts'
import { decryptRequest, encryptRequest, encryptResponse, METHODS, statusResponse } from './messages.ts'
import { serveKeyService } from './server.ts'
import { SocketError } from './socket.ts'
import { folder, recordingLog, toyKeyService } from './testing.ts'

/** A socket file at which nobody listens, as a killed server leaves it. */
function leaveStale(path: string): void {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
  const { signal } = spawnSync(process.execPath, ['-e', script])
  assert.equal(signal, 'SIGKILL')
  assert.ok(lstatSync(path).isSocket())
}

describe('KMS socket', () => {
  it('is for its owner only, whatever the umask, and goes away on close', async (t) => {
    const socket = join(folder(t), 's')
    const before = process.umask(0)
    t.after(() => process.umask(before))
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    assert.equal(process.umask(), 0)
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    await Promise.all([server.close(), server.close()])
    assert.ok(!existsSync(socket))
  })

  it('replaces what a dead server left', async (t) => {
    const socket = join(folder(t), 's')
    leaveStale(socket)
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    assert.equal((await service.status()).keyId, 'key-1')
  })

  it('leaves a live server alone and names its socket', async (t) => {
    const socket = join(folder(t), 's')
    const log = recordingLog().log
    const server = await serveKeyService({ socket, service: toyKeyService(), log })
    t.after(() => server.close())
    await assert.rejects(serveKeyService({ socket, service: toyKeyService(), log }), (error: Error) => {
      assert.ok(error instanceof SocketError)
      assert.match(error.message, /in use, another server answers there/)
      assert.ok(error.message.includes(socket))
      return true
    })
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    assert.equal((await service.status()).keyId, 'key-1')
  })

  it('leaves a live server alone that is not ours and says nothing', async (t) => {
    const socket = join(folder(t), 's')
    const other = createServer((connection) => void connection.resume()).listen(socket)
    t.after(() => other.close())
    const start = serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    await assert.rejects(start, /in use/)
    assert.ok(lstatSync(socket).isSocket())
  })

  it('replaces nothing that is not a socket', async (t) => {
    const base = folder(t)
    const file = join(base, 'file')
    writeFileSync(file, 'precious')
    mkdirSync(join(base, 'folder'))
    symlinkSync(file, join(base, 'link'))
    symlinkSync(join(base, 'nowhere'), join(base, 'dangling'))
    for (const name of ['file', 'folder', 'link', 'dangling']) {
      const start = serveKeyService({ socket: join(base, name), service: toyKeyService(), log: recordingLog().log })
      await assert.rejects(start, (error: Error) => {
        assert.ok(error instanceof SocketError)
        assert.match(error.message, new RegExp(`/${name}: exists and is not a socket; it is left as it is$`))
        return true
      })
    }
    assert.equal(readFileSync(file, 'utf8'), 'precious')
    assert.ok(!existsSync(join(base, 'nowhere')))
  })

  it('of two servers that start at once at a stale socket one serves', async (t) => {
    const socket = join(folder(t), 's')
    leaveStale(socket)
    const log = recordingLog().log
    const start = (): ReturnType<typeof serveKeyService> => serveKeyService({ socket, service: toyKeyService(), log })
    const started = await Promise.allSettled([start(), start(), start()])
    const served = started.filter((result) => result.status === 'fulfilled')
    for (const { value } of served) t.after(() => value.close())
    assert.equal(served.length, 1)
    for (const result of started) if (result.status === 'rejected') assert.ok(result.reason instanceof SocketError)
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    assert.equal((await service.status()).keyId, 'key-1')
  })

  const impossible: [string, RegExp][] = [
    ['relative.sock', /not an absolute path/],
    ['/nowhere/at/all/kms.sock', /the folder \/nowhere\/at\/all does not exist/],
    [`/tmp/${'a'.repeat(120)}`, /longer than the 107 bytes/],
  ]
  for (const [socket, message] of impossible) {
    it(`cannot be ${socket.slice(0, 30)}`, async () => {
      await assert.rejects(serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log }), message)
    })
  }

  it('in a folder where others may put their own is worth a warning', async (t) => {
    const base = join(folder(t), 'open')
    mkdirSync(base)
    for (const [mode, warnings] of [
      [0o700, 0],
      [0o755, 0],
      [0o1777, 0],
      [0o775, 1],
      [0o777, 1],
    ] as const) {
      chmodSync(base, mode)
      const { log, lines } = recordingLog()
      const server = await serveKeyService({ socket: join(base, 's'), service: toyKeyService(), log })
      await server.close()
      assert.equal(lines.filter((line) => line.level === 'warn').length, warnings, mode.toString(8))
    }
  })
})

describe('KMS server', () => {
  it('refuses what is too long, malformed or unknown, and goes on', async (t) => {
    const socket = join(folder(t), 's')
    const { log, lines } = recordingLog()
    const toy = toyKeyService()
    const server = await serveKeyService({ socket, service: toy, log })
    t.after(() => server.close())
    const raw = new Connection(`unix:${socket}`)
    t.after(() => raw.retire())
    const call = (path: string, bytes: Buffer): Promise<Buffer> => raw.unary(path, bytes, Date.now() + 5_000)
    const codeOf = (answer: Promise<Buffer>): Promise<number> =>
      answer.then(
        () => status.OK,
        (error: { code: number }) => error.code,
      )
    const long = encryptRequest.encode({ plaintext: Buffer.alloc(100 * 1024), uid: 'u'.repeat(27 * 1024) })
    assert.ok(long.length < 128 * 1024)
    assert.equal(await codeOf(call(METHODS.encrypt, long)), status.OK)
    // The client would not send more than the server takes; here it does.
    assert.equal(await oversized(socket, 129 * 1024), String(status.RESOURCE_EXHAUSTED))
    assert.equal(await oversized(socket, 0xffffffff), String(status.RESOURCE_EXHAUSTED))
    const calls = toy.calls
    assert.equal(await codeOf(call(METHODS.decrypt, Buffer.from('ffffff', 'hex'))), status.INTERNAL)
    assert.equal(await codeOf(call('/v2.KeyManagementService/Rotate', Buffer.alloc(0))), status.UNIMPLEMENTED)
    assert.equal(await codeOf(call('/v1beta1.KeyManagementService/Version', Buffer.alloc(0))), status.UNIMPLEMENTED)
    const unknown = decryptRequest.encode({ ciphertext: Buffer.alloc(9), keyId: 'nope', uid: 'u', annotations: {} })
    assert.equal(await codeOf(call(METHODS.decrypt, unknown)), status.FAILED_PRECONDITION)
    assert.equal(toy.calls, calls + 1)
    assert.equal(statusResponse.decode(await call(METHODS.status, Buffer.alloc(0))).keyId, 'key-1')
    assert.ok(lines.every((line) => line.level === 'debug' || line.message === 'KMS Decrypt failed'))
  })

  it('logs who asked, and never what', async (t) => {
    const socket = join(folder(t), 's')
    const { log, lines } = recordingLog()
    const server = await serveKeyService({ socket, service: toyKeyService(), log })
    t.after(() => server.close())
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    const plaintext = Buffer.from('a-very-secret-seed-of-32-bytes!!')
    const encrypted = await service.encrypt(plaintext, 'request-17')
    await service.decrypt({ ...encrypted, uid: 'request-18\nforged line' })
    const text = JSON.stringify(lines)
    assert.match(text, /request-17/)
    assert.match(text, /request-18 forged line/)
    for (const form of ['latin1', 'base64', 'hex'] as const) assert.ok(!text.includes(plaintext.toString(form)))
  })

  it('keeps to itself what an unforeseen error says', async (t) => {
    const socket = join(folder(t), 's')
    const { log, lines } = recordingLog()
    const toy = toyKeyService()
    toy.encrypt = async () => {
      throw new TypeError('internal detail')
    }
    const server = await serveKeyService({ socket, service: toy, log })
    t.after(() => server.close())
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    await assert.rejects(service.encrypt(Buffer.alloc(32), 'u'), (error: Error) => {
      assert.match(error.message, /INTERNAL: Encrypt failed; see the plugin's log$/)
      return true
    })
    assert.ok(lines.some((line) => line.level === 'warn' && line.fields?.['error'] === 'internal detail'))
  })

  it('bears connections that speak something else or break off', async (t) => {
    const socket = join(folder(t), 's')
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    for (const text of [
      '',
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      preface,
      `${preface}\u00ff\u00ff\u00ff`,
      '\0'.repeat(9000),
    ]) {
      await new Promise<void>((resolve) => {
        const connection = connect(socket, () =>
          connection.write(Buffer.from(text, 'latin1'), () => connection.destroy()),
        )
        connection.on('error', () => {})
        connection.on('close', () => resolve())
      })
    }
    const service = connectKeyService({ name: 'x', endpoint: `unix://${socket}`, timeoutMs: 5_000 })
    t.after(() => service.close())
    assert.equal((await service.status()).keyId, 'key-1')
  })

  it('lets running calls end when it closes, and takes no new ones', async (t) => {
    const socket = join(folder(t), 's')
    const toy = toyKeyService()
    let release: () => void = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    let arrived: () => void = () => {}
    const waiting = new Promise<void>((resolve) => (arrived = resolve))
    const quick = toy.encrypt
    toy.encrypt = async (plaintext, uid) => {
      arrived()
      await held
      return quick(plaintext, uid)
    }
    const server = await serveKeyService({ socket, service: toy, log: recordingLog().log })
    const raw = new Connection(`unix:${socket}`)
    t.after(() => raw.retire())
    const request = encryptRequest.encode({ plaintext: Buffer.alloc(32), uid: 'u' })
    const call = raw.unary(METHODS.encrypt, request, Date.now() + 10_000)
    await waiting
    const closed = server.close()
    await assert.rejects(new Connection(`unix:${socket}`).unary(METHODS.status, Buffer.alloc(0), Date.now() + 5_000))
    release()
    assert.equal(encryptResponse.decode(await call).keyId, 'key-1')
    await closed
    assert.ok(!existsSync(socket))
  })

  it('waits for no call that hangs when it closes', async (t) => {
    const socket = join(folder(t), 's')
    const toy = toyKeyService()
    let arrived: () => void = () => {}
    const waiting = new Promise<void>((resolve) => (arrived = resolve))
    toy.status = () => {
      arrived()
      return new Promise(() => {})
    }
    const server = await serveKeyService({ socket, service: toy, log: recordingLog().log, graceMs: 50 })
    const raw = new Connection(`unix:${socket}`)
    t.after(() => raw.retire())
    const call = assert.rejects(raw.unary(METHODS.status, Buffer.alloc(0), Date.now() + 60_000))
    await waiting
    await server.close()
    await call
  })
})

/** Announces a message of so many bytes, sends few, and gives the grpc-status of the answer. */
function oversized(socket: string, announced: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) })
    session.on('error', reject)
    const stream = session.request({
      ':method': 'POST',
      ':path': METHODS.encrypt,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.on('error', reject)
    const found = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] === undefined) return
      resolve(String(headers['grpc-status']))
      session.destroy()
    }
    stream.on('response', found)
    stream.on('trailers', found)
    stream.resume()
    const head = Buffer.alloc(5 + 100)
    head.writeUInt32BE(announced, 1)
    stream.write(head)
  })
}
