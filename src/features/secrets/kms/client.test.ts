import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { status } from '@grpc/grpc-js'
import { EncryptionConfigurationError, EncryptionError, type KeyService } from '../encryption/types.ts'
import { connectKeyService, KeyServiceError, type KeyServiceFailure } from './client.ts'
import { decryptResponse, type EncryptResponse, encryptResponse, METHODS, statusResponse } from './messages.ts'
import { serveKeyService } from './server.ts'
import { folder, type RawAnswer, recordingLog, serveRaw, toyKeyService } from './testing.ts'

const seed = Buffer.from('0123456789abcdef0123456789abcdef')
const sealed = { ciphertext: Buffer.from('c'), keyId: 'key-1', annotations: {} }

function client(t: TestContext, socket: string, timeoutMs = 5_000): KeyService {
  const service = connectKeyService({ name: 'vault', endpoint: `unix://${socket}`, timeoutMs })
  t.after(() => service.close())
  return service
}

async function raw(t: TestContext, methods: Record<string, (request: Buffer) => RawAnswer>): Promise<string> {
  const socket = join(folder(t), 's')
  const server = await serveRaw(socket, methods)
  t.after(() => server.close())
  return socket
}

/** The call fails so, and its message names plugin and socket, and shows no plaintext. */
async function fails(
  call: Promise<unknown>,
  failure: KeyServiceFailure,
  message: RegExp,
  socket?: string,
): Promise<void> {
  await assert.rejects(call, (error: KeyServiceError) => {
    assert.ok(error instanceof KeyServiceError && error instanceof EncryptionError, String(error))
    assert.match(error.message, message)
    assert.equal(error.failure, failure)
    assert.match(error.message, /^KMS plugin "vault" at unix:\/\/\//)
    if (socket !== undefined) assert.ok(error.message.includes(socket))
    for (const form of ['latin1', 'base64', 'hex'] as const) assert.ok(!error.message.includes(seed.toString(form)))
    return true
  })
}

describe('KMS client and server', () => {
  it('carries status, encrypt and decrypt', async (t) => {
    const socket = join(folder(t), 's')
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    const service = client(t, socket)
    assert.equal(service.name, 'vault')
    assert.deepEqual(await service.status(), { version: 'v2', healthz: 'ok', keyId: 'key-1' })
    const encrypted = await service.encrypt(seed, 'uid-1')
    assert.equal(encrypted.keyId, 'key-1')
    assert.deepEqual(Buffer.from(encrypted.ciphertext), Buffer.from(seed.map((byte) => byte ^ 0xff)))
    assert.deepEqual(Object.keys(encrypted.annotations).sort(), ['a.example.org', 'b.example.org'])
    assert.deepEqual([...encrypted.annotations['a.example.org']!], [0, 255])
    assert.deepEqual(Buffer.from(await service.decrypt({ ...encrypted, uid: 'uid-2' })), seed)
  })

  it('sees the key id change, and the health', async (t) => {
    const socket = join(folder(t), 's')
    const toy = toyKeyService()
    const server = await serveKeyService({ socket, service: toy, log: recordingLog().log })
    t.after(() => server.close())
    const service = client(t, socket)
    const old = await service.encrypt(seed, 'u')
    toy.keyId = 'key-2'
    toy.healthz = 'disk\nis full'
    assert.deepEqual(await service.status(), { version: 'v2', healthz: 'disk is full', keyId: 'key-2' })
    assert.equal((await service.encrypt(seed, 'u')).keyId, 'key-2')
    await fails(service.decrypt({ ...old, uid: 'u' }), 'refused', /Decrypt: .*key key-1 is not known/)
  })

  it('carries many calls at once', async (t) => {
    const socket = join(folder(t), 's')
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    const services = [client(t, socket), client(t, socket), client(t, socket)]
    const work = Array.from({ length: 600 }, async (_, i) => {
      const service = services[i % services.length]!
      const plaintext = Buffer.from(`seed ${i}`.padEnd(32))
      const encrypted = await service.encrypt(plaintext, `uid-${i}`)
      assert.deepEqual(Buffer.from(await service.decrypt({ ...encrypted, uid: `uid-${i}` })), plaintext)
    })
    await Promise.all(work)
  })

  it('comes back after the plugin was away', async (t) => {
    const socket = join(folder(t), 's')
    const { log, lines } = recordingLog()
    const first = await serveKeyService({ socket, service: toyKeyService(), log })
    const service = connectKeyService({ name: 'vault', endpoint: `unix://${socket}`, timeoutMs: 5_000, log })
    t.after(() => service.close())
    await service.status()
    await first.close()
    await fails(service.status(), 'unreachable', /Status: there is no such socket$/, socket)
    await fails(service.encrypt(seed, 'u'), 'unreachable', /Encrypt: there is no such socket$/)
    const second = await serveKeyService({ socket, service: toyKeyService(), log })
    t.after(() => second.close())
    assert.equal((await service.status()).keyId, 'key-1')
    const said = lines.filter((line) => /answers? again|does not answer/.test(line.message)).map((line) => line.level)
    assert.deepEqual(said, ['warn', 'info'])
  })

  it('repeats a call whose plugin died in the middle and came back', async (t) => {
    const socket = join(folder(t), 's')
    let died: () => void = () => {}
    const dying = new Promise<void>((resolve) => (died = resolve))
    const server = await serveRaw(socket, {
      [METHODS.encrypt]: () => {
        died()
        return 'never'
      },
    })
    const call = client(t, socket).encrypt(seed, 'u')
    await dying
    server.close()
    const next = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => next.close())
    assert.equal((await call).keyId, 'key-1')
  })

  it('reports a plugin that died in the middle and stays away', async (t) => {
    const socket = join(folder(t), 's')
    let server: { close: () => void } | undefined
    server = await serveRaw(socket, {
      [METHODS.encrypt]: () => {
        server?.close()
        return 'never'
      },
    })
    await fails(client(t, socket).encrypt(seed, 'u'), 'unreachable', /Encrypt: /, socket)
  })

  it('refuses calls after close', async (t) => {
    const socket = join(folder(t), 's')
    const service = client(t, socket)
    service.close()
    await fails(service.status(), 'unreachable', /closed/)
  })
})

