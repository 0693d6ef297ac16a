/**
 * Protocol buffers (proto3) for gRPC clients and servers: messages declared as tables of fields, compiled to closures.
 *
 *   type Point = { x: number; label: string; parent: Point | undefined }
 *   const point: Message<Point> = message({ x: integer(1), label: string(2), parent: embedded(3, () => point) })
 *   point.encode({ x: 5 }); point.decode(bytes).label
 *
 * Encoding follows https://protobuf.dev/programming-guides/encoding/. As proto3 has it, a scalar with its default value
 * is not sent and an absent one reads as its default; an absent message is undefined. Unknown fields are skipped.
 * Integers are JavaScript numbers: exact up to 2^53. Decoded bytes are views of the buffer that was given.
 */
export type Message<T> = {
  encode: (value: Partial<T>) => Buffer
  /** @throws ProtoError */
  decode: (bytes: Uint8Array) => T
  /** Writes the fields, without a length, in front of what the writer holds. */
  write: (writer: Writer, value: Partial<T>) => void
  read: (reader: Reader, end: number, depth: number) => T
}

export class ProtoError extends Error {
  constructor(message: string) {
    super(`malformed protobuf: ${message}`)
    this.name = 'ProtoError'
  }
}

const varint = 0
const fixed64 = 1
const delimited = 2
const fixed32 = 5
const maxDepth = 100

/** What one field does; `T` is what it holds in the decoded object. */
export type Field<T> = {
  number: number
  initial: () => T
  write: (writer: Writer, value: T) => void
  /** `before` is what earlier occurrences of the field in the same message gave. */
  read: (reader: Reader, wire: number, before: T, depth: number) => T
}

export function message<T>(fields: { [K in keyof T]: Field<T[K]> }): Message<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  // Written back to front, so the highest number goes first.
  const descending = names
    .map((name) => ({ name, field: fields[name] as Field<unknown> }))
    .sort((a, b) => b.field.number - a.field.number)
  const byNumber = new Map(descending.map((entry) => [entry.field.number, entry]))
  const self: Message<T> = {
    encode(value: Partial<T>): Buffer {
      const writer = new Writer()
      self.write(writer, value)
      return writer.finish()
    },
    decode(bytes: Uint8Array): T {
      return self.read(new Reader(bytes), bytes.length, 0)
    },
    write(writer: Writer, value: Partial<T>): void {
      for (const { name, field } of descending) {
        const part = value[name]
        if (part !== undefined && part !== null) field.write(writer, part)
      }
    },
    read(reader: Reader, end: number, depth: number): T {
      if (depth > maxDepth) throw new ProtoError('messages are nested too deep')
      const value: Record<string, unknown> = {}
      for (const name of names) value[name] = (fields[name] as Field<unknown>).initial()
      while (reader.at < end) {
        const tag = reader.varint()
        const entry = byNumber.get(Math.floor(tag / 8))
        if (entry === undefined) reader.skip(tag % 8)
        else value[entry.name] = entry.field.read(reader, tag % 8, value[entry.name], depth)
      }
      if (reader.at !== end) throw new ProtoError('a field reaches beyond its message')
      return value as T
    },
  }
  return self
}

/** int32, int64, uint32, uint64 below 2^63, and enums. */
export function integer(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (writer, value) => {
      if (value === 0) return
      writer.varint(value)
      writer.tag(number, varint)
    },
    read: (reader, wire) => {
      expect(wire, varint, number)
      return reader.varint()
    },
  }
}

export function bool(number: number): Field<boolean> {
  const inner = integer(number)
  return {
    number,
    initial: () => false,
    write: (writer, value) => inner.write(writer, value ? 1 : 0),
    read: (reader, wire, _before, depth) => inner.read(reader, wire, 0, depth) !== 0,
  }
}

export function bytes(number: number): Field<Uint8Array> {
  return {
    number,
    initial: () => noBytes,
    write: (writer, value) => {
      if (value.length > 0) writeBytes(writer, number, value)
    },
    read: (reader, wire) => {
      expect(wire, delimited, number)
      return reader.bytes(reader.length())
    },
  }
}

export function string(number: number): Field<string> {
  return {
    number,
    initial: () => '',
    write: (writer, value) => {
      if (value !== '') writeBytes(writer, number, Buffer.from(value))
    },
    read: (reader, wire) => {
      expect(wire, delimited, number)
      return reader.text(reader.length())
    },
  }
}

/** A message within a message; undefined when absent. `of` is a function so that messages may contain themselves. */
export function embedded<T>(number: number, of: () => Message<T>): Field<T | undefined> {
  return {
    number,
    initial: () => undefined,
    write: (writer, value) => {
      if (value === undefined) return
      writeMessage(writer, number, of(), value)
    },
    read: (reader, wire, _before, depth) => {
      expect(wire, delimited, number)
      return of().read(reader, reader.end(), depth + 1)
    },
  }
}

export function repeatedMessage<T>(number: number, of: () => Message<T>): Field<T[]> {
  return {
    number,
    initial: () => [],
    write: (writer, value) => {
      const inner = of()
      for (let i = value.length - 1; i >= 0; i--) writeMessage(writer, number, inner, value[i]!)
    },
    read: (reader, wire, before, depth) => {
      expect(wire, delimited, number)
      before.push(of().read(reader, reader.end(), depth + 1))
      return before
    },
  }
}

