import { Duplex } from 'node:stream'
import type { SpdyHeaders } from './headers.ts'

/** What a stream needs of its connection. */
export type StreamWire = {
  /** Calls back once the bytes are with the socket and it takes more. */
  data: (id: number, bytes: Buffer, fin: boolean, done: (error?: Error | null) => void) => void
  reset: (id: number) => void
  reply: (id: number, headers: SpdyHeaders) => void
  forget: (id: number) => void
}

/** DATA frames stay short, so that streams of one connection take turns. */
const MAX_DATA_BYTES = 32 * 1024

/**
 * One stream of a connection: `end` sends FIN, `destroy` resets it unless both ends are done. A reset or the
 * connection's end is the end of reading, as SPDY servers of Kubernetes close their streams; what is then still
 * written goes nowhere.
 */
export class SpdyStream extends Duplex {
  readonly id: number
  readonly headers: SpdyHeaders
  readonly #wire: StreamWire
  #wanted: (() => void) | undefined
  #received = false
  #cut = false

  constructor(id: number, headers: SpdyHeaders, wire: StreamWire) {
    super({ allowHalfOpen: true, readableHighWaterMark: 64 * 1024, writableHighWaterMark: 64 * 1024 })
    this.id = id
    this.headers = headers
    this.#wire = wire
    // Who writes after a reset learns it by reading; it is no reason to end the process.
    this.on('error', () => undefined)
  }

  /** Accepts a stream that the peer opened. */
  reply(headers: SpdyHeaders = {}): void {
    this.#wire.reply(this.id, headers)
  }

  /** Bytes from the peer. Resolves when more may come. */
  async deliver(bytes: Buffer, fin: boolean): Promise<void> {
    if (this.#received || this.destroyed) return
    const more = bytes.length === 0 || this.push(bytes)
    if (fin) this.endReading()
    if (more || this.#received) return
    await new Promise<void>((resolve) => {
      this.#wanted = resolve
      if (this.destroyed) resolve()
    })
  }

  endReading(): void {
    if (this.#received) return
    this.#received = true
    this.push(null)
  }

  /** The peer has reset the stream, or the connection is gone. */
  cut(): void {
    this.#cut = true
    this.endReading()
    this.#wanted?.()
    if (!this.writableEnded) this.end()
  }

  override _read(): void {
    this.#wanted?.()
    this.#wanted = undefined
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, done)
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.#cut || bytes.length === 0) {
      done()
      return
    }
    const part = bytes.subarray(0, MAX_DATA_BYTES)
    this.#wire.data(this.id, part, false, (error) => {
      if (error) done(error)
      else this.#send(bytes.subarray(part.length), done)
    })
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#cut) done()
    else this.#wire.data(this.id, Buffer.alloc(0), true, done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#cut && !(this.#received && this.writableFinished)) this.#wire.reset(this.id)
    this.#wire.forget(this.id)
    this.#wanted?.()
    done(error)
  }
}
