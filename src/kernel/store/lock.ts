import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from './store.ts'

export type DirectoryLock = { release: () => Promise<void> }

const busy = 5 // SQLITE_BUSY
const heldHere = new Set<string>()

/**
 * Makes this process the one owner of a folder, which must exist. The lock is SQLite's exclusive file lock on `lock`
 * (POSIX fcntl): the kernel gives it to one process, and takes it back when that process ends, however it ends; network
 * namespaces do not matter. `owner` says in words who holds it, for the message that the second one gets.
 * @throws StoreError 'locked', naming the process that holds the folder.
 */
export async function lockDirectory(directory: string, owner: string): Promise<DirectoryLock> {
  const path = join(directory, 'lock')
  const ownerPath = join(directory, 'lock.owner')
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== busy) {
      throw new StoreError('internal', `cannot lock ${directory}: ${(error as Error).message}`, { cause: error })
    }
    throw new StoreError('locked', `${directory} is in use by ${await holder(path, ownerPath)}`)
  }
  const identity = fileIdentity(path)
  heldHere.add(identity)
  chmodSync(path, 0o600)
  writeFileSync(ownerPath, JSON.stringify({ pid: process.pid, owner }), { mode: 0o600 })
  return {
    release: async () => {
      if (!heldHere.delete(identity)) return
      database.close()
    },
  }
}

/** Words for the process that holds the lock: from the kernel's table where it names one, else from what it wrote. */
async function holder(path: string, ownerPath: string): Promise<string> {
  const identity = fileIdentity(path)
  if (heldHere.has(identity)) return `this very process (pid ${process.pid})`
  // Between taking the lock and writing its name the owner needs a moment; a name left by an earlier owner is stale.
  for (let attempt = 0; attempt < 20; attempt++) {
    const kernelPid = lockedBy(identity)
    const written = readOwner(ownerPath)
    const known = kernelPid ?? written?.pid
    if (written !== undefined && written.pid === known && alive(known)) {
      return `${written.owner}, process ${known} (running)`
    }
    if (kernelPid !== undefined && attempt > 5) return `process ${kernelPid} (running)`
    await sleep(25)
  }
  return 'another process, which this one cannot see (in another container or PID namespace?)'
}

function readOwner(path: string): { pid: number; owner: string } | undefined {
  try {
    const { pid, owner } = JSON.parse(readFileSync(path, 'utf8')) as { pid?: unknown; owner?: unknown }
    return typeof pid === 'number' && typeof owner === 'string' ? { pid, owner } : undefined
  } catch {
    return undefined // not yet written, or half
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** `major:minor:inode` as /proc/locks writes it. */
function fileIdentity(path: string): string {
  const { dev, ino } = statSync(path)
  const major = ((dev >>> 8) & 0xfff).toString(16).padStart(2, '0')
  const minor = ((dev & 0xff) | ((dev >>> 12) & 0xfff00)).toString(16).padStart(2, '0')
  return `${major}:${minor}:${ino}`
}

/** The process that holds an exclusive lock on the file; undefined when it is outside this PID namespace. */
function lockedBy(identity: string): number | undefined {
  let table: string
  try {
    table = readFileSync('/proc/locks', 'utf8')
  } catch {
    return undefined
  }
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[1] === 'POSIX' && fields[3] === 'WRITE' && fields[5] === identity) {
      const pid = Number(fields[4])
      if (pid > 0) return pid
    }
  }
  return undefined
}
