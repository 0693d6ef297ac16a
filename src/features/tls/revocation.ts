import { readFileSync, statSync } from 'node:fs'
import type { Log } from '../../kernel/feature.ts'
import { writePrivate } from '../../platform/files.ts'

export type Revocations = {
  /** Serial number and SHA-256 fingerprint in hexadecimal, in any case, with or without colons. */
  isRevoked: (serialNumber: string, fingerprint256: string) => boolean
  /** Writes the certificate to the file; it counts at once. Throws when the file cannot be read or written. */
  revoke: (certificate: { serialNumber?: string; fingerprint256?: string }) => void
  /** Told when a list is in force that was not before. Returns how to stop that. */
  onChange: (listener: () => void) => () => void
  /** Looks at the file now instead of at the next poll. */
  reload: () => void
  close: () => void
}

/** How soon a change of the file counts. */
const POLL_MS = 500

type List = { serialNumbers: string[]; fingerprints: string[] }

/** `0A:BB` → `abb`: leading zeros do not count in a number. */
const canonical = (hex: string): string =>
  hex
    .replaceAll(':', '')
    .toLowerCase()
    .replace(/^0+(?=.)/, '')

/** Reads `{"serialNumbers": [...], "fingerprints": [...]}`. Throws an Error that names the place of what is wrong. */
export function parseRevocations(text: string): List {
  const root: unknown = JSON.parse(text)
  if (root === null || typeof root !== 'object' || Array.isArray(root)) throw new Error('it must be an object')
  const { serialNumbers = [], fingerprints = [], ...unknown } = root as Record<string, unknown>
  const [field] = Object.keys(unknown)
  if (field !== undefined) throw new Error(`unknown field ${JSON.stringify(field)}`)
  return {
    serialNumbers: hexadecimals(serialNumbers, 'serialNumbers', 40),
    fingerprints: hexadecimals(fingerprints, 'fingerprints', 64),
  }
}

function hexadecimals(value: unknown, at: string, digits: number): string[] {
  if (!Array.isArray(value)) throw new Error(`${at} must be a list`)
  return value.map((item: unknown, i) => {
    const hex = typeof item === 'string' ? canonical(item) : ''
    if (!/^[0-9a-f]+$/.test(hex) || hex.length > digits)
      throw new Error(`${at}[${i}] must be a text of at most ${digits} hexadecimal digits`)
    return hex
  })
}

/**
 * Revoked client certificates from a JSON file, which may be missing. It is read again when it changes; when it cannot
 * be, or is gone, the last list stays in force and that is reported. Throws when the first reading fails: a server must
 * not start without the list that it was given.
 */
export function watchRevocations(file: string, log: Log, pollMs: number = POLL_MS): Revocations {
  let list: List = { serialNumbers: [], fingerprints: [] }
  let serials: ReadonlySet<string> = new Set()
  let fingerprints: ReadonlySet<string> = new Set()
  let version = 'none'
  let reported = ''
  const listeners = new Set<() => void>()

  const load = (): void => {
    const stat = statSync(file, { throwIfNoEntry: false })
    const seen = stat === undefined ? 'none' : `${stat.mtimeMs}/${stat.size}/${stat.ino}`
    if (seen === version) return
    if (stat === undefined) throw new Error('the file is gone')
    list = parseRevocations(readFileSync(file, 'utf8'))
    serials = new Set(list.serialNumbers)
    fingerprints = new Set(list.fingerprints)
    version = seen
    for (const listener of [...listeners]) listener()
  }
  const reload = (): void => {
    try {
      load()
      reported = ''
    } catch (error) {
      const { message } = error as Error
      if (message !== reported)
        log('error', 'the list of revoked certificates cannot be read: the last one stays in force', {
          file,
          error: message,
        })
      reported = message
    }
  }

  try {
    load()
  } catch (error) {
    throw new Error(`the list of revoked certificates ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
  const timer = setInterval(reload, pollMs).unref()
  return {
    isRevoked: (serialNumber, fingerprint) =>
      (serials.size > 0 && serials.has(canonical(serialNumber))) ||
      (fingerprints.size > 0 && fingerprints.has(canonical(fingerprint))),
    revoke: ({ serialNumber, fingerprint256 }) => {
      load()
      if (serialNumber !== undefined && fingerprint256 === undefined && serials.has(canonical(serialNumber))) return
      const next = {
        serialNumbers: [...list.serialNumbers, ...(serialNumber === undefined ? [] : [serialNumber])],
        fingerprints: [...list.fingerprints, ...(fingerprint256 === undefined ? [] : [fingerprint256])],
      }
      const text = `${JSON.stringify(next, null, 2)}\n`
      parseRevocations(text)
      writePrivate(file, text)
      load()
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    reload,
    close: () => clearInterval(timer),
  }
}
