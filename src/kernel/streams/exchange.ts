import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { ApiError } from '../api/status.ts'

export type BackendRequest = {
  method: string
  /** With the query. */
  path: string
  /** Value of the Host header. */
  host: string
  headers?: OutgoingHttpHeaders
  body?: Readable
  signal: AbortSignal
}

/** What stands behind an API object answered: an ordinary response, or the connection itself after a 101. */
export type BackendAnswer =
  | { kind: 'response'; response: IncomingMessage }
  | { kind: 'upgraded'; response: IncomingMessage; socket: Socket; head: Buffer }

/** Until the head of an answer is there. */
const ANSWER_TIMEOUT_MS = 60_000
const MAX_HEAD_BYTES = 32 * 1024
const MAX_ERROR_BYTES = 16 * 1024

/** One HTTP exchange over a connection of its own, which ends with it. Rejects with ApiError. */
export function exchange(socket: Socket, asked: BackendRequest): Promise<BackendAnswer> {
  return new Promise((resolve, reject) => {
    const out = request({
      createConnection: () => socket,
      method: asked.method,
      path: asked.path,
      headers: { ...asked.headers, Host: asked.host },
      setDefaultHeaders: false,
      maxHeaderSize: MAX_HEAD_BYTES,
    })
    const fail = (why: string): void => {
      stop()
      socket.destroy()
      reject(new ApiError('ServiceUnavailable', `the backend did not answer: ${why}`))
    }
    const timer = setTimeout(() => fail(`nothing within ${ANSWER_TIMEOUT_MS / 1000} s`), ANSWER_TIMEOUT_MS)
    const onAbort = (): void => fail('the client went away')
    const stop = (): void => {
      clearTimeout(timer)
      asked.signal.removeEventListener('abort', onAbort)
    }
    asked.signal.addEventListener('abort', onAbort, { once: true })
    out.on('error', (error) => fail(error.message))
    out.once('response', (response) => {
      stop()
      resolve({ kind: 'response', response })
    })
    out.once('upgrade', (response, upgraded, head) => {
      stop()
      resolve({ kind: 'upgraded', response, socket: upgraded as Socket, head })
    })
    if (asked.signal.aborted) onAbort()
    else if (asked.body === undefined) out.end()
    else asked.body.pipe(out)
  })
}

/** The first 16 KiB of a refusal. */
export async function refusalText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      size += chunk.length
      if (size >= MAX_ERROR_BYTES) break
    }
  } catch {
    // What came until then is all there is to be said.
  }
  response.destroy()
  return Buffer.concat(chunks).toString('utf8', 0, MAX_ERROR_BYTES).trim()
}
