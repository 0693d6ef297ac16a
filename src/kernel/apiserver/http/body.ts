import type { IncomingMessage } from 'node:http'
import { ApiError } from '../../api/status.ts'

/** Kubernetes' limit of a request body: 3 MiB. */
export const MAX_BODY_BYTES: number = 3 * 1024 * 1024
/** A body that is not whole after this time is given up. */
const BODY_TIMEOUT_MS = 30_000

/** Reads the whole body. Rejects with 413 above the limit, 408-like Timeout when it dribbles. */
export function readBody(req: IncomingMessage): Promise<Buffer> {
  const declared = Number(req.headers['content-length'] ?? '0')
  if (declared > MAX_BODY_BYTES) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => {
      finish()
      reject(new ApiError('Timeout', 'the request body did not arrive in time', undefined, 408))
    }, BODY_TIMEOUT_MS)
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length > MAX_BODY_BYTES) {
        finish()
        reject(tooLarge())
      } else chunks.push(chunk)
    }
    const onEnd = (): void => {
      finish()
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
    }
    const onClose = (): void => {
      finish()
      reject(new ApiError('BadRequest', 'the connection closed before the request body was complete'))
    }
    const finish = (): void => {
      clearTimeout(timer)
      req.off('data', onData)
      req.off('end', onEnd)
      req.off('close', onClose)
      req.off('error', onClose)
    }
    req.on('data', onData)
    req.on('end', onEnd)
    req.on('close', onClose)
    req.on('error', onClose)
  })
}

function tooLarge(): ApiError {
  return new ApiError('RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`)
}
