/** SPDY/3.1 frames: draft-mbelshe-httpbis-spdy-00 with 3.1's stream 0 in WINDOW_UPDATE. */

/** A peer that does not speak SPDY/3.1. */
export class SpdyError extends Error {
  constructor(message: string) {
    super(`SPDY: ${message}`)
    this.name = 'SpdyError'
  }
}

export const FIN = 0x01
export const UNIDIRECTIONAL = 0x02

/** RST_STREAM's codes that are used here. */
export const RST = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const

/** `block` is the compressed name/value block. */
export type Frame =
  | { type: 'SYN_STREAM'; id: number; flags: number; block: Buffer }
  | { type: 'SYN_REPLY'; id: number; flags: number; block: Buffer }
  | { type: 'HEADERS'; id: number; flags: number; block: Buffer }
  | { type: 'RST_STREAM'; id: number; status: number }
  | { type: 'SETTINGS' }
  | { type: 'PING'; id: number }
  | { type: 'GOAWAY'; lastId: number; status: number }
  | { type: 'WINDOW_UPDATE'; id: number; delta: number }
  /** A piece of a DATA frame as it came in; `fin` on the last one. */
  | { type: 'DATA'; id: number; bytes: Buffer; fin: boolean }
  /** A kind of control frame that this version does not know. */
  | { type: 'UNKNOWN'; kind: number }

const VERSION = 3
const HEAD = 8
/** Control frames carry headers at most. */
export const MAX_CONTROL_BYTES: number = 64 * 1024
const MAX_ID = 0x7fffffff

/** How long a control frame must be: exactly, or at least. */
const LENGTHS: Readonly<Record<number, { exact?: number; least?: number }>> = {
  1: { least: 10 },
  2: { least: 4 },
  3: { exact: 8 },
  4: { least: 4 },
  6: { exact: 4 },
  7: { exact: 8 },
  8: { least: 4 },
  9: { exact: 8 },
}

/** Bytes in, frames out. Of a DATA frame nothing is kept: its length may be 16 MiB. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0)
  /** What is still to come of a DATA frame. */
  #data: { id: number; left: number; fin: boolean } | undefined;

  /** Throws SpdyError, after which the decoder is of no use. */
  *decode(chunk: Buffer): Generator<Frame> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = Buffer.alloc(0)
    while (bytes.length > 0) {
      if (this.#data !== undefined) {
        const { id, left, fin } = this.#data
        const part = bytes.subarray(0, left)
        bytes = bytes.subarray(part.length)
        this.#data = part.length === left ? undefined : { id, left: left - part.length, fin }
        yield { type: 'DATA', id, bytes: part, fin: fin && part.length === left }
        continue
      }
      if (bytes.length < HEAD) break
      const length = bytes.readUIntBE(5, 3)
      if ((bytes[0]! & 0x80) === 0) {
        const id = bytes.readUInt32BE(0)
        const fin = (bytes[4]! & FIN) !== 0
        if (id === 0) throw new SpdyError('data for stream 0')
        bytes = bytes.subarray(HEAD)
        if (length > 0) this.#data = { id, left: length, fin }
        else yield { type: 'DATA', id, bytes: Buffer.alloc(0), fin }
        continue
      }
      if (length > MAX_CONTROL_BYTES) throw new SpdyError(`a control frame of ${length} bytes is too long`)
      if (bytes.length < HEAD + length) break
      const frame = controlFrame(bytes.subarray(0, HEAD + length))
      bytes = bytes.subarray(HEAD + length)
      yield frame
    }
    // A copy: the rest is short, what it was cut from may not be.
    if (bytes.length > 0) this.#rest = Buffer.from(bytes)
  }
}

function controlFrame(bytes: Buffer): Frame {
  const version = bytes.readUInt16BE(0) & 0x7fff
  if (version !== VERSION) throw new SpdyError(`version ${version} is not spoken`)
  const kind = bytes.readUInt16BE(2)
  const flags = bytes[4]!
  const body = bytes.subarray(HEAD)
  const rule = LENGTHS[kind]
  if (rule === undefined) return { type: 'UNKNOWN', kind }
  if ((rule.exact ?? body.length) !== body.length || body.length < (rule.least ?? 0))
    throw new SpdyError(`a control frame of kind ${kind} has ${body.length} bytes`)
  const word = body.readUInt32BE(0)
  const id = word & MAX_ID
  switch (kind) {
    case 1:
      return { type: 'SYN_STREAM', id, flags, block: Buffer.from(body.subarray(10)) }
    case 2:
      return { type: 'SYN_REPLY', id, flags, block: Buffer.from(body.subarray(4)) }
    case 3:
      return { type: 'RST_STREAM', id, status: body.readUInt32BE(4) }
    case 4:
      if (body.length !== 4 + 8 * word) throw new SpdyError(`SETTINGS of ${word} entries has ${body.length} bytes`)
      return { type: 'SETTINGS' }
    case 6:
      return { type: 'PING', id: word }
    case 7:
      return { type: 'GOAWAY', lastId: id, status: body.readUInt32BE(4) }
    case 8:
      return { type: 'HEADERS', id, flags, block: Buffer.from(body.subarray(4)) }
    default:
      return { type: 'WINDOW_UPDATE', id, delta: body.readUInt32BE(4) & MAX_ID }
  }
}

function control(kind: number, flags: number, ...words: (number | Buffer)[]): Buffer {
  const body = Buffer.concat(words.map((word) => (typeof word === 'number' ? uint32(word) : word)))
  const head = Buffer.alloc(HEAD)
  head.writeUInt16BE(0x8000 | VERSION, 0)
  head.writeUInt16BE(kind, 2)
  head[4] = flags
  head.writeUIntBE(body.length, 5, 3)
  return Buffer.concat([head, body])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

export const encode = {
  /** No stream that it belongs to, highest priority, no credential slot. */
  synStream: (id: number, flags: number, block: Buffer): Buffer => control(1, flags, id, 0, Buffer.alloc(2), block),
  synReply: (id: number, flags: number, block: Buffer): Buffer => control(2, flags, id, block),
  rstStream: (id: number, status: number): Buffer => control(3, 0, id, status),
  ping: (id: number): Buffer => control(6, 0, id),
  goAway: (lastId: number, status: number): Buffer => control(7, 0, lastId, status),
  /** What stands before the bytes of a DATA frame; at most 16 MiB - 1 of them. */
  dataHead: (id: number, fin: boolean, length: number): Buffer => {
    const head = Buffer.alloc(HEAD)
    head.writeUInt32BE(id, 0)
    head[4] = fin ? FIN : 0
    head.writeUIntBE(length, 5, 3)
    return head
  },
} as const
