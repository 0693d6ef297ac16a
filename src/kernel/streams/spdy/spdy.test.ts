import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { createDeflate, createInflate, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { SpdyConnection, type SpdyConnectionOptions } from './connection.ts'
import { DICTIONARY_ID, HEADER_DICTIONARY } from './dictionary.ts'
import { encode, type Frame, FrameDecoder, MAX_CONTROL_BYTES, SpdyError } from './frames.ts'
import { decodeNameValues, encodeNameValues, HeaderDeflater, HeaderInflater, type SpdyHeaders } from './headers.ts'
import type { SpdyStream } from './stream.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const decodeAll = (bytes: Buffer): Frame[] => [...new FrameDecoder().decode(bytes)]

describe('SPDY frames', () => {
  // Bytes worked out by hand from the draft.
  const rows: [string, Buffer, string, Frame][] = [
    [
      'SYN_STREAM',
      encode.synStream(1, 0, hex('aabb')),
      '8003 0001 00 00000c 00000001 00000000 0000 aabb',
      { type: 'SYN_STREAM', id: 1, flags: 0, block: hex('aabb') },
    ],
    [
      'SYN_REPLY',
      encode.synReply(3, 1, hex('cc')),
      '8003 0002 01 000005 00000003 cc',
      { type: 'SYN_REPLY', id: 3, flags: 1, block: hex('cc') },
    ],
    [
      'RST_STREAM',
      encode.rstStream(5, 5),
      '8003 0003 00 000008 00000005 00000005',
      { type: 'RST_STREAM', id: 5, status: 5 },
    ],
    ['PING', encode.ping(7), '8003 0006 00 000004 00000007', { type: 'PING', id: 7 }],
    ['GOAWAY', encode.goAway(9, 1), '8003 0007 00 000008 00000009 00000001', { type: 'GOAWAY', lastId: 9, status: 1 }],
    [
      'DATA',
      Buffer.concat([encode.dataHead(1, true, 2), Buffer.from('hi')]),
      '00000001 01 000002 6869',
      { type: 'DATA', id: 1, bytes: Buffer.from('hi'), fin: true },
    ],
    [
      'empty DATA',
      encode.dataHead(1, true, 0),
      '00000001 01 000000',
      { type: 'DATA', id: 1, bytes: Buffer.alloc(0), fin: true },
    ],
  ]
  for (const [name, bytes, expected, frame] of rows)
    it(name, () => {
      assert.equal(bytes.toString('hex'), expected.replaceAll(' ', ''))
      assert.deepEqual(decodeAll(bytes), [frame])
    })

  it('what is only read', () => {
    assert.deepEqual(decodeAll(hex('8003 0009 00 000008 00000001 00010000')), [
      { type: 'WINDOW_UPDATE', id: 1, delta: 65536 },
    ])
    assert.deepEqual(decodeAll(hex('8003 0004 00 00000c 00000001 04000007 00001000')), [{ type: 'SETTINGS' }])
    assert.deepEqual(decodeAll(hex('8003 0008 00 000005 00000001 dd')), [
      { type: 'HEADERS', id: 1, flags: 0, block: hex('dd') },
    ])
    assert.deepEqual(decodeAll(hex('8003 000a 00 000002 0000')), [{ type: 'UNKNOWN', kind: 10 }])
  })

  const malformed: [string, string, RegExp][] = [
    ['another version', '8002 0006 00 000004 00000001', /version 2/],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad').toString('hex'), /./],
    ['data for stream 0', '00000000 00 000001 61', /stream 0/],
    ['PING too short', '8003 0006 00 000003 000000', /has 3 bytes/],
    ['PING too long', '8003 0006 00 000005 0000000000', /has 5 bytes/],
    ['RST_STREAM without status', '8003 0003 00 000004 00000001', /has 4 bytes/],
    ['SYN_STREAM cut short', '8003 0001 00 000004 00000001', /has 4 bytes/],
    ['SETTINGS of more entries than there are', '8003 0004 00 000004 7fffffff', /2147483647 entries/],
    ['a control frame of 16 MiB', '8003 0001 00 ffffff', /too long/],
  ]
  for (const [name, bytes, message] of malformed)
    it(`refuses: ${name}`, () => {
      // Plain text reads as data of some stream, which is for the connection to ignore.
      if (name === 'HTTP') assert.equal(decodeAll(hex(bytes))[0]?.type, 'DATA')
      else
        assert.throws(
          () => decodeAll(hex(bytes)),
          (e: Error) => e instanceof SpdyError && message.test(e.message),
        )
    })

  it('reads the same however the bytes are cut', () => {
    const bytes = Buffer.concat(rows.map(([, b]) => b))
    const joined = (frames: Frame[]): unknown[] => {
      const out: Frame[] = []
      for (const frame of frames) {
        const last = out.at(-1)
        if (frame.type === 'DATA' && last?.type === 'DATA' && !last.fin && last.id === frame.id)
          out[out.length - 1] = { ...frame, bytes: Buffer.concat([last.bytes, frame.bytes]) }
        else out.push(frame)
      }
      return out
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 })), (sizes) => {
        const decoder = new FrameDecoder()
        const frames: Frame[] = []
        let at = 0
        for (const size of [...sizes, bytes.length]) {
          frames.push(...decoder.decode(bytes.subarray(at, at + size)))
          at += size
        }
        assert.deepEqual(
          joined(frames),
          rows.map(([, , , frame]) => frame),
        )
      }),
      { numRuns: 200 },
    )
  })

  it('answers only with SpdyError to arbitrary bytes, and keeps no more than a control frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, control) => {
        const input = Buffer.from(bytes)
        if (control && input.length > 3) input.set([0x80, 3, 0, input[3]! % 12])
        try {
          decodeAll(input)
        } catch (error) {
          assert.ok(error instanceof SpdyError, String(error))
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('SPDY headers', () => {
  it('has the dictionary of the draft', () => {
    const zlib = deflateSync('x', { dictionary: HEADER_DICTIONARY })
    assert.equal(zlib.readUInt32BE(2), DICTIONARY_ID)
  })

  it('packs what zlib unpacks, and unpacks what zlib packs, block after block', async () => {
    const blocks: SpdyHeaders[] = [
      { streamtype: 'error' },
      { streamtype: 'data', port: '8080', requestid: '0' },
      {},
      { a: 'ü'.repeat(5000) },
    ]
    const deflater = new HeaderDeflater()
    const inflate = createInflate({ dictionary: HEADER_DICTIONARY })
    for (const block of blocks) inflate.write(deflater.deflate(block))
    const plain = Buffer.concat(blocks.map(encodeNameValues))
    const chunks: Buffer[] = []
    for await (const chunk of inflate as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      if (Buffer.concat(chunks).length >= plain.length) break
    }
    assert.deepEqual(Buffer.concat(chunks), plain)

    const inflater = new HeaderInflater()
    const deflate = createDeflate({ dictionary: HEADER_DICTIONARY })
    for (const block of blocks) {
      deflate.write(encodeNameValues(block))
      await new Promise<void>((resolve) => deflate.flush(2, resolve))
      assert.deepEqual(await inflater.inflate(deflate.read() as Buffer), block)
    }
    inflater.close()
    deflate.destroy()
  })

  it('keeps any headers', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.string({ unit: 'grapheme' }), { maxKeys: 20, noNullPrototype: true }),
        (headers) => {
          assert.deepEqual(decodeNameValues(encodeNameValues(headers)), headers)
        },
      ),
    )
  })

  const malformed: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['a count alone', hex('00000001')],
    ['too many', hex('7fffffff')],
    ['a length beyond the end', hex('00000001 ffffffff 61')],
    ['an empty name', hex('00000001 00000000 00000000')],
    ['a name in upper case', hex('00000001 00000001 41 00000000')],
    ['a name twice', hex('00000002 00000001 61 00000000 00000001 61 00000000')],
    ['bytes behind it', hex('00000000 00')],
  ]
  for (const [name, block] of malformed)
    it(`refuses: ${name}`, () => assert.throws(() => decodeNameValues(block), SpdyError))

  it('refuses what does not unpack, and what unpacks to megabytes', async () => {
    const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024), { dictionary: HEADER_DICTIONARY })
    assert.ok(bomb.length < 2 * MAX_CONTROL_BYTES)
    for (const block of [bomb, hex('ffffffff'), deflateSync('x', { dictionary: Buffer.from('other') })]) {
      const inflater = new HeaderInflater()
      await assert.rejects(inflater.inflate(block), SpdyError)
      await assert.rejects(inflater.inflate(block), SpdyError)
      inflater.close()
    }
  })

  it('answers only with SpdyError to arbitrary blocks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, packed) => {
        const inflater = new HeaderInflater()
        try {
          await inflater.inflate(packed ? deflateSync(bytes, { dictionary: HEADER_DICTIONARY }) : Buffer.from(bytes))
        } catch (error) {
          assert.ok(error instanceof SpdyError, String(error))
        } finally {
          inflater.close()
        }
      }),
      { numRuns: 300 },
    )
  })
})

