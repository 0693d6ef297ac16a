import { randomBytes } from 'node:crypto'
import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../kernel/feature.ts'

/** Room for every small file of a start (settings, process, kubeconfig, renewed certificates), some times over. */
const RESERVE_BYTES = 1024 * 1024
const CHUNK_BYTES = 16 * 1024
const CHECK_MS = 60_000

const reserveFile = (directory: string): string => join(directory, 'reserve')

/** Before a start: on a full disk the reserve makes room, so that a cluster can be read, and cleaned up, at all. */
export function releaseReserve(directory: string): void {
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize < RESERVE_BYTES) rmSync(reserveFile(directory), { force: true })
}

/** After a start: the reserve takes its room back at once, before logs fill it, and grows again when there is more. */
export function keepReserve(directory: string, log: Log): () => void {
  let short = false
  const fill = (): void => {
    const whole = filled(reserveFile(directory))
    if (!whole && !short) log('warn', 'the disk is full: writes fail until there is room; reads and deletes go on')
    short = !whole
  }
  fill()
  const timer = setInterval(fill, CHECK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** As much of it as there is room for; whether that is all. */
function filled(file: string): boolean {
  const there = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (there >= RESERVE_BYTES) return true
  let fd: number | undefined
  try {
    fd = openSync(file, 'a', 0o600)
    // What could be compressed or stored as a hole would reserve nothing.
    for (let size = there; size < RESERVE_BYTES; ) size += writeSync(fd, randomBytes(CHUNK_BYTES))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOSPC' || code === 'EDQUOT') return false
    throw error
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
