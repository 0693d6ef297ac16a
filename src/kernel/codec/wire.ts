import { isUtf8 } from 'node:buffer'

/** The protobuf wire format (protobuf.dev/programming-guides/encoding): reading and writing, without any schema. */

/** Bytes that are no protobuf message; the message names what is wrong and at which offset. */
export class WireError extends Error {}

export const VARINT = 0
export const FIXED64 = 1
export const BYTES = 2
export const FIXED32 = 5

/** Reads from `at`; every method moves it. Nothing is read beyond `end`, which callers narrow around a submessage. */
export class WireReader {
  at: number
  end: number
  readonly #buffer: Buffer

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = 0
    this.end = bytes.byteLength
  }

  fail(what: string): never {
    throw new WireError(`${what} (offset ${this.at})`)
  }

  #byte(): number {
    if (this.at >= this.end) this.fail('unexpected end of message')
    return this.#buffer[this.at++]!
  }

  /** Field number × 8 + wire type. */
  tag(): number {
    const tag = this.uint32()
    if (tag >>> 3 === 0) this.fail('field number 0')
    return tag
  }

  /** A varint of at most 32 bits: a tag or a length. */
  uint32(): number {
    const value = this.varint()
    if (typeof value === 'bigint' || value > 0xffff_ffff) this.fail('varint exceeds 32 bits')
    return value
  }

  /** An unsigned varint: a number up to 2^53, a bigint beyond. */
  varint(): number | bigint {
    let value = 0
    let factor = 1
    for (let i = 0; i < 7; i++) {
      const b = this.#byte()
      value += (b & 0x7f) * factor
      if (b < 0x80) return value
      factor *= 128
    }
    let big = BigInt(value)
    for (let shift = 49n; shift <= 63n; shift += 7n) {
      const b = this.#byte()
      big |= BigInt(b & 0x7f) << shift
      if (b < 0x80) return BigInt.asUintN(64, big)
    }
    this.fail('varint exceeds 64 bits')
  }

  int64(): bigint {
    return BigInt.asIntN(64, BigInt(this.varint()))
  }

  /** Negative numbers travel as ten bytes; the low 32 bits count. */
  int32(): number {
    const value = this.varint()
    return typeof value === 'number' ? value | 0 : Number(BigInt.asIntN(32, value))
  }

  double(): number {
    if (this.end - this.at < 8) this.fail('unexpected end of message')
    this.at += 8
    return this.#buffer.readDoubleLE(this.at - 8)
  }

  /** A length, and the end of what it measures; `at` is moved behind the length only. */
  length(): number {
    const length = this.uint32()
    if (length > this.end - this.at) this.fail('length exceeds the message')
    return this.at + length
  }

  bytes(): Buffer {
    const end = this.length()
    const slice = this.#buffer.subarray(this.at, end)
    this.at = end
    return slice
  }

  string(): string {
    const end = this.length()
    const text = this.#buffer.toString('utf8', this.at, end)
    if (text.includes('\ufffd') && !isUtf8(this.#buffer.subarray(this.at, end))) this.fail('invalid UTF-8')
    this.at = end
    return text
  }

  base64(): string {
    const end = this.length()
    const text = this.#buffer.toString('base64', this.at, end)
    this.at = end
    return text
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint()
    else if (wireType === BYTES) this.at = this.length()
    else if (wireType === FIXED64 || wireType === FIXED32) {
      const size = wireType === FIXED64 ? 8 : 4
      if (this.end - this.at < size) this.fail('unexpected end of message')
      this.at += size
    } else this.fail(`unsupported wire type ${wireType}`)
  }
}

const sizeOfLength = (n: number): number => (n < 128 ? 1 : n < 16384 ? 2 : n < 2097152 ? 3 : n < 268435456 ? 4 : 5)

/** Writes into one growing buffer; submessages are written in place and moved when their length takes more bytes. */
export class WireWriter {
  #buffer: Buffer = Buffer.allocUnsafe(4096)
  #at = 0

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#at))
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + size))
    this.#buffer.copy(grown, 0, 0, this.#at)
    this.#buffer = grown
  }

  #varint(value: number): void {
    this.#reserve(10)
    let rest = value
    while (rest >= 128) {
      this.#buffer[this.#at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#at++] = rest
  }

  bool(field: number, value: boolean): void {
    this.#varint(field * 8 + VARINT)
    this.#varint(value ? 1 : 0)
  }

  int(field: number, value: number | bigint): void {
    this.#varint(field * 8 + VARINT)
    if (typeof value === 'number' && value >= 0) this.#varint(value)
    else {
      let rest = BigInt.asUintN(64, BigInt(value))
      this.#reserve(10)
      while (rest >= 128n) {
        this.#buffer[this.#at++] = Number(rest & 127n) | 128
        rest >>= 7n
      }
      this.#buffer[this.#at++] = Number(rest)
    }
  }

  double(field: number, value: number): void {
    this.#varint(field * 8 + FIXED64)
    this.#reserve(8)
    this.#at = this.#buffer.writeDoubleLE(value, this.#at)
  }

  string(field: number, value: string): void {
    this.#varint(field * 8 + BYTES)
    const size = Buffer.byteLength(value)
    this.#varint(size)
    this.#reserve(size)
    this.#at += this.#buffer.write(value, this.#at, 'utf8')
  }

  bytes(field: number, value: Uint8Array): void {
    this.#varint(field * 8 + BYTES)
    this.#varint(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#at)
    this.#at += value.length
  }

  message(field: number, write: () => void): void {
    this.#varint(field * 8 + BYTES)
    this.#reserve(1)
    const start = ++this.#at
    write()
    const length = this.#at - start
    const shift = sizeOfLength(length) - 1
    if (shift > 0) {
      this.#reserve(shift)
      this.#buffer.copyWithin(start + shift, start, this.#at)
    }
    this.#at = start - 1
    this.#varint(length)
    this.#at += length
  }
}
