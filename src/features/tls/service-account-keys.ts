import type { KeyObject } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from '../../platform/files.ts'
import { readKey } from './authorities.ts'
import { createKeyPair, privateKeyPem } from './certificate.ts'

/** Keys that sign service-account tokens: apart from all certificate keys, numbered files in a folder of their own. */
export type ServiceAccountKeys = {
  /** The first signs (the newest that is not merely prepared), all verify. The same array until something changes. */
  keys: () => readonly KeyObject[]
  /**
   * A new key, or the prepared one, signs from now on; the old ones go on verifying. With several control planes the
   * others must know a key before it signs: prepare it, share it, then rotate.
   */
  rotate: () => void
  /** Makes the next key: it verifies at once (and stands in the JWKS) and signs after `rotate`. Once made, it is kept. */
  prepare: () => void
  /** Removes all but the newest `keep` (at least 1): tokens signed by the others are refused from now on. */
  retire: (keep: number) => void
  /** Reads the folder again after somebody else changed it. */
  reload: () => void
}

const FILE = /^(\d{4,})\.key$/
const PREPARED = /^(\d{4,})\.next\.key$/

export function openServiceAccountKeys(directory: string): ServiceAccountKeys {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const numbers = (pattern: RegExp): number[] =>
    readdirSync(directory)
      .map((name) => pattern.exec(name)?.[1])
      .filter((n) => n !== undefined)
      .map(Number)
      .sort((a, b) => b - a)
  const path = (n: number, suffix: string): string => join(directory, `${String(n).padStart(4, '0')}${suffix}`)
  const active = (n: number): string => path(n, '.key')
  const prepared = (n: number): string => path(n, '.next.key')
  const next = (): number => (numbers(FILE)[0] ?? 0) + 1
  const newPem = (): string => privateKeyPem(createKeyPair().privateKey)
  const load = (): readonly KeyObject[] =>
    [...numbers(FILE).map(active), ...numbers(PREPARED).map(prepared)].map((file) => readKey(file).key)

  if (numbers(FILE).length === 0) writePrivate(active(next()), newPem())
  let keys = load()
  return {
    keys: () => keys,
    rotate: () => {
      const waiting = numbers(PREPARED)[0]
      writePrivate(active(next()), waiting === undefined ? newPem() : readFileSync(prepared(waiting)))
      if (waiting !== undefined) rmSync(prepared(waiting))
      keys = load()
    },
    prepare: () => {
      if (numbers(PREPARED).length === 0) writePrivate(prepared(next()), newPem())
      keys = load()
    },
    retire: (keep) => {
      for (const n of numbers(FILE).slice(Math.max(1, keep))) rmSync(active(n))
      keys = load()
    },
    reload: () => {
      keys = load()
    },
  }
}
