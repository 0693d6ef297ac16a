import { createInflate, type Inflate } from 'node:zlib'
import { DICTIONARY_ID, HEADER_DICTIONARY } from './dictionary.ts'
import { SpdyError } from './frames.ts'

/** Names in lower case. Values that came several times under one name are joined by NUL. */
export type SpdyHeaders = Readonly<Record<string, string>>

const MAX_HEADERS_BYTES = 64 * 1024
const MAX_HEADERS = 100
/** The most that a stored block of deflate holds. */
const MAX_STORED = 65_535

/** The name/value block before compression. */
export function encodeNameValues(headers: SpdyHeaders): Buffer {
  const entries = Object.entries(headers)
  const parts: Buffer[] = [uint32(entries.length)]
  for (const [name, value] of entries) {
    const [n, v] = [Buffer.from(name.toLowerCase(), 'utf8'), Buffer.from(value, 'utf8')]
    parts.push(uint32(n.length), n, uint32(v.length), v)
  }
  const block = Buffer.concat(parts)
  if (block.length > MAX_STORED) throw new SpdyError(`headers of ${block.length} bytes are too long`)
  return block
}

/** Throws SpdyError on anything that is not exactly a block. */
export function decodeNameValues(block: Buffer): SpdyHeaders {
  let at = 0
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyError('headers are cut short')
    at += 4
    return block.readUInt32BE(at - 4)
  }
  const text = (): string => {
    const length = number()
    if (length > block.length - at) throw new SpdyError('headers are cut short')
    at += length
    return block.toString('utf8', at - length, at)
  }
  const count = number()
  if (count > MAX_HEADERS) throw new SpdyError(`${count} headers are too many`)
  const headers = new Map<string, string>()
  for (let i = 0; i < count; i++) {
    const name = text()
    if (name === '' || name !== name.toLowerCase()) throw new SpdyError('a header name is empty or not in lower case')
    if (headers.has(name)) throw new SpdyError('a header name came twice')
    headers.set(name, text())
  }
  if (at !== block.length) throw new SpdyError('bytes follow the headers')
  return Object.fromEntries(headers)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/**
 * Header blocks of one direction of a connection are one zlib stream. Stored blocks are all that it needs: a few short
 * headers a connection are not worth a compressor, and nothing can be learned from their compressed length. The empty
 * block behind each one is what readers wait for (zlib's Z_SYNC_FLUSH).
 */
export class HeaderDeflater {
  #begun = false

  deflate(headers: SpdyHeaders): Buffer {
    const block = encodeNameValues(headers)
    const stored = Buffer.alloc(5)
    stored.writeUInt16LE(block.length, 1)
    stored.writeUInt16LE(block.length ^ 0xffff, 3)
    const parts = [stored, block, Buffer.from([0, 0, 0, 0xff, 0xff])]
    // CMF: deflate, 32 KiB window; FLG: preset dictionary, and the check that makes both divisible by 31.
    if (!this.#begun) parts.unshift(Buffer.from([0x78, 0x20]), uint32(DICTIONARY_ID))
    this.#begun = true
    return Buffer.concat(parts)
  }
}

/** The other direction: what peers compress as they like. Blocks must be given in the order they came. */
export class HeaderInflater {
  readonly #inflate: Inflate = createInflate({ dictionary: HEADER_DICTIONARY })
  #parts: Buffer[] = []
  #size = 0
  #fail: ((error: Error) => void) | undefined

  constructor() {
    this.#inflate.on('error', (error) => this.#fail?.(error))
    this.#inflate.on('end', () => this.#fail?.(new Error('the stream of headers ended')))
    this.#inflate.on('data', (part: Buffer) => {
      this.#parts.push(part)
      this.#size += part.length
      // A few bytes can become megabytes: no more is unpacked than headers may be long.
      if (this.#size > MAX_HEADERS_BYTES) this.#inflate.destroy(new Error('they are too long'))
    })
  }

  /** Rejects with SpdyError; after that the connection is of no use. */
  async inflate(block: Buffer): Promise<SpdyHeaders> {
    this.#parts = []
    this.#size = 0
    await new Promise<void>((resolve, reject) => {
      this.#fail = (error) => reject(new SpdyError(`headers cannot be unpacked: ${error.message}`))
      if (this.#inflate.destroyed) this.#fail(new Error('the connection is broken'))
      else this.#inflate.write(block, (error) => (error ? this.#fail?.(error) : resolve()))
    })
    return decodeNameValues(Buffer.concat(this.#parts))
  }

  close(): void {
    this.#inflate.destroy()
  }
}
