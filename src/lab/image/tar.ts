/** A file of a tar archive that is written here: owner and time are the same for all, so equal contents are equal bytes. */
export type TarEntry =
  | { type: 'file'; path: string; mode: number; content: Uint8Array }
  | { type: 'directory'; path: string; mode: number }
  | { type: 'link'; path: string; target: string }

const BLOCK = 512
const TYPE = { file: '0', link: '2', directory: '5' } as const

/** The header block of POSIX.1-1988 ustar. Paths here are our own and short. */
export function tarHeader(path: string, type: keyof typeof TYPE, mode: number, size: number, target = ''): Buffer {
  if (Buffer.byteLength(path) > 100 || Buffer.byteLength(target) > 100)
    throw new Error(`${path}: longer than a ustar header holds`)
  const header = Buffer.alloc(BLOCK)
  const octal = (value: number, offset: number, digits: number): void => {
    header.write(value.toString(8).padStart(digits, '0'), offset, 'latin1')
  }
  header.write(path, 0, 'utf8')
  octal(mode, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  if (size < 8 ** 11) octal(size, 124, 11)
  else {
    // GNU's base 256 for what octal digits cannot hold
    header[124] = 0x80
    header.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(0, 136, 11)
  header.write(TYPE[type], 156, 'latin1')
  header.write(target, 157, 'utf8')
  header.write('ustar\u000000', 257, 'latin1')
  setChecksum(header)
  return header
}

function setChecksum(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 'latin1')
}

/** Zeros that fill the last block of `size` bytes. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK)

/** A whole archive, in the given order. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry): Uint8Array[] => {
    if (entry.type === 'directory') return [tarHeader(`${entry.path}/`, 'directory', entry.mode, 0)]
    if (entry.type === 'link') return [tarHeader(entry.path, 'link', 0o777, 0, entry.target)]
    const { length } = entry.content
    return [tarHeader(entry.path, 'file', entry.mode, length), entry.content, tarPadding(length)]
  })
  return Buffer.concat([...parts, TAR_END])
}

/** One entry as it is read. What the caller does not read of `body` is skipped. */
export type ReadEntry = { path: string; size: number; isFile: boolean; header: Buffer; body: AsyncIterable<Buffer> }

/**
 * The entries of an archive, one after the other. Long names (pax, GNU) are entries like all others. Throws an Error
 * for what is not a tar archive and for one that is cut off.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<ReadEntry> {
  const input = new Blocks(source)
  for (;;) {
    const header = await input.take(BLOCK)
    if (header === undefined || header.every((byte) => byte === 0)) return
    checkHeader(header)
    const size = sizeOf(header)
    let left = size
    const padded = (): number => left + tarPadding(size).length
    async function* body(): AsyncGenerator<Buffer> {
      while (left > 0) {
        const chunk = await input.some(left)
        left -= chunk.length
        yield chunk
      }
    }
    const type = String.fromCharCode(header[156]!)
    yield { path: pathOf(header), size, isFile: type === '0' || type === '\u0000', header, body: body() }
    for (let rest = padded(); rest > 0; ) rest -= (await input.some(rest)).length
  }
}

const text = (header: Buffer, from: number, to: number): string => {
  const end = header.indexOf(0, from)
  return header.toString('utf8', from, end === -1 || end > to ? to : end)
}

function pathOf(header: Buffer): string {
  const prefix = text(header, 257, 262) === 'ustar' ? text(header, 345, 500) : ''
  const path = prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`
  return path.replace(/^(\.\/)+/, '').replace(/\/+$/, '')
}

function sizeOf(header: Buffer): number {
  if ((header[124]! & 0x80) === 0) {
    const digits = text(header, 124, 136).trim()
    if (!/^[0-7]*$/.test(digits)) throw new Error('not a tar archive: a size is not octal')
    return Number.parseInt(digits || '0', 8)
  }
  const size = header.readBigUInt64BE(128)
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error('not a tar archive: an entry beyond all sizes')
  return Number(size)
}

function checkHeader(header: Buffer): void {
  const stated = Number.parseInt(text(header, 148, 156).trim(), 8)
  const copy = Buffer.from(header)
  copy.fill(' ', 148, 156)
  if (copy.reduce((total, byte) => total + byte, 0) !== stated)
    throw new Error('not a tar archive: a header has a wrong sum')
}

/** Chunks of any size, taken in sizes of our own. */
class Blocks {
  readonly #source: AsyncIterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Exactly `length` bytes; undefined at the end. */
  async take(length: number): Promise<Buffer | undefined> {
    while (this.#rest.length < length) {
      const next = await this.#source.next()
      if (next.done === true) {
        if (this.#rest.length === 0) return undefined
        throw new Error('the tar archive is cut off')
      }
      this.#rest = Buffer.concat([this.#rest, next.value])
    }
    const taken = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return taken
  }

  /** At least one byte and at most `limit`. */
  async some(limit: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) throw new Error('the tar archive is cut off')
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
    }
    return (await this.take(Math.min(limit, this.#rest.length)))!
  }
}
