import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { bindMount, isMounted, unmount } from './mounts.ts'

/**
 * Binds a path inside a volume to `target`, made when missing. A container that owns the volume may change it at any
 * moment: so every part of the path is opened without following links, beneath the part before, and what is bound is
 * the open descriptor (CVE-2017-1002101, CVE-2021-25741). Throws when the path leads out of the volume.
 */
export async function bindSubPath(volume: string, subPath: string, target: string): Promise<void> {
  if (subPath.startsWith('/') || subPath.split('/').includes('..'))
    throw new Error(`subPath ${JSON.stringify(subPath)} leaves its volume`)
  const root = realpathSync(volume)
  const parts = resolved(root, subPath)
  const descriptor = openBeneath(root, parts)
  try {
    const isFolder = fstatSync(descriptor).isDirectory()
    if (isMounted(target)) await unmount(target)
    mkdirSync(isFolder ? target : dirname(target), { recursive: true, mode: 0o750 })
    if (!isFolder) writeFileSync(target, '', { flag: 'a', mode: 0o640 })
    await bindMount(`/proc/${process.pid}/fd/${descriptor}`, target)
  } finally {
    closeSync(descriptor)
  }
}

/** Parts below the root after links were followed, as far as the path exists. */
function resolved(root: string, subPath: string): string[] {
  const parts = subPath.split('/').filter((part) => part !== '' && part !== '.')
  for (let existing = parts.length; existing >= 0; existing--) {
    const at = join(root, ...parts.slice(0, existing))
    let real: string
    try {
      real = realpathSync(at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue
      throw error
    }
    if (real !== root && !real.startsWith(root + sep))
      throw new Error(`subPath ${JSON.stringify(subPath)} leaves its volume through a symbolic link`)
    return [...real.slice(root.length).split(sep).filter(Boolean), ...parts.slice(existing)]
  }
  return parts
}

const { O_DIRECTORY, O_NOFOLLOW } = constants
/** open(2) on Linux: names a file without opening it, so that devices and pipes are left alone. */
const O_PATH = 0o10000000

function openBeneath(root: string, parts: readonly string[]): number {
  let current = openSync(root, O_PATH | O_DIRECTORY | O_NOFOLLOW)
  const mode = fstatSync(current).mode & 0o7777
  parts.forEach((part, i) => {
    const path = `/proc/self/fd/${current}/${part}`
    const last = i === parts.length - 1
    const flags = O_PATH | O_NOFOLLOW | (last ? 0 : O_DIRECTORY)
    let next: number
    try {
      next = openOrMake(path, flags, mode)
    } finally {
      closeSync(current)
    }
    current = next
  })
  const real = readlinkSync(`/proc/self/fd/${current}`)
  // Named without being opened, the last part may still be a link.
  if (fstatSync(current).isSymbolicLink() || (real !== root && !real.startsWith(root + sep))) {
    closeSync(current)
    throw new Error('a subPath left its volume while it was opened')
  }
  return current
}

/** What is missing becomes a folder as open as the volume itself. */
function openOrMake(path: string, flags: number, mode: number): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    mkdirSync(path)
    const made = openSync(path, flags | O_DIRECTORY)
    chmodSync(`/proc/self/fd/${made}`, mode)
    return made
  }
}
