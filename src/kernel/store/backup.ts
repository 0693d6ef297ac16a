import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { Version } from './history.ts'
import { LmdbFile } from './lmdb-file.ts'
import { type KeyValue, StoreError } from './store.ts'

/*
 * The format of a backup, the same for both stores: all keys at one revision, without history.
 *   magic     16 bytes  "rampart-backup1\n"
 *   revision   8 bytes
 *   records, each: key length (4), value length (4), createRevision (8), modRevision (8), version (8), key, value
 *   end        4 bytes of 0xff, number of records (8), SHA-256 of everything before it (32)
 * Integers are unsigned and big-endian, keys UTF-8.
 */
const magic = Buffer.from('rampart-backup1\n')
const recordHeader = 32
const endMark = 0xffff_ffff
const trailer = 4 + 8 + 32
const chunkBytes = 1 << 20
const maxKeyBytes = 1 << 20
const maxValueBytes = 1 << 30

export type BackupEntry = KeyValue & { value: Uint8Array }

/** Writes `entries` to `file`: mode 0600, in place only when complete and on disk. Answers its size in bytes. */
export async function writeBackup(
  file: string,
  revision: number,
  entries: Iterable<KeyValue> | AsyncIterable<KeyValue>,
): Promise<number> {
  const temporary = `${file}.${process.pid}.partial`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let bytes = 0
    let gathered: Uint8Array[] = []
    let gatheredBytes = 0
    const write = async (): Promise<void> => {
      const chunk = Buffer.concat(gathered, gatheredBytes)
      gathered = []
      gatheredBytes = 0
      await handle.writeFile(chunk)
      bytes += chunk.length
    }
    const add = (part: Uint8Array): void => {
      hash.update(part)
      gathered.push(part)
      gatheredBytes += part.length
    }
    const header = Buffer.alloc(8)
    header.writeBigUInt64BE(BigInt(revision))
    add(magic)
    add(header)
    let count = 0
    for await (const entry of entries) {
      const key = Buffer.from(entry.key)
      const head = Buffer.alloc(recordHeader)
      head.writeUInt32BE(key.length, 0)
      head.writeUInt32BE(entry.value.length, 4)
      head.writeBigUInt64BE(BigInt(entry.createRevision), 8)
      head.writeBigUInt64BE(BigInt(entry.modRevision), 16)
      head.writeBigUInt64BE(BigInt(entry.version), 24)
      add(head)
      add(key)
      add(entry.value)
      count++
      if (gatheredBytes > chunkBytes) await write()
    }
    const end = Buffer.alloc(12)
    end.writeUInt32BE(endMark, 0)
    end.writeBigUInt64BE(BigInt(count), 4)
    add(end)
    gathered.push(hash.digest())
    gatheredBytes += 32
    await write()
    await handle.sync()
    await handle.close()
    await rename(temporary, file)
    await syncDirectory(dirname(file))
    return bytes
  } catch (error) {
    await handle.close().catch(() => {}) // closed already when it was the rename that failed
    await rm(temporary, { force: true })
    throw translate(error, file)
  }
}

/** A backup that was read through once and found whole. */
export class BackupReader {
  readonly revision: number
  readonly count: number
  readonly #handle: FileHandle
  readonly #file: string
  /** Offset of each record with its modRevision, in the order in which they were written to the store. */
  readonly #records: { offset: number; modRevision: number }[]

  private constructor(
    file: string,
    handle: FileHandle,
    revision: number,
    records: { offset: number; modRevision: number }[],
  ) {
    this.#file = file
    this.#handle = handle
    this.revision = revision
    this.#records = records
    this.count = records.length
  }

