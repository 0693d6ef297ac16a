import type { Socket } from 'node:net'
import { type ChannelCredentials, credentials, Client as GrpcClient, Metadata } from '@grpc/grpc-js'

// An answer that Kubernetes accepts has at most 1 KiB of ciphertext and of key id, and 32 KiB of annotations.
export const MAX_ANSWER_BYTES: number = 128 * 1024

const channelOptions = {
  'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
  'grpc.max_send_message_length': MAX_ANSWER_BYTES,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
}

/** One connection to a plugin, made at the first call. It is not repaired: `retire` it and make another. */
export class Connection {
  readonly #client: GrpcClient
  readonly #sockets = new Set<Socket>()
  #calls = 0
  #retired = false

  /** `target` as grpc-js wants it. */
  constructor(target: string) {
    this.#client = new GrpcClient(target, this.#credentials(), channelOptions)
  }

  /** Bytes in, bytes out; rejects with grpc-js' ServiceError. `deadline` in milliseconds since the epoch. */
  unary(path: string, message: Buffer, deadline: number): Promise<Buffer> {
    this.#calls++
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, pass, pass, message, new Metadata(), { deadline }, (error, answer) => {
        this.#calls--
        if (this.#retired) this.#cut()
        if (error) reject(error)
        else resolve(answer!)
      })
    })
  }

  /** Takes no further calls; those that run may end. */
  retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.#client.close()
    this.#cut()
  }

  #cut(): void {
    if (this.#calls > 0) return
    for (const socket of this.#sockets) socket.destroy()
  }

  /**
   * Closing a channel of grpc-js leaves a connection open, for ever, whose peer has not answered the HTTP/2 preface yet.
   * So we keep hold of the sockets; they pass by here.
   */
  #credentials(): ChannelCredentials {
    const plain = credentials.createInsecure()
    const create = plain._createSecureConnector.bind(plain)
    plain._createSecureConnector = (...given) => {
      const connector = create(...given)
      return {
        ...connector,
        connect: (socket) => {
          this.#sockets.add(socket)
          socket.once('close', () => this.#sockets.delete(socket))
          if (this.#retired) this.#cut()
          return connector.connect(socket)
        },
      }
    }
    return plain
  }
}

function pass(bytes: Buffer): Buffer {
  return bytes
}
