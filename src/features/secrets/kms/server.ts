import type { Socket } from 'node:net'
import {
  Server as GrpcServer,
  type handleUnaryCall,
  type MethodDefinition,
  ServerCredentials,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import type { Log } from '../../../kernel/feature.ts'
import type { Message } from '../../../platform/grpc/proto.ts'
import { EncryptionError, type KeyService } from '../encryption/types.ts'
import { excerpt } from './answers.ts'
import {
  type DecryptRequest,
  decryptRequest,
  decryptResponse,
  type EncryptRequest,
  encryptRequest,
  encryptResponse,
  METHODS,
  statusRequest,
  statusResponse,
} from './messages.ts'
import { listenPrivately, replaceable } from './socket.ts'

export type ServeOptions = {
  /** Absolute path. */
  socket: string
  service: KeyService
  log: Log
  /** How long `close` lets running calls go on; milliseconds, default 3,000. */
  graceMs?: number
}

// A data key seed has 32 bytes; what decrypt is given has at most 1 KiB of ciphertext and 32 KiB of annotations.
const MAX_REQUEST_BYTES = 128 * 1024
const MAX_CONNECTIONS = 128
const serverOptions = {
  'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
  'grpc.max_concurrent_streams': 256,
  // API servers ask for the status every minute.
  'grpc.max_connection_idle_ms': 10 * 60_000,
  'grpc.enable_channelz': 0,
}

/**
 * Serves KMS v2 at a Unix socket (0600). `close` takes the socket away and lets running calls end; it does not close
 * the service. Rejects with SocketError.
 */
export async function serveKeyService(options: ServeOptions): Promise<{ close(): Promise<void> }> {
  const { socket, service, log } = options
  const grpc = new GrpcServer(serverOptions)
  const { definition, handlers } = methods(service, log)
  grpc.addService(definition, handlers)
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const connections = new Set<Socket>()
  const listener = await listenPrivately(socket, (connection) => {
    connections.add(connection)
    connection.on('close', () => connections.delete(connection))
    connection.on('error', (error) => log('debug', 'KMS connection failed', { error: error.message }))
    injector.injectConnection(connection)
  })
  listener.maxConnections = MAX_CONNECTIONS
  listener.on('error', (error) => log('error', 'KMS socket failed', { socket, error: error.message }))
  if (replaceable(socket)) log('warn', 'others can replace the KMS socket: its folder is open to them', { socket })
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    // Takes the socket away.
    const unlistened = new Promise<void>((resolve) => listener.close(() => resolve()))
    const stopped = new Promise<void>((resolve) => grpc.tryShutdown(() => resolve()))
    const timer = setTimeout(() => {
      for (const connection of connections) connection.destroy()
    }, options.graceMs ?? 3_000)
    await Promise.all([stopped, unlistened])
    clearTimeout(timer)
  }
  return { close: () => (closing ??= close()) }
}

function methods(
  service: KeyService,
  log: Log,
): { definition: ServiceDefinition; handlers: UntypedServiceImplementation } {
  const answering = <Request, Response>(
    name: string,
    work: (request: Request) => Promise<{ answer: Response; fields: Record<string, unknown> }>,
  ): handleUnaryCall<Request, Response> => {
    return (call, callback) => {
      const begun = performance.now()
      const milliseconds = (): number => Math.round((performance.now() - begun) * 100) / 100
      work(call.request).then(
        ({ answer, fields }) => {
          log('debug', `KMS ${name}`, { ...fields, milliseconds: milliseconds() })
          callback(null, answer)
        },
        (error: Error) => {
          log('warn', `KMS ${name} failed`, { error: error.message, milliseconds: milliseconds() })
          // What is not ours to say could hold anything.
          const known = error instanceof EncryptionError
          const code = known ? status.FAILED_PRECONDITION : status.INTERNAL
          callback({ code, details: known ? excerpt(error.message) : `${name} failed; see the plugin's log` })
        },
      )
    }
  }
  return {
    definition: {
      Status: method(METHODS.status, statusRequest, statusResponse),
      Encrypt: method(METHODS.encrypt, encryptRequest, encryptResponse),
      Decrypt: method(METHODS.decrypt, decryptRequest, decryptResponse),
    },
    handlers: {
      Status: answering('Status', async () => {
        const answer = await service.status()
        return { answer, fields: { keyId: answer.keyId, healthz: answer.healthz } }
      }),
      Encrypt: answering('Encrypt', async ({ plaintext, uid }: EncryptRequest) => {
        const answer = await service.encrypt(plaintext, uid)
        return { answer, fields: { uid: excerpt(uid), keyId: answer.keyId } }
      }),
      Decrypt: answering('Decrypt', async (request: DecryptRequest) => {
        const plaintext = await service.decrypt(request)
        return { answer: { plaintext }, fields: { uid: excerpt(request.uid), keyId: excerpt(request.keyId) } }
      }),
    },
  }
}

function method<Request, Response>(
  path: string,
  request: Message<Request>,
  response: Message<Response>,
): MethodDefinition<Request, Response> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (value) => request.encode(value),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (value) => response.encode(value),
    responseDeserialize: (bytes) => response.decode(bytes),
  }
}
