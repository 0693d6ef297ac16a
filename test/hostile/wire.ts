/** One HTTP request as its bytes: what well-behaved clients never send, and what exactly comes back. */
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'

export type Peer = { port: number; ca: string }
export type Credentials = { cert?: string; key?: string }

export type Answer = {
  code: number
  headers: Record<string, string[]>
  body: string
  /** The body as JSON; throws when it is none. */
  json: () => StatusLike
}

/** Enough of a Status, and of every object, for assertions. */
export type StatusLike = {
  kind?: string
  message?: string
  reason?: string
  code?: number
  metadata?: Record<string, unknown>
  details?: { causes?: { field?: string; reason?: string; message?: string }[]; retryAfterSeconds?: number }
  [field: string]: unknown
}

/** A verified TLS connection to the server; rejects when the handshake fails. */
export function open(peer: Peer, credentials: Credentials = {}, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: '127.0.0.1', port: peer.port, ca: peer.ca, servername: 'localhost', ...credentials, ...options },
      () => {
        socket.off('error', reject)
        // A reset after the answer is the server's right; without a listener it would end the test.
        socket.on('error', () => undefined)
        resolve(socket)
      },
    )
    socket.once('error', reject)
  })
}

/** Everything the server sends until it closes. */
export function readAll(socket: TLSSocket): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.once('close', () => resolve(Buffer.concat(chunks)))
  })
}

export function parseAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) throw new Error(`no HTTP answer in ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`)
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers: Record<string, string[]> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    headers[name] = [...(headers[name] ?? []), line.slice(colon + 1).trim()]
  }
  const rest = bytes.subarray(end + 4)
  const body = (headers['transfer-encoding']?.[0] === 'chunked' ? unchunk(rest) : rest).toString('utf8')
  return { code: Number(first.split(' ')[1]), headers, body, json: () => JSON.parse(body) as StatusLike }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16)
    if (!(size > 0)) break
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
  return Buffer.concat(parts)
}

/** Sends these bytes on a connection of their own and reads until the server closes it. */
export async function exchange(
  peer: Peer,
  credentials: Credentials,
  bytes: string | Buffer | readonly Buffer[],
): Promise<Answer> {
  const socket = await open(peer, credentials)
  try {
    const answer = readAll(socket)
    for (const part of Array.isArray(bytes) ? bytes : [bytes]) socket.write(part)
    return parseAnswer(await answer)
  } finally {
    socket.destroy()
  }
}

export type RequestOptions = {
  method?: string
  /** Exactly as it is to stand in the request line. */
  path: string
  headers?: Record<string, string>
  body?: string | Buffer
}

/** One request with `Connection: close`; Content-Length and application/json unless the headers say otherwise. */
export function request(peer: Peer, credentials: Credentials, o: RequestOptions): Promise<Answer> {
  const body = Buffer.from(o.body ?? '')
  const headers: Record<string, string> = {
    Host: `127.0.0.1:${peer.port}`,
    Connection: 'close',
    ...(o.body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }),
    ...o.headers,
  }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const method = o.method ?? (o.body === undefined ? 'GET' : 'POST')
  return exchange(peer, credentials, [Buffer.from(`${method} ${o.path} HTTP/1.1\r\n${head.join('')}\r\n`), body])
}
