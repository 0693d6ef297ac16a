import { randomBytes } from 'node:crypto'
import { connect, isIP } from 'node:net'

/** What a server answers to bytes that it must not take. `refused: undefined`: it said nothing that tells. */
export type Refusal = { refused: boolean | undefined; detail: string }

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const withLength16 = (...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([u16(body.length), body])
}
const TLS_1_1 = u16(0x0302)

/** Suites of TLS 1.1 with ECDSA and RSA certificates (RFC 4492, RFC 5246 appendix A.5), so that none is missing for it. */
const SUITES = [0xc009, 0xc00a, 0xc013, 0xc014, 0xc012, 0x002f, 0x0035, 0x000a]
const GROUPS = [0x001d, 0x0017, 0x0018, 0x0019]

/**
 * A ClientHello that offers TLS 1.1 and nothing newer (RFC 4346). Written by hand: today's TLS libraries refuse to send
 * one, and their refusal must not be taken for the server's.
 */
export function clientHello11(serverName: string | undefined, random: Uint8Array): Buffer {
  const extension = (type: number, body: Uint8Array): Buffer => Buffer.concat([u16(type), withLength16(body)])
  const name = Buffer.from(serverName ?? '', 'ascii')
  const extensions = [
    ...(serverName === undefined ? [] : [extension(0, withLength16(Buffer.from([0]), withLength16(name)))]),
    extension(10, withLength16(...GROUPS.map(u16))),
    extension(11, Buffer.from([1, 0])),
  ]
  const hello = Buffer.concat([
    TLS_1_1,
    random,
    Buffer.from([0]),
    withLength16(...SUITES.map(u16)),
    Buffer.from([1, 0]),
    withLength16(...extensions),
  ])
  const handshake = Buffer.concat([Buffer.from([1, 0]), withLength16(hello)])
  return Buffer.concat([Buffer.from([22, 3, 1]), withLength16(handshake)])
}

/** Whether the first bytes of an answer are a refusal of TLS 1.1; undefined: more bytes are needed. */
export function readAnswer11(bytes: Uint8Array): Refusal | undefined {
  if (bytes.length < 5) return undefined
  if (bytes[0] === 21) {
    if (bytes.length < 7) return undefined
    return { refused: true, detail: bytes[6] === 70 ? 'alert: protocol version' : `alert ${bytes[6]}` }
  }
  if (bytes[0] !== 22) return { refused: undefined, detail: 'the answer is not TLS' }
  if (bytes.length < 11) return undefined
  const version = (bytes[9]! << 8) | bytes[10]!
  if (bytes[5] === 2 && version <= 0x0302) return { refused: false, detail: `it speaks TLS 1.${(version & 0xff) - 1}` }
  return { refused: undefined, detail: 'an unexpected handshake message' }
}

/** Whether a server refuses TLS 1.1. Resolves always, within `timeoutMs`. */
export function refusesTls11(target: Target, timeoutMs: number): Promise<Refusal> {
  const name = target.servername ?? (isIP(target.host) === 0 ? target.host : undefined)
  return converse(target, clientHello11(name, randomBytes(32)), timeoutMs, readAnswer11)
}

/**
 * Whether a server refuses a request in plain HTTP. Servers of Go and ours say in clear that they speak TLS only: 400,
 * and nothing else than 400, is a refusal.
 */
export function refusesPlainText(target: Target, timeoutMs: number): Promise<Refusal> {
  const request = `GET /healthz HTTP/1.1\r\nHost: ${target.servername ?? target.host}\r\nConnection: close\r\n\r\n`
  return converse(target, Buffer.from(request, 'latin1'), timeoutMs, readPlainAnswer)
}

export function readPlainAnswer(bytes: Uint8Array): Refusal | undefined {
  if (bytes[0] === 21 && bytes[1] === 3) return { refused: true, detail: 'TLS alert' }
  if (bytes.length < 12) return undefined
  const line = Buffer.from(bytes.subarray(0, 80)).toString('latin1').split('\r\n')[0]!
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1]
  if (status === '400') return { refused: true, detail: 'it says that it speaks TLS only' }
  return { refused: false, detail: `it answers in clear: ${JSON.stringify(line.slice(0, 40))}` }
}

export type Target = { host: string; port: number; servername?: string }

const MAX_BYTES = 4096

function converse(
  { host, port }: Target,
  say: Buffer,
  timeoutMs: number,
  read: (bytes: Uint8Array) => Refusal | undefined,
): Promise<Refusal> {
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0)
    let connected = false
    const socket = connect({ host, port })
    const end = (result: Refusal): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    const timer = setTimeout(
      () => end({ refused: undefined, detail: `${connected ? 'no answer' : 'no connection'} within ${timeoutMs} ms` }),
      timeoutMs,
    )
    socket.on('connect', () => {
      connected = true
      socket.write(say)
    })
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk])
      const result = read(answer)
      if (result !== undefined) end(result)
      else if (answer.length > MAX_BYTES) end({ refused: undefined, detail: 'an answer that tells nothing' })
    })
    const closed = (detail: string): void =>
      end(
        connected && answer.length === 0
          ? { refused: true, detail: 'the connection was closed' }
          : { refused: undefined, detail },
      )
    socket.on('error', (error: NodeJS.ErrnoException) => closed(error.code ?? error.message))
    socket.on('close', () => closed('closed within the answer'))
  })
}
