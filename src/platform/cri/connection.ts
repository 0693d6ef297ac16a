import {
  type ClientUnaryCall,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { type Message, ProtoError } from '../grpc/proto.ts'

/** containerd's own limit; a list of all containers of a machine stays far below it. */
export const MAX_MESSAGE_BYTES: number = 16 * 1024 * 1024

/** The code's name as gRPC has it (`NOT_FOUND`), the method, and what the runtime said. */
export class CriError extends Error {
  readonly code: string
  readonly method: string
  /** The runtime's own words. */
  readonly details: string

  constructor(method: string, code: string, details: string) {
    super(`${method}: ${code}: ${details}`)
    this.name = 'CriError'
    this.method = method
    this.code = code
    this.details = details
  }
}

export const isCriError = (error: unknown, code: string): boolean => error instanceof CriError && error.code === code

/** What went wrong in the runtime's own words, without method and code; for people who do not know CRI. */
export function said(error: unknown): string {
  return error instanceof CriError && error.details !== '' ? error.details : (error as Error).message
}

const channelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
  // A runtime that restarts is back within a second or two.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
}

export type CallOptions = { timeoutMs: number; signal?: AbortSignal | undefined }

/** A channel to the runtime's Unix socket; it connects at the first call, and again whenever the runtime comes back. */
export class CriConnection {
  readonly #client: GrpcClient

  /** `endpoint`: an absolute path, or unix:///path. */
  constructor(endpoint: string) {
    const path = endpoint.startsWith('unix://') ? endpoint.slice('unix://'.length) : endpoint
    if (!path.startsWith('/')) throw new Error(`CRI endpoint ${endpoint}: must be an absolute path or unix:///path`)
    this.#client = new GrpcClient(`unix:${path}`, credentials.createInsecure(), channelOptions)
  }

  /** Rejects with CriError; an aborted signal gives CANCELLED. `path` is /SERVICE/METHOD. */
  unary<Request, Response>(
    path: string,
    request: Message<Request>,
    argument: Partial<Request>,
    response: Message<Response>,
    options: CallOptions,
  ): Promise<Response> {
    const method = path.slice(path.lastIndexOf('/') + 1)
    const { signal, timeoutMs } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(new CriError(method, 'CANCELLED', 'cancelled before it was sent'))
        return
      }
      let call: ClientUnaryCall | undefined
      const cancel = (): void => call?.cancel()
      const done = (error: ServiceError | null, answer?: Buffer): void => {
        signal?.removeEventListener('abort', cancel)
        if (error) reject(new CriError(method, status[error.code] ?? String(error.code), error.details))
        else
          try {
            resolve(response.decode(answer ?? Buffer.alloc(0)))
          } catch (wrong) {
            reject(wrong instanceof ProtoError ? new CriError(method, 'INTERNAL', wrong.message) : wrong)
          }
      }
      signal?.addEventListener('abort', cancel, { once: true })
      const deadline = Date.now() + timeoutMs
      call = this.#client.makeUnaryRequest(
        path,
        pass,
        pass,
        request.encode(argument),
        new Metadata(),
        { deadline },
        done,
      )
    })
  }

  close(): void {
    this.#client.close()
  }
}

const pass = (bytes: Buffer): Buffer => bytes
