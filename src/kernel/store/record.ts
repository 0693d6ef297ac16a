import { crc32 } from 'node:zlib'
import { Version } from './history.ts'

/** Where a version lies in both tables: 8 bytes of revision, 4 of place in the transaction, big-endian: log order. */
export type RecordKey = { modRevision: number; sub: number }

export const recordKeyEncoder: {
  writeKey: (key: RecordKey, target: Buffer, start: number) => number
  readKey: (source: Buffer, start: number, end: number) => RecordKey
} = {
  writeKey(key: RecordKey, target: Buffer, start: number): number {
    writeInteger(target, start, key.modRevision)
    writeWord(target, start + 8, key.sub)
    return start + 12
  },
  readKey(source: Buffer, start: number): RecordKey {
    return { modRevision: readInteger(source, start), sub: readWord(source, start + 8) }
  },
}

const headerBytes = 28

/**
 * createRevision, version (8 bytes each), size and CRC-32 of the value (4 each), CRC-32 of this record and its revision
 * (4), then the key in UTF-8.
 */
export function encodeRecord(version: Version): Buffer {
  const record = Buffer.allocUnsafe(headerBytes + Buffer.byteLength(version.key))
  writeInteger(record, 0, version.createRevision)
  writeInteger(record, 8, version.version)
  writeWord(record, 16, version.size)
  writeWord(record, 20, version.crc)
  record.write(version.key, headerBytes, 'utf8')
  writeWord(record, 24, checksum(record, version.modRevision))
  return record
}

function checksum(record: Buffer, modRevision: number): number {
  return crc32(record.subarray(headerBytes), crc32(record.subarray(0, 24), modRevision >>> 0))
}

/** @throws RangeError when the record is not what was written. */
export function decodeRecord(key: RecordKey, record: Buffer): Version {
  if (record.length <= headerBytes || readWord(record, 24) !== checksum(record, key.modRevision)) {
    throw new RangeError(`the record of revision ${key.modRevision} is not what was written`)
  }
  return new Version(
    record.toString('utf8', headerBytes),
    key.modRevision,
    key.sub,
    readInteger(record, 0),
    readInteger(record, 8),
    readWord(record, 16),
    readWord(record, 20),
  )
}

// The write path's target is a plain byte array over shared memory, so no DataView methods can be relied on.
function writeWord(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function writeInteger(target: Uint8Array, at: number, value: number): void {
  writeWord(target, at, Math.floor(value / 0x1_0000_0000))
  writeWord(target, at + 4, value >>> 0)
}

function readWord(source: Uint8Array, at: number): number {
  return ((source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!) >>> 0
}

function readInteger(source: Uint8Array, at: number): number {
  return readWord(source, at) * 0x1_0000_0000 + readWord(source, at + 4)
}
