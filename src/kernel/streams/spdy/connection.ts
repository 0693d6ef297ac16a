import type { Duplex } from 'node:stream'
import { encode, FIN, type Frame, FrameDecoder, RST, SpdyError, UNIDIRECTIONAL } from './frames.ts'
import { HeaderDeflater, HeaderInflater, type SpdyHeaders } from './headers.ts'
import { SpdyStream, type StreamWire } from './stream.ts'

export type SpdyConnectionOptions = {
  /** Clients' streams have odd numbers. */
  role: 'client' | 'server'
  /** What came behind the head of the HTTP exchange. */
  head?: Buffer
  /** Streams that the peer opens; undefined: they are refused. Accepted with `reply`. */
  onStream?: (stream: SpdyStream) => void
}

const MAX_STREAMS = 1000
const REPLY_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 5000
/** Answers that a peer may leave unread, e.g. to its pings. */
const MAX_UNREAD_BYTES = 1024 * 1024

type Pending = { resolve: () => void; reject: (error: Error) => void; timer: NodeJS.Timeout }

/**
 * SPDY/3.1 over a connection that was upgraded to it, as Kubernetes' clients and servers use it: windows are not
 * counted, a stream that is not read holds up the connection it came by.
 */
export class SpdyConnection {
  readonly #socket: Duplex
  readonly #o: SpdyConnectionOptions
  readonly #deflater = new HeaderDeflater()
  readonly #inflater = new HeaderInflater()
  readonly #streams = new Map<number, SpdyStream>()
  readonly #pending = new Map<number, Pending>()
  readonly #wire: StreamWire
  #nextId: number
  #lastPeerId = 0
  #goingAway = false
  #closed = false
  #unread = 0
  /** Resolves when the connection has ended, with what was wrong with it. Never rejects. */
  readonly done: Promise<Error | undefined>

  constructor(socket: Duplex, options: SpdyConnectionOptions) {
    this.#socket = socket
    this.#o = options
    this.#nextId = options.role === 'client' ? 1 : 2
    this.#wire = {
      data: (id, bytes, fin, written) => this.#writeData(id, bytes, fin, written),
      reset: (id) => this.#write(encode.rstStream(id, RST.cancel)),
      reply: (id, headers) => this.#write(encode.synReply(id, 0, this.#deflater.deflate(headers))),
      forget: (id) => this.#streams.delete(id),
    }
    socket.on('error', () => socket.destroy())
    // Also when a reader who does not read holds up what came before.
    socket.once('close', () => this.#cutStreams())
    this.done = this.#run()
  }