describe('KMS client against a plugin that', () => {
  it('hangs: gives up at the deadline, then gets past it', async (t) => {
    let hang = true
    const socket = await raw(t, {
      [METHODS.status]: () =>
        hang ? 'never' : statusResponse.encode({ version: 'v2beta1', healthz: 'ok', keyId: 'key-9' }),
    })
    const service = client(t, socket, 200)
    await fails(service.status(), 'timeout', /Status: no answer within 200 ms$/, socket)
    hang = false
    const patient = client(t, socket)
    assert.deepEqual(await patient.status(), { version: 'v2beta1', healthz: 'ok', keyId: 'key-9' })
  })

  it('accepts connections and says nothing', async (t) => {
    const socket = join(folder(t), 's')
    const server = createServer(() => {}).listen(socket)
    t.after(() => server.close())
    let open = 0
    let emptied: () => void = () => {}
    const empty = new Promise<void>((resolve) => (emptied = resolve))
    server.on('connection', (connection) => {
      open++
      connection.resume().on('close', () => --open === 0 && emptied())
    })
    const service = client(t, socket, 100)
    await fails(service.status(), 'timeout', /no answer within 100 ms/, socket)
    await fails(service.status(), 'timeout', /no answer within 100 ms/, socket)
    await empty
  })

  it('is an HTTP/1 server', async (t) => {
    const socket = join(folder(t), 's')
    const server = createHttpServer((_request, response) => response.end('hello')).listen(socket)
    t.after(() => server.close())
    await fails(client(t, socket).status(), 'unreachable', /Status: it does not speak gRPC$/, socket)
  })

  it('speaks garbage', async (t) => {
    const socket = join(folder(t), 's')
    const server = createServer((connection) => {
      connection.on('error', () => {})
      connection.end('\u0000\u0001\u0002 this is not HTTP/2 at all, and it goes on for a while')
    }).listen(socket)
    t.after(() => server.close())
    await fails(client(t, socket).status(), 'unreachable', /Status: it does not speak gRPC$/, socket)
  })

  it('knows only KMS v1', async (t) => {
    const socket = await raw(t, { '/v1beta1.KeyManagementService/Version': () => Buffer.alloc(0) })
    await fails(client(t, socket).status(), 'protocol', /Status: it does not know this method: .* v1 /, socket)
    await fails(client(t, socket).encrypt(seed, 'u'), 'protocol', /Encrypt: it does not know this method/)
  })

  it('answers with a megabyte', async (t) => {
    const socket = await raw(t, {
      [METHODS.encrypt]: () => encryptResponse.encode({ ...sealed, ciphertext: Buffer.alloc(1 << 20, 1) }),
    })
    await fails(client(t, socket).encrypt(seed, 'u'), 'protocol', /more than 131072 bytes/, socket)
  })

  it('answers with what is not protobuf', async (t) => {
    const garbage = Buffer.from('ffffffffffffffffffffffff', 'hex')
    const socket = await raw(t, {
      [METHODS.status]: () => garbage,
      [METHODS.encrypt]: () => Buffer.from('0a05', 'hex'),
      [METHODS.decrypt]: () => Buffer.from('0801', 'hex'),
    })
    await fails(client(t, socket).status(), 'protocol', /Status: its answer is malformed protobuf/, socket)
    await fails(client(t, socket).encrypt(seed, 'u'), 'protocol', /Encrypt: its answer is malformed protobuf/)
    await fails(client(t, socket).decrypt({ ...sealed, uid: 'u' }), 'protocol', /Decrypt: .*malformed protobuf/)
  })

  const statuses: [string, Parameters<typeof statusResponse.encode>[0], RegExp][] = [
    ['nothing', {}, /version \(none given\), not v2; key_id is missing; its health is: \(none given\)/],
    ['version v1', { version: 'v1', healthz: 'ok', keyId: 'k' }, /it speaks version v1, not v2$/],
    ['no key_id', { version: 'v2', healthz: 'ok' }, /key_id is missing$/],
    ['no key_id and why', { version: 'v2', healthz: 'HSM gone' }, /key_id is missing; its health is: HSM gone$/],
    ['a long key_id', { version: 'v2', healthz: 'ok', keyId: 'k'.repeat(1025) }, /key_id has 1025 bytes/],
  ]
  for (const [name, answer, message] of statuses) {
    it(`answers Status with ${name}`, async (t) => {
      const socket = await raw(t, { [METHODS.status]: () => statusResponse.encode(answer) })
      await fails(client(t, socket).status(), 'protocol', message, socket)
    })
  }

  it('answers Status with a key_id that is not UTF-8', async (t) => {
    const socket = await raw(t, { [METHODS.status]: () => Buffer.from('0a027632' + '12026f6b' + '1a02c328', 'hex') })
    await fails(client(t, socket).status(), 'protocol', /key_id is not UTF-8/, socket)
  })

  const long = { 'a.example.org': Buffer.alloc(16 * 1024), 'b.example.org': Buffer.alloc(16 * 1024) }
  const encryptions: [string, Partial<EncryptResponse>, RegExp][] = [
    ['nothing', { ciphertext: Buffer.alloc(0) }, /ciphertext is empty/],
    ['no key_id', { keyId: '' }, /key_id is missing/],
    ['a long ciphertext', { ciphertext: Buffer.alloc(1025) }, /ciphertext has 1025 bytes, more than 1024/],
    ['an annotation without domain', { annotations: { plain: Buffer.alloc(1) } }, /"plain" is not a fully qualified/],
    ['an annotation in capitals', { annotations: { 'A.example': Buffer.alloc(1) } }, /"A.example" is not a fully/],
    ['long annotations', { annotations: long }, /annotations have 32794 bytes, more than 32768/],
  ]
  for (const [name, change, message] of encryptions) {
    it(`answers Encrypt with ${name}`, async (t) => {
      const socket = await raw(t, { [METHODS.encrypt]: () => encryptResponse.encode({ ...sealed, ...change }) })
      await fails(client(t, socket).encrypt(seed, 'u'), 'protocol', message, socket)
    })
  }

  it('answers Encrypt at the limits', async (t) => {
    const answer = { ciphertext: Buffer.alloc(1024, 1), keyId: 'k'.repeat(1024), annotations: {} }
    const socket = await raw(t, { [METHODS.encrypt]: () => encryptResponse.encode(answer) })
    assert.equal((await client(t, socket).encrypt(seed, 'u')).ciphertext.length, 1024)
  })

  it('answers Decrypt with nothing', async (t) => {
    const socket = await raw(t, { [METHODS.decrypt]: () => decryptResponse.encode({}) })
    await fails(client(t, socket).decrypt({ ...sealed, uid: 'u' }), 'protocol', /plaintext is empty/, socket)
  })

  const codes: [number, KeyServiceFailure, RegExp][] = [
    [status.PERMISSION_DENIED, 'refused', /it says: PERMISSION_DENIED: no two lines$/],
    [status.INTERNAL, 'refused', /it says: INTERNAL: no two lines$/],
    [status.UNAVAILABLE, 'unreachable', /no two lines/],
    [status.RESOURCE_EXHAUSTED, 'refused', /it says: no two lines/],
  ]
  for (const [code, failure, message] of codes) {
    it(`says ${status[code]}`, async (t) => {
      const socket = await raw(t, { [METHODS.encrypt]: () => ({ code, details: 'no\ntwo lines' }) })
      await fails(client(t, socket).encrypt(seed, 'u'), failure, message, socket)
    })
  }

  const said: [string, Buffer, string][] = [
    ...(['latin1', 'base64', 'base64url', 'hex'] as const).map((form): [string, Buffer, string] => [
      form,
      seed,
      seed.toString(form),
    ]),
    ['capital hex', seed, seed.toString('hex').toUpperCase()],
    ['a list of numbers', seed, `[${seed.join(' ')}]`],
    ['binary with line breaks', Buffer.from([...seed, 10, 13, 1]), `${seed.toString()}\n\r\u0001`],
    ['the end of a long text', seed, `${' reason'.repeat(27)}${seed.toString()}`],
  ]
  for (const [form, plaintext, text] of said) {
    it(`says the plaintext in its refusal, as ${form}`, async (t) => {
      const details = `cannot encrypt ${text} today`
      const socket = await raw(t, { [METHODS.encrypt]: () => ({ code: status.UNKNOWN, details }) })
      await fails(client(t, socket).encrypt(plaintext, 'u'), 'refused', /held the plaintext and is not shown/)
    })
  }
})

