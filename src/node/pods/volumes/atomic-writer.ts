import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Payload } from './payload.ts'

const DATA = '..data'
/** Set by hand wherever the container's user must come in: the agent's own umask is strict. */
const FOLDER_MODE = 0o755

/**
 * Makes the folder show exactly these files, all of them changed at once for who reads through `..data`
 * (pkg/volume/util/atomic_writer.go): the files lie in a folder named after the time, `..data` points to it, and each
 * visible name points through `..data`. `group` owns the files and may read them. True: something has changed.
 */
export function writeAtomically(folder: string, payload: Payload, now: Date, group?: number): boolean {
  const current = currentFolder(folder)
  if (current !== undefined && same(join(folder, current), payload, group)) return false
  const fresh = `..${now.toISOString().replaceAll(/[-:T]/g, '_').slice(0, 19)}.${randomBytes(5).readUInt32BE()}`
  const root = join(folder, fresh)
  mkdirSync(root)
  chmodSync(root, FOLDER_MODE)
  for (const [path, { data, mode, uid }] of payload) {
    const file = join(root, path)
    makeFolders(root, dirname(path))
    writeFileSync(file, data, { mode: 0o600, flag: 'wx' })
    if (uid !== undefined || group !== undefined) chownSync(file, uid ?? 0, group ?? 0)
    chmodSync(file, modeFor(mode, group))
  }
  const link = join(folder, '..data_tmp')
  rmSync(link, { force: true })
  symlinkSync(fresh, link)
  renameSync(link, join(folder, DATA))
  const names = new Set([...payload.keys()].map((path) => path.split('/')[0]!))
  for (const entry of readdirSync(folder)) {
    if (entry === DATA || entry === fresh) continue
    if (entry.startsWith('..')) rmSync(join(folder, entry), { recursive: true, force: true })
    else if (!names.has(entry)) unlinkSync(join(folder, entry))
  }
  for (const name of names) {
    const at = join(folder, name)
    if (lstatSync(at, { throwIfNoEntry: false }) === undefined) symlinkSync(join(DATA, name), at)
  }
  return true
}

const modeFor = (mode: number, group: number | undefined): number => (group === undefined ? mode : mode | 0o440)

function makeFolders(root: string, path: string): void {
  let at = root
  for (const part of path.split('/')) {
    at = join(at, part)
    if (existsSync(at)) continue
    mkdirSync(at)
    chmodSync(at, FOLDER_MODE)
  }
}

function currentFolder(folder: string): string | undefined {
  try {
    return readlinkSync(join(folder, DATA))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function same(root: string, payload: Payload, group: number | undefined): boolean {
  let found = 0
  const walk = (at: string, prefix: string): boolean => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = prefix + entry.name
      if (entry.isDirectory()) {
        if (!walk(join(at, entry.name), `${path}/`)) return false
        continue
      }
      const wanted = payload.get(path)
      const file = join(at, entry.name)
      if (wanted === undefined || !readFileSync(file).equals(wanted.data)) return false
      if ((statSync(file).mode & 0o7777) !== modeFor(wanted.mode, group)) return false
      found++
    }
    return true
  }
  try {
    return walk(root, '') && found === payload.size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
