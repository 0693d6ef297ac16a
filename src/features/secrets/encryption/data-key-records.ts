import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import type { Log } from '../../../kernel/feature.ts'
import { writePrivate } from '../../../platform/files.ts'
import { type DataKeySource, HKDF_SHA256_XNONCE_AES_GCM_SEED, wrongSource } from './encrypted-object.ts'

/** The wrapped data key that a plugin's values are written with, kept so that a restart goes on with it. */
export type DataKeyRecord = {
  source: DataKeySource
  /** Milliseconds since the epoch. */
  created: number
  /** Upper bound of the writes made with it. */
  uses: number
  /** `DataKey.check`: what the plugin unwraps must be that very key. */
  check: string
}

/**
 * Without these records nothing is lost: a server that finds none makes a new data key. With them a restart neither
 * makes all values look stale nor counts the uses of a data key anew.
 */
export type DataKeyRecords = {
  get: (plugin: string) => DataKeyRecord | undefined
  /** False when it could not be written. */
  set: (plugin: string, record: DataKeyRecord) => boolean
}

const API_VERSION = 'secrets.rampart.dev/v1'
const KIND = 'DataKeyRecords'
const MAX_FILE_BYTES = 1 << 20

type StoredRecord = {
  keyId: string
  ciphertext: string
  annotations: Record<string, string>
  created: string
  uses: number
  check: string
}

export function openDataKeyRecords(file: string, log: Log): DataKeyRecords {
  let records = new Map<string, DataKeyRecord>()
  try {
    records = load(file)
  } catch (error) {
    log('warn', 'the record of data keys cannot be used; new data keys are made', {
      file,
      reason: error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message,
    })
  }
  return {
    get: (plugin) => records.get(plugin),
    set: (plugin, record) => {
      records.set(plugin, record)
      try {
        save(file, records)
        return true
      } catch (error) {
        log('warn', 'the record of data keys cannot be written', { file, reason: (error as Error).message })
        return false
      }
    },
  }
}

function load(file: string): Map<string, DataKeyRecord> {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    throw error
  }
  try {
    const { size } = fstatSync(fd)
    if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes, more than ${MAX_FILE_BYTES}`)
    const content = JSON.parse(readFileSync(fd, 'utf8')) as { kind?: unknown; plugins?: Record<string, StoredRecord> }
    if (content?.kind !== KIND || typeof content.plugins !== 'object') throw new Error(`its kind is not ${KIND}`)
    return new Map(Object.entries(content.plugins).map(([plugin, stored]) => [plugin, decode(stored)]))
  } finally {
    closeSync(fd)
  }
}

function decode(stored: StoredRecord): DataKeyRecord {
  const { keyId, ciphertext, annotations, created, uses, check } = stored
  const source: DataKeySource = {
    keyId: String(keyId),
    ciphertext: Buffer.from(String(ciphertext), 'base64'),
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([key, value]) => [key, Buffer.from(String(value), 'base64')]),
    ),
    type: HKDF_SHA256_XNONCE_AES_GCM_SEED,
  }
  const wrong = wrongSource(source)
  if (wrong !== undefined) throw new Error(wrong)
  const time = Date.parse(created)
  if (Number.isNaN(time) || !Number.isSafeInteger(uses) || uses < 0) throw new Error('a time or a count is wrong')
  if (typeof check !== 'string' || !/^[0-9a-f]{64}$/.test(check)) throw new Error('a check of a data key is missing')
  return { source, created: time, uses, check }
}

function save(file: string, records: ReadonlyMap<string, DataKeyRecord>): void {
  const plugins: Record<string, StoredRecord> = {}
  for (const [plugin, { source, created, uses, check }] of records) {
    plugins[plugin] = {
      keyId: source.keyId,
      ciphertext: Buffer.from(source.ciphertext).toString('base64'),
      annotations: Object.fromEntries(
        Object.entries(source.annotations).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
      ),
      created: new Date(created).toISOString(),
      uses,
      check,
    }
  }
  writePrivate(file, `${JSON.stringify({ apiVersion: API_VERSION, kind: KIND, plugins }, undefined, 2)}\n`)
}
