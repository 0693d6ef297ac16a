import type { ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { dump } from 'js-yaml'
import { ApiError, type Status } from '../../api/status.ts'

const compress = promisify(gzip)

/** Bodies above this are compressed for clients that accept it (as kube-apiserver does, at the fastest level). */
const GZIP_ABOVE = 128 * 1024

export type ResponseOptions = {
  acceptEncoding: string | undefined
  media: 'json' | 'yaml'
  pretty: boolean
}

const JSON_TYPE = 'application/json'

/** Sends a JSON body that is already serialised. */
export function sendBytes(res: ServerResponse, code: number, body: Buffer, contentType: string = JSON_TYPE): void {
  res.writeHead(code, {
    'Content-Type': contentType,
    'Content-Length': body.length,
    'Cache-Control': 'no-cache, private',
  })
  res.end(body)
}

export async function sendChunks(
  res: ServerResponse,
  code: number,
  chunks: Buffer[],
  options: ResponseOptions,
): Promise<void> {
  if (options.media === 'yaml' || options.pretty) {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (options.media === 'yaml') sendBytes(res, code, Buffer.from(dump(value, { noRefs: true })), 'application/yaml')
    else sendBytes(res, code, Buffer.from(`${JSON.stringify(value, null, 2)}\n`))
    return
  }
  if (chunks.length === 1 && chunks[0]!.length <= GZIP_ABOVE) {
    sendBytes(res, code, chunks[0]!)
    return
  }
  let length = 0
  for (const chunk of chunks) length += chunk.length
  if (length > GZIP_ABOVE && /\bgzip\b/.test(options.acceptEncoding ?? '')) {
    const body = await compress(Buffer.concat(chunks, length), { level: constants.Z_BEST_SPEED })
    res.setHeader('Content-Encoding', 'gzip')
    res.setHeader('Vary', 'Accept-Encoding')
    sendBytes(res, code, body)
    return
  }
  await sendLarge(res, code, chunks, length)
}

async function sendLarge(res: ServerResponse, code: number, chunks: Buffer[], length: number): Promise<void> {
  res.writeHead(code, { 'Content-Type': JSON_TYPE, 'Content-Length': length, 'Cache-Control': 'no-cache, private' })
  for (const chunk of chunks) if (!res.write(chunk) && !(await drained(res))) return
  res.end()
}

/** False when the client went away instead. */
function drained(res: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (value: boolean) => (): void => {
      res.off('drain', onDrain)
      res.off('close', onClose)
      resolve(value)
    }
    const onDrain = done(true)
    const onClose = done(false)
    res.once('drain', onDrain)
    res.once('close', onClose)
    if (res.destroyed) onClose()
  })
}

export function statusOf(error: unknown): { status: Status; internal: Error | undefined } {
  if (error instanceof ApiError) {
    const status = error.toStatus()
    const token = (error as ApiError & { continueToken?: string }).continueToken
    if (token !== undefined) status.metadata = { continue: token }
    return { status, internal: undefined }
  }
  const internal = error instanceof Error ? error : new Error(String(error))
  // What went wrong inside is for the log; the caller learns only that it did.
  return {
    status: new ApiError('InternalError', 'an internal error happened; it is in the server log').toStatus(),
    internal,
  }
}

export function sendStatus(res: ServerResponse, status: Status): void {
  const seconds = status.details?.retryAfterSeconds
  if (seconds !== undefined) res.setHeader('Retry-After', String(seconds))
  sendBytes(res, status.code, Buffer.from(JSON.stringify(status)))
}