  /** Rejects with SpdyError when the peer resets it, does not answer within 30 s, or goes. */
  async createStream(headers: SpdyHeaders): Promise<SpdyStream> {
    if (this.#closed || this.#goingAway) throw new SpdyError('the connection is closing')
    const id = this.#nextId
    this.#nextId += 2
    const stream = new SpdyStream(id, headers, this.#wire)
    this.#streams.set(id, stream)
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new SpdyError('a stream was not accepted in time')), REPLY_TIMEOUT_MS)
        this.#pending.set(id, { resolve, reject, timer })
        this.#write(encode.synStream(id, 0, this.#deflater.deflate(headers)))
      })
    } catch (error) {
      stream.destroy()
      throw error
    } finally {
      clearTimeout(this.#pending.get(id)?.timer)
      this.#pending.delete(id)
    }
    return stream
  }

  /** Says goodbye; what was written before still goes out. */
  close(): void {
    if (this.#closed) return
    this.#leave(encode.goAway(this.#lastPeerId, 0))
  }

  #leave(goodbye: Buffer): void {
    if (this.#socket.destroyed) return
    this.#write(goodbye)
    this.#socket.end()
    // What a peer still sends is not read by anybody, and must not keep the socket.
    if (this.#closed) this.#socket.resume()
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  async #run(): Promise<Error | undefined> {
    let problem: Error | undefined
    const decoder = new FrameDecoder()
    try {
      if (this.#o.head !== undefined && this.#o.head.length > 0) await this.#take(decoder, this.#o.head)
      const chunks = this.#socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
      for await (const chunk of chunks) await this.#take(decoder, chunk)
    } catch (error) {
      problem = error as Error
    }
    this.#closed = true
    this.#inflater.close()
    for (const { reject } of this.#pending.values())
      reject(problem instanceof SpdyError ? problem : new SpdyError('the connection was closed'))
    this.#cutStreams()
    if (problem instanceof SpdyError) this.#leave(encode.goAway(this.#lastPeerId, RST.protocolError))
    else this.#socket.destroy()
    return problem
  }

  #cutStreams(): void {
    for (const stream of [...this.#streams.values()]) stream.cut()
  }

  async #take(decoder: FrameDecoder, chunk: Buffer): Promise<void> {
    for (const frame of decoder.decode(chunk)) {
      const handled = this.#handle(frame)
      if (handled !== undefined) await handled
    }
  }

  #handle(frame: Frame): Promise<void> | undefined {
    switch (frame.type) {
      case 'DATA':
        // A stream that is not known has just been closed from here.
        return this.#streams.get(frame.id)?.deliver(frame.bytes, frame.fin)
      case 'SYN_STREAM':
        return this.#open(frame)
      case 'SYN_REPLY':
        return this.#accepted(frame)
      case 'HEADERS':
        return this.#inflater.inflate(frame.block).then(() => undefined)
      case 'RST_STREAM':
        this.#pending.get(frame.id)?.reject(new SpdyError(`a stream was refused with status ${frame.status}`))
        this.#streams.get(frame.id)?.cut()
        return
      case 'PING':
        if (frame.id % 2 !== this.#nextId % 2) this.#write(encode.ping(frame.id))
        return
      case 'GOAWAY':
        this.#goingAway = true
        for (const [id, { reject }] of this.#pending)
          if (id > frame.lastId) reject(new SpdyError('the peer is going away'))
        return
      default:
        return
    }
  }

  async #open({ id, flags, block }: Extract<Frame, { type: 'SYN_STREAM' }>): Promise<void> {
    if (id === 0 || id % 2 === this.#nextId % 2 || id <= this.#lastPeerId)
      throw new SpdyError(`stream ${id} has a number that the peer may not give`)
    this.#lastPeerId = id
    // Also of a stream that is refused: headers are one compressed stream.
    const headers = await this.#inflater.inflate(block)
    const { onStream } = this.#o
    if (onStream === undefined || this.#streams.size >= MAX_STREAMS) {
      this.#write(encode.rstStream(id, RST.refusedStream))
      return
    }
    const stream = new SpdyStream(id, headers, this.#wire)
    this.#streams.set(id, stream)
    if ((flags & FIN) !== 0) stream.endReading()
    if ((flags & UNIDIRECTIONAL) !== 0) stream.end()
    onStream(stream)
  }

  async #accepted({ id, flags, block }: Extract<Frame, { type: 'SYN_REPLY' }>): Promise<void> {
    await this.#inflater.inflate(block)
    const pending = this.#pending.get(id)
    if (pending === undefined) {
      this.#write(encode.rstStream(id, RST.invalidStream))
      return
    }
    if ((flags & FIN) !== 0) this.#streams.get(id)?.endReading()
    pending.resolve()
  }

  #write(bytes: Buffer): void {
    if (!this.#socket.writable) return
    this.#unread += bytes.length
    if (this.#unread > MAX_UNREAD_BYTES) this.#socket.destroy()
    else this.#socket.write(bytes, () => (this.#unread -= bytes.length))
  }

  #writeData(id: number, bytes: Buffer, fin: boolean, written: (error?: Error | null) => void): void {
    if (!this.#socket.writable) {
      written()
      return
    }
    this.#socket.cork()
    this.#socket.write(encode.dataHead(id, fin, bytes.length))
    // A socket that closes calls back with an error: the bytes are lost with the stream's end, which is told by reading.
    this.#socket.write(bytes, () => written())
    process.nextTick(() => this.#socket.uncork())
  }
}