  /** @throws StoreError 'corrupt' when the file is not a backup, incomplete or damaged. */
  static async open(file: string): Promise<BackupReader> {
    const handle = await open(file, 'r')
    try {
      const { revision, records } = await verify(file, handle)
      records.sort((a, b) => a.modRevision - b.modRevision)
      return new BackupReader(file, handle, revision, records)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** All entries, by modRevision. */
  async *entries(): AsyncGenerator<BackupEntry> {
    for (const { offset } of this.#records) {
      const head = await this.#read(offset, recordHeader)
      const keyLength = head.readUInt32BE(0)
      const body = await this.#read(offset + recordHeader, keyLength + head.readUInt32BE(4))
      yield {
        key: body.toString('utf8', 0, keyLength),
        value: body.subarray(keyLength),
        createRevision: integer(head, 8),
        modRevision: integer(head, 16),
        version: integer(head, 24),
      }
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(length), 0, length, offset)
    if (bytesRead < length) throw new StoreError('corrupt', `${this.#file} changed while it was read`)
    return buffer
  }
}

/**
 * Makes a new store folder from a backup. The folder must be missing or empty, and appears whole or not at all.
 * `bumpRevision` is added to the backup's revision, so that revisions which clients saw after the backup was made are
 * not given out a second time with other content; history before it counts as compacted, so watches start afresh.
 */
export async function restoreBackup(
  file: string,
  directory: string,
  options: { bumpRevision?: number } = {},
): Promise<{ revision: number; count: number }> {
  const present = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (present.length > 0) throw new StoreError('internal', `${directory} is not empty: nothing was restored`)
  const reader = await BackupReader.open(file)
  const temporary = join(dirname(directory), `.${basename(directory)}.${process.pid}.restore`)
  try {
    const revision = reader.revision + (options.bumpRevision ?? 100_000_000)
    await rm(temporary, { recursive: true, force: true })
    await mkdir(temporary, { recursive: true, mode: 0o700 })
    const target = new LmdbFile(temporary)
    try {
      await fill(target, reader, revision)
    } finally {
      await target.close()
    }
    await syncDirectory(temporary)
    await rename(temporary, directory)
    await syncDirectory(dirname(directory))
    return { revision, count: reader.count }
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw translate(error, directory)
  } finally {
    await reader.close()
  }
}

async function fill(target: LmdbFile, reader: BackupReader, revision: number): Promise<void> {
  let written: Version[] = []
  let bytes = 0
  let last = { modRevision: 0, sub: 0 }
  for await (const { key, value, createRevision, modRevision, version } of reader.entries()) {
    last = { modRevision, sub: last.modRevision === modRevision ? last.sub + 1 : 0 }
    const entry = new Version(key, modRevision, last.sub, createRevision, version, value.length, crc32(value))
    entry.value = value
    written.push(entry)
    bytes += value.length
    if (bytes > 4 * chunkBytes || written.length >= 10_000) {
      await target.commit({ written, removed: [] })
      written = []
      bytes = 0
    }
  }
  await target.commit({ written, removed: [], compactRevision: revision })
}

async function verify(
  file: string,
  handle: FileHandle,
): Promise<{ revision: number; records: { offset: number; modRevision: number }[] }> {
  const damaged = (what: string): StoreError => new StoreError('corrupt', `${file}: ${what}`)
  const { size } = await handle.stat()
  const hash = createHash('sha256')
  let buffer: Buffer = Buffer.alloc(0)
  let bufferStart = 0
  let readTo = 0
  // Makes `length` bytes at `offset` present in `buffer`; offsets only grow.
  const need = async (offset: number, length: number): Promise<Buffer> => {
    if (offset + length > size) throw damaged('the file is cut short')
    if (offset + length > readTo) {
      const kept = buffer.subarray(offset - bufferStart)
      const more = Buffer.allocUnsafe(Math.min(size - readTo, Math.max(chunkBytes, offset + length - readTo)))
      const { bytesRead } = await handle.read(more, 0, more.length, readTo)
      if (bytesRead < more.length) throw damaged('the file is cut short')
      buffer = Buffer.concat([kept, more])
      bufferStart = offset
      readTo += bytesRead
    }
    return buffer.subarray(offset - bufferStart, offset - bufferStart + length)
  }
  const head = await need(0, Math.min(size, magic.length + 8))
  if (!head.subarray(0, magic.length).equals(magic) || head.length < magic.length + 8) {
    throw damaged('this is not a backup of a store')
  }
  hash.update(head)
  const revision = integer(head, magic.length)
  const records: { offset: number; modRevision: number }[] = []
  let offset = head.length
  for (;;) {
    const keyLength = (await need(offset, 4)).readUInt32BE(0)
    if (keyLength === endMark) break
    const header = await need(offset, recordHeader)
    const valueLength = header.readUInt32BE(4)
    const modRevision = integer(header, 16)
    const bad = keyLength === 0 || keyLength > maxKeyBytes || valueLength > maxValueBytes || modRevision > revision
    if (bad) throw damaged(`the record at byte ${offset} is damaged`)
    records.push({ offset, modRevision })
    const length = recordHeader + keyLength + valueLength
    hash.update(await need(offset, length))
    offset += length
  }
  const end = await need(offset, trailer)
  hash.update(end.subarray(0, 12))
  if (integer(end, 4) !== records.length || !hash.digest().equals(end.subarray(12))) {
    throw damaged('its checksum does not match: the file is damaged')
  }
  if (offset + trailer !== size) throw damaged('there is something behind its end')
  return { revision, records }
}

const integer = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64BE(at))

/** Makes the names in a folder durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function translate(error: unknown, what: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StoreError('no-space', `${what}: ${message}`, { cause: error })
  return error
}
