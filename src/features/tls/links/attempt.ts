import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { Target } from './old-protocol.ts'

/** Certificate chain and key, PEM. */
export type Identity = { cert: string; key: string }

export type HttpRequest = { method: 'GET' | 'POST'; path: string; body?: string }

export type Session = { protocol: string; cipher: string; leaf: X509Certificate; issuer: X509Certificate | undefined }

/** How one try to be served ended. */
export type Attempt =
  | { kind: 'answered'; status: number; body: string; session: Session }
  /** The peer ended it: an alert, a reset, a close without an answer. */
  | { kind: 'refused'; why: string }
  /** We ended it: the server is not who it should be. */
  | { kind: 'distrusted'; why: string }
  | { kind: 'unreachable'; why: string }

export type AttemptOptions = {
  target: Target
  /** PEM of what the server is verified by. */
  ca: string
  identity?: Identity
  /** What a verified chain does not say; a text is a reason to go away. */
  identify?: (leaf: X509Certificate) => string | undefined
  request: HttpRequest
  timeoutMs: number
}

const MAX_ANSWER_BYTES = 64 * 1024

/** Connects, verifies the server, asks once and reads the answer. Resolves always, within `timeoutMs`. */
export function attempt(o: AttemptOptions): Promise<Attempt> {
  const { target, identity, request } = o
  return new Promise((resolve) => {
    let below = false
    let session: Session | undefined
    let distrust: string | undefined
    const chunks: Buffer[] = []
    let size = 0
    const servername = target.servername ?? (isIP(target.host) === 0 ? target.host : undefined)
    let socket: TLSSocket
    const finish = (result: Attempt): void => {
      clearTimeout(timer)
      socket?.destroy()
      resolve(result)
    }
    const timer = setTimeout(
      () =>
        finish({
          kind: 'unreachable',
          why: `${session ? 'no answer' : below ? 'no TLS' : 'no connection'} within ${o.timeoutMs} ms`,
        }),
      o.timeoutMs,
    )
    try {
      socket = connect({
        host: target.host,
        port: target.port,
        ...(servername === undefined ? {} : { servername }),
        ...identity,
        ca: o.ca,
        minVersion: 'TLSv1.2',
        ALPNProtocols: ['http/1.1'],
        rejectUnauthorized: true,
      })
    } catch (error) {
      return finish({ kind: 'unreachable', why: `the probe's own certificate: ${(error as Error).message}` })
    }
    socket.on('connect', () => (below = true))
    socket.on('secureConnect', () => {
      const leaf = socket.getPeerX509Certificate()!
      distrust = o.identify?.(leaf)
      if (distrust !== undefined) return finish({ kind: 'distrusted', why: distrust })
      session = {
        protocol: socket.getProtocol() ?? '',
        cipher: socket.getCipher().standardName,
        leaf,
        issuer: leaf.issuerCertificate,
      }
      socket.write(httpText(request, servername ?? target.host))
    })
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size > MAX_ANSWER_BYTES) finish(answerOf(chunks, session!))
    })
    const ended = (why: string): void => {
      if (session !== undefined && size > 0) finish(answerOf(chunks, session))
      else finish(below ? { kind: 'refused', why } : { kind: 'unreachable', why })
    }
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const { authorizationError } = socket
      // Set by node's verification of the server, before anything was written.
      if (authorizationError) return finish({ kind: 'distrusted', why: error.message.split('\n')[0]! })
      ended(reasonOf(error))
    })
    socket.on('end', () => ended('the connection was closed'))
    socket.on('close', () => ended('the connection was closed'))
  })
}

function httpText({ method, path, body }: HttpRequest, host: string): string {
  const content =
    body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: application/json\r\n${content}Connection: close\r\n\r\n${body ?? ''}`
}

function answerOf(chunks: readonly Buffer[], session: Session): Attempt {
  const text = Buffer.concat(chunks).toString('utf8')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  if (status === undefined) return { kind: 'refused', why: 'what it answers is not HTTP' }
  const end = text.indexOf('\r\n\r\n')
  return { kind: 'answered', status: Number(status), body: end < 0 ? '' : text.slice(end + 4), session }
}

/** `ssl3_read_bytes:tlsv1 alert unknown ca:…` → `alert: unknown ca`. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const alert = /alert ([a-z ]+)/i.exec(error.message)?.[1]
  return alert === undefined ? (error.code ?? error.message) : `alert: ${alert.trim()}`
}