describe('KMS endpoints', () => {
  it('may be abstract sockets', async (t) => {
    const name = `rampart-kms-test-${process.pid}`
    const answer = statusResponse.encode({ version: 'v2', healthz: 'ok', keyId: 'abstract' })
    const server = await serveRaw(`\0${name}`, { [METHODS.status]: () => answer })
    t.after(() => server.close())
    assert.equal((await client(t, `/@${name}`).status()).keyId, 'abstract')
  })

  it('may have odd characters', async (t) => {
    const socket = join(folder(t), 'a b%20?#ü:s')
    const server = await serveKeyService({ socket, service: toyKeyService(), log: recordingLog().log })
    t.after(() => server.close())
    assert.equal((await client(t, socket).status()).keyId, 'key-1')
  })

  for (const endpoint of [
    '',
    '/run/kms.sock',
    'http://localhost:1234',
    'unix:/run/kms.sock',
    'unix://run/kms.sock',
    'unix:///',
    'unix:///@',
    'unix:///a\0b',
    `unix:///${'a'.repeat(107)}`,
  ]) {
    it(`are refused: ${JSON.stringify(endpoint.slice(0, 30))}`, () => {
      assert.throws(
        () => connectKeyService({ name: 'vault', endpoint, timeoutMs: 1_000 }),
        EncryptionConfigurationError,
      )
    })
  }

  it('need a timeout above 0', () => {
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => connectKeyService({ name: 'vault', endpoint: 'unix:///s', timeoutMs }), /timeout/)
    }
  })
})
