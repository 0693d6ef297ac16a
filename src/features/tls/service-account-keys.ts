import type { KeyObject } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivate } from '../../platform/files.ts'
import { readKey } from './authorities.ts'
import { createKeyPair, privateKeyPem } from './certificate.ts'

/** Keys that sign service-account tokens: apart from all certificate keys, numbered files in a folder of their own. */
export type ServiceAccountKeys = {
  /** Newest first: the first signs, all verify. The same array until a rotation. */
  keys: () => readonly KeyObject[]
  /** A new key signs from now on; the old ones go on verifying. */
  rotate: () => void
  /** Removes all but the newest `keep` (at least 1): tokens signed by the others are refused from now on. */
  retire: (keep: number) => void
}

const FILE = /^(\d{4,})\.key$/

export function openServiceAccountKeys(directory: string): ServiceAccountKeys {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  chmodSync(directory, 0o700)
  const numbers = (): number[] =>
    readdirSync(directory)
      .map((name) => FILE.exec(name)?.[1])
      .filter((n) => n !== undefined)
      .map(Number)
      .sort((a, b) => b - a)
  const file = (n: number): string => join(directory, `${String(n).padStart(4, '0')}.key`)
  const create = (): void => writePrivate(file((numbers()[0] ?? 0) + 1), privateKeyPem(createKeyPair().privateKey))
  const load = (): readonly KeyObject[] => numbers().map((n) => readKey(file(n)).key)
  if (numbers().length === 0) create()
  let keys = load()
  return {
    keys: () => keys,
    rotate: () => {
      create()
      keys = load()
    },
    retire: (keep) => {
      for (const n of numbers().slice(Math.max(1, keep))) rmSync(file(n))
      keys = load()
    },
  }
}
