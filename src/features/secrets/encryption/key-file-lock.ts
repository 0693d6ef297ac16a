import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { EncryptionError } from './types.ts'

/** Between making the lock and writing the process id into it lies less than this. */
const WRITING_MS = 10_000

/**
 * Runs an action that changes the key file. Two processes that change it at once would lose a key: the second is
 * refused. The lock of a process that died is taken over.
 */
export function withLock<T>(file: string, action: () => T): T {
  const lock = `${file}.lock`
  for (let attempt = 0; !acquire(lock); attempt++) {
    const holder = holderOf(lock)
    if (holder !== undefined || attempt > 0) {
      throw new EncryptionError(
        `the key file ${file} is being changed by process ${holder ?? '?'}: try again (if that is not so, remove ${lock})`,
      )
    }
    rmSync(lock, { force: true })
  }
  try {
    return action()
  } finally {
    rmSync(lock, { force: true })
  }
}

function acquire(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new EncryptionError(`cannot change the key file: ${(error as Error).message}`)
  }
}

/** The living process that holds the lock; undefined when nobody does. */
function holderOf(lock: string): string | undefined {
  let text: string
  let age: number
  try {
    age = Date.now() - statSync(lock).mtimeMs
    text = readFileSync(lock, 'utf8').slice(0, 20)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (!/^[1-9]\d*$/.test(text)) return age < WRITING_MS ? '?' : undefined
  if (Number(text) === process.pid) return undefined
  try {
    process.kill(Number(text), 0)
    return text
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? undefined : text
  }
}
