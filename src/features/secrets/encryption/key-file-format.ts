import { closeSync, fstatSync, lstatSync, openSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { writePrivate } from '../../../platform/files.ts'
import { EncryptionError } from './types.ts'

export type LocalKey = { id: string /** Milliseconds since the epoch. */; created: number }
export type Key = LocalKey & { key: Buffer }

/** Keys, newest first, and what tells this version of the file from the next. */
export type Loaded = { keys: readonly Key[]; stamp: string }

export const KEY_BYTES = 32
export const MAX_KEYS = 1000
const MAX_FILE_BYTES = 1 << 20
const API_VERSION = 'secrets.rampart.dev/v1'
const KIND = 'LocalKeyFile'

export function write(file: string, keys: readonly Key[]): void {
  const content = {
    apiVersion: API_VERSION,
    kind: KIND,
    keys: keys.map(({ id, created, key }) => ({
      id,
      created: new Date(created).toISOString(),
      key: key.toString('base64'),
    })),
  }
  writePrivate(placeOf(file), `${JSON.stringify(content, undefined, 2)}\n`)
}

/**
 * Where the file is written, and its lock lies: what a symbolic link points to, so that keys stay on the medium that they
 * were put on. Throws for a link to nothing: a medium that is not there is no first start.
 */
export function placeOf(file: string): string {
  if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return file
  try {
    return realpathSync(file)
  } catch {
    throw new EncryptionError(`the key file ${file} is a link to ${readlinkSync(file)}, which is not there`)
  }
}

/** Changes with every version of the file; undefined when there is none. */
export function stampOf(file: string): string | undefined {
  const fd = openForReading(file)
  if (fd === undefined) return undefined
  try {
    return stampOfOpen(fd)
  } finally {
    closeSync(fd)
  }
}

function stampOfOpen(fd: number): string {
  const { dev, ino, size, mtimeNs, mode, uid } = fstatSync(fd, { bigint: true })
  return [dev, ino, size, mtimeNs, mode, uid].join(' ')
}

function openForReading(file: string): number | undefined {
  try {
    return openSync(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new EncryptionError(`cannot read the key file: ${(error as Error).message}`)
  }
}

/** Throws EncryptionError for a file that is missing, broken, too large, or open to others; never quotes a key. */
export function read(file: string): Loaded {
  const fd = openForReading(file)
  if (fd === undefined) throw new EncryptionError(`the key file ${file} is gone: put it back from a backup`)
  try {
    refuseLoose(file, fd)
    return { keys: parse(file, readFileSync(fd, 'utf8')), stamp: stampOfOpen(fd) }
  } finally {
    closeSync(fd)
  }
}

function refuseLoose(file: string, fd: number): void {
  const stat = fstatSync(fd)
  if (!stat.isFile()) throw new EncryptionError(`the key file ${file} is not a regular file`)
  const mode = stat.mode & 0o777
  if ((mode & 0o077) !== 0) {
    throw new EncryptionError(
      `the key file ${file} is open to others (mode ${mode.toString(8).padStart(4, '0')}): chmod 600 it`,
    )
  }
  const me = process.geteuid?.()
  if (me !== undefined && stat.uid !== me && stat.uid !== 0) {
    throw new EncryptionError(`the key file ${file} belongs to user ${stat.uid}, not to this process's user ${me}`)
  }
  if (stat.size > MAX_FILE_BYTES) {
    throw new EncryptionError(`the key file ${file} has ${stat.size} bytes, more than ${MAX_FILE_BYTES}`)
  }
}

function parse(file: string, text: string): readonly Key[] {
  const wrong = (what: string): EncryptionError => new EncryptionError(`the key file ${file} is broken: ${what}`)
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    // JSON.parse quotes what it read; that may be a key.
    throw wrong('it is not JSON')
  }
  if (!isObject(content)) throw wrong('it is not an object')
  if (content['apiVersion'] !== API_VERSION || content['kind'] !== KIND) {
    throw wrong(`apiVersion must be ${API_VERSION} and kind ${KIND}`)
  }
  const list = content['keys']
  if (!Array.isArray(list) || list.length === 0) throw wrong('it holds no keys')
  if (list.length > MAX_KEYS) throw wrong(`it holds ${list.length} keys, more than ${MAX_KEYS}`)
  const keys = list.map((entry: unknown, i) => parseKey(entry, (what) => wrong(`keys[${i}]${what}`)))
  const seen = new Set<string>()
  for (const { id } of keys) {
    if (seen.has(id)) throw wrong(`two keys have the id ${id}`)
    seen.add(id)
  }
  return keys
}

function parseKey(entry: unknown, wrong: (what: string) => EncryptionError): Key {
  if (!isObject(entry)) throw wrong(' is not an object')
  const { id, created, key } = entry
  if (typeof id !== 'string' || !/^[\w.-]{1,128}$/.test(id)) throw wrong('.id must be 1 to 128 of A–Z a–z 0–9 . _ -')
  const time = typeof created === 'string' ? Date.parse(created) : Number.NaN
  if (Number.isNaN(time)) throw wrong('.created is not a time')
  const bytes = typeof key === 'string' ? Buffer.from(key, 'base64') : Buffer.alloc(0)
  if (bytes.toString('base64') !== key) throw wrong('.key is not base64')
  if (bytes.length !== KEY_BYTES) throw wrong(`.key has ${bytes.length} bytes, not ${KEY_BYTES}`)
  return { id, created: time, key: bytes }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