export function repeatedBytes(number: number): Field<Uint8Array[]> {
  const one = bytes(number)
  return {
    number,
    initial: () => [],
    write: (writer, value) => {
      for (let i = value.length - 1; i >= 0; i--) writeBytes(writer, number, value[i]!)
    },
    read: (reader, wire, before, depth) => {
      before.push(one.read(reader, wire, noBytes, depth))
      return before
    },
  }
}

export function repeatedString(number: number): Field<string[]> {
  const one = string(number)
  return {
    number,
    initial: () => [],
    write: (writer, value) => {
      for (let i = value.length - 1; i >= 0; i--) writeBytes(writer, number, Buffer.from(value[i]!))
    },
    read: (reader, wire, before, depth) => {
      before.push(one.read(reader, wire, '', depth))
      return before
    },
  }
}

/** Written packed; read packed or one by one. */
export function repeatedInteger(number: number): Field<number[]> {
  return {
    number,
    initial: () => [],
    write: (writer, value) => {
      if (value.length === 0) return
      const before = writer.length
      for (let i = value.length - 1; i >= 0; i--) writer.varint(value[i]!)
      writer.varint(writer.length - before)
      writer.tag(number, delimited)
    },
    read: (reader, wire, before) => {
      if (wire === varint) {
        before.push(reader.varint())
        return before
      }
      expect(wire, delimited, number)
      const end = reader.end()
      while (reader.at < end) before.push(reader.varint())
      if (reader.at !== end) throw new ProtoError('a packed field reaches beyond its end')
      return before
    },
  }
}

/** map<string, string>; its object has no prototype. */
export function stringMap(number: number): Field<Record<string, string>> {
  return {
    number,
    initial: () => Object.create(null) as Record<string, string>,
    write: (writer, value) => {
      for (const key of Object.keys(value).sort().reverse()) {
        writeMessage(writer, number, mapEntry, { key, value: value[key]! })
      }
    },
    read: (reader, wire, before, depth) => {
      expect(wire, delimited, number)
      const { key, value } = mapEntry.read(reader, reader.end(), depth + 1)
      before[key] = value
      return before
    },
  }
}

const noBytes: Uint8Array = Buffer.alloc(0)
const mapEntry: Message<{ key: string; value: string }> = message({ key: string(1), value: string(2) })

function expect(wire: number, wanted: number, number: number): void {
  if (wire !== wanted) throw new ProtoError(`field ${number} has wire type ${wire}, not ${wanted}`)
}

function writeBytes(writer: Writer, number: number, value: Uint8Array): void {
  writer.bytes(value)
  writer.varint(value.length)
  writer.tag(number, delimited)
}

function writeMessage<T>(writer: Writer, number: number, inner: Message<T>, value: Partial<T>): void {
  const before = writer.length
  inner.write(writer, value)
  writer.varint(writer.length - before)
  writer.tag(number, delimited)
}

/** Fills a buffer from its end to its start: a message's length is known when the space before it is written. */
export class Writer {
  #buffer: Buffer = Buffer.allocUnsafe(512)
  #start = 512

  get length(): number {
    return this.#buffer.length - this.#start
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#start -= value.length
    this.#buffer.set(value, this.#start)
  }

  /** Negative numbers take ten bytes, as two's complement of 64 bits. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new ProtoError(`${value} is not an integer that can be sent`)
    const groups: number[] = []
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value))
      for (; rest > 0x7fn; rest >>= 7n) groups.push(Number(rest & 0x7fn))
      groups.push(Number(rest))
    } else {
      let rest = value
      for (; rest > 0x7f; rest = Math.floor(rest / 128)) groups.push(rest % 128)
      groups.push(rest)
    }
    this.#reserve(groups.length)
    this.#start -= groups.length
    const last = groups.length - 1
    for (let i = 0; i <= last; i++) this.#buffer[this.#start + i] = i === last ? groups[i]! : groups[i]! | 0x80
  }

  tag(number: number, wire: number): void {
    this.varint(number * 8 + wire)
  }

  finish(): Buffer {
    return this.#buffer.subarray(this.#start)
  }

  #reserve(count: number): void {
    if (count <= this.#start) return
    const used = this.length
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, used + count + 64))
    this.#buffer.copy(grown, grown.length - used, this.#start)
    this.#buffer = grown
    this.#start = grown.length - used
  }
}

export class Reader {
  readonly #bytes: Buffer
  at = 0

  constructor(source: Uint8Array) {
    this.#bytes = Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.length)
  }

  varint(): number {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#next()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return low
    }
    let big = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#next()
      big |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, big))
    }
    throw new ProtoError('a number has more than ten bytes')
  }

  length(): number {
    const length = this.varint()
    if (length < 0 || length > this.#bytes.length - this.at) throw new ProtoError('a field is cut short')
    return length
  }

  /** Where the delimited field ends whose length comes next. */
  end(): number {
    const length = this.length()
    return this.at + length
  }

  bytes(length: number): Uint8Array {
    const start = this.at
    this.at += length
    return this.#bytes.subarray(start, this.at)
  }

  text(length: number): string {
    const start = this.at
    this.at += length
    return this.#bytes.toString('utf8', start, this.at)
  }

  skip(wire: number): void {
    if (wire === varint) this.varint()
    else if (wire === fixed64) this.#forward(8)
    else if (wire === delimited) this.#forward(this.length())
    else if (wire === fixed32) this.#forward(4)
    else throw new ProtoError(`wire type ${wire}`)
  }

  #forward(length: number): void {
    this.at += length
    if (this.at > this.#bytes.length) throw new ProtoError('a field is cut short')
  }

  #next(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new ProtoError('a number is cut short')
    return byte
  }
}