type Pair = { client: SpdyConnection; server: SpdyConnection; raw: Socket; close: () => void }

/** Two connections over a real socket. */
async function pair(options: Omit<SpdyConnectionOptions, 'role'> = {}): Promise<Pair> {
  const [raw, accepted, close] = await sockets()
  const server = new SpdyConnection(accepted, { role: 'server', ...options })
  return { client: new SpdyConnection(raw, { role: 'client' }), server, raw, close }
}

async function sockets(): Promise<[Socket, Socket, () => void]> {
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as { port: number }
  const raw = connect(port, '127.0.0.1')
  const accepted = await new Promise<Socket>((resolve) => listener.once('connection', resolve))
  return [raw, accepted, () => void [raw.destroy(), accepted.destroy(), listener.close()]]
}

describe('SPDY connection', { timeout: 30_000 }, () => {
  const echo = (stream: SpdyStream): void => {
    stream.reply()
    stream.pipe(stream)
  }

  it('carries streams side by side, with their headers and ends', async () => {
    const seen: object[] = []
    const { client, close } = await pair({
      onStream: (stream) => {
        seen.push(stream.headers)
        echo(stream)
      },
    })
    try {
      const bodies = [1, 2, 3, 4].map((n) => Buffer.alloc(500_000, n))
      const answers = await Promise.all(
        bodies.map(async (body, n) => {
          const stream = await client.createStream({ streamtype: 'data', n: String(n) })
          stream.end(body)
          return await buffer(stream)
        }),
      )
      for (const [n, answer] of answers.entries()) assert.ok(answer.equals(bodies[n]!))
      assert.deepEqual(
        seen,
        [0, 1, 2, 3].map((n) => ({ streamtype: 'data', n: String(n) })),
      )
    } finally {
      close()
    }
  })

  it('stops a writer whose reader does not read', async () => {
    let far: SpdyStream | undefined
    const { client, close } = await pair({
      onStream: (stream) => {
        stream.reply()
        far = stream
      },
    })
    try {
      const stream = await client.createStream({})
      let sent = 0
      const chunk = Buffer.alloc(64 * 1024)
      while (sent < 256 * 1024 * 1024) {
        sent += chunk.length
        if (stream.write(chunk)) continue
        const moved = await Promise.race([
          new Promise((resolve) => stream.once('drain', () => resolve(true))),
          new Promise((resolve) => setTimeout(() => resolve(false), 300)),
        ])
        if (moved !== true) break
      }
      assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken for a reader that reads nothing`)
      stream.end()
      assert.equal((await buffer(far!)).length, sent)
    } finally {
      close()
    }
  })

  it('refuses streams where nobody takes them', async () => {
    const { client, close } = await pair()
    await assert.rejects(client.createStream({}), /refused with status 3/)
    close()
  })

  it('ends reading when the peer resets or goes', async () => {
    for (const how of ['reset', 'gone'] as const) {
      const { client, server, close } = await pair({
        onStream: (stream) => {
          stream.reply()
          stream.write('last words')
          setTimeout(() => (how === 'reset' ? stream.destroy() : server.close()), 20)
        },
      })
      const stream = await client.createStream({})
      assert.equal((await buffer(stream)).toString(), 'last words')
      stream.write('to nobody')
      close()
      await client.done
      await assert.rejects(client.createStream({}), SpdyError)
    }
  })

  it('answers pings of the peer, ignores its own', async () => {
    const [raw, accepted, close] = await sockets()
    new SpdyConnection(accepted, { role: 'server' })
    raw.write(Buffer.concat([encode.ping(2), encode.ping(1)]))
    const [answer] = await new Promise<Buffer[]>((resolve) => raw.once('data', (chunk: Buffer) => resolve([chunk])))
    assert.deepEqual(decodeAll(answer!), [{ type: 'PING', id: 1 }])
    close()
  })

  it('leaves a peer that asks without end and reads no answer', async () => {
    const [raw, accepted, close] = await sockets()
    const connection = new SpdyConnection(accepted, { role: 'server' })
    raw.pause()
    raw.on('error', () => undefined)
    const pings = Buffer.concat(Array.from({ length: 4000 }, () => encode.ping(1)))
    let over = false
    void connection.done.then(() => (over = true))
    while (!over && !raw.destroyed) await new Promise<void>((resolve) => raw.write(pings, () => resolve()))
    await connection.done
    close()
  })

  it('breaks off, and says so, when the peer breaks the rules', async () => {
    const blocks = new HeaderDeflater()
    const rows: Buffer[] = [
      encode.synStream(2, 0, blocks.deflate({})),
      encode.synStream(0, 0, blocks.deflate({})),
      encode.synStream(1, 0, hex('0011223344')),
      hex('8005 0001 00 000000'),
    ]
    for (const bytes of rows) {
      const [raw, accepted, close] = await sockets()
      const connection = new SpdyConnection(accepted, { role: 'server', onStream: echo })
      raw.write(bytes)
      assert.ok((await connection.done) instanceof SpdyError)
      const said = decodeAll(await buffer(raw))
      assert.deepEqual(said.at(-1)?.type, 'GOAWAY')
      close()
    }
  })

  it('neither crashes nor hangs on arbitrary bytes', async () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.integer({ min: 0, max: 11 }), fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 40 }))
        .map(([kind, flags, body]) =>
          Buffer.concat([hex('8003'), Buffer.from([0, kind, flags, 0, 0, body.length]), body]),
        ),
      fc.integer({ min: 0, max: 4 }).map((id) => encode.synStream(id, 0, new HeaderDeflater().deflate({ a: 'b' }))),
      fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.boolean())
        .map(([id, fin]) => Buffer.concat([encode.dataHead(id, fin, 1), hex('61')])),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        const [raw, accepted, close] = await sockets()
        const connection = new SpdyConnection(accepted, {
          role: 'server',
          onStream: (stream) => {
            stream.reply()
            stream.resume()
          },
        })
        raw.on('error', () => undefined)
        raw.resume()
        raw.end(Buffer.concat(frames))
        const problem = await connection.done
        assert.ok(problem === undefined || problem instanceof Error)
        close()
      }),
      { numRuns: 150 },
    )
  })
})
