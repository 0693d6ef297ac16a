import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writePrivate } from '../platform/files.ts'
import { processStartTime } from '../platform/process.ts'

/** What the lab knows of a machine, on or off. It is written before anything of the machine is made. */
export type MachineRecord = {
  name: string
  address: string
  machineId: string
  /** `SHA256:…` and the key itself, as a cloud's console would show them. */
  sshHostKeyFingerprint: string
  sshHostKey: string
}

export type LabRecord = { version: 1; machines: MachineRecord[] }

const recordFile = (directory: string): string => join(directory, 'lab', 'lab.json')
const lockFile = (directory: string): string => join(directory, 'lab', 'lock')

export function readRecord(directory: string): LabRecord {
  let text: string
  try {
    text = readFileSync(recordFile(directory), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { version: 1, machines: [] }
    throw error
  }
  try {
    const record = JSON.parse(text) as LabRecord
    if (record.version !== 1 || !Array.isArray(record.machines)) throw new Error('is not of version 1')
    return record
  } catch (error) {
    throw new Error(`${recordFile(directory)}: ${(error as Error).message}`)
  }
}

export function writeRecord(directory: string, record: LabRecord): void {
  mkdirSync(join(directory, 'lab'), { recursive: true, mode: 0o700 })
  writePrivate(recordFile(directory), JSON.stringify(record, null, 2))
}

/** One program at a time changes a lab. What a killed one left is taken over; a living one is waited for. */
export async function withLock<T>(directory: string, work: () => Promise<T>, timeoutMs: number = 60_000): Promise<T> {
  mkdirSync(join(directory, 'lab'), { recursive: true, mode: 0o700 })
  const own = `${lockFile(directory)}.${process.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(own, `${process.pid} ${processStartTime(process.pid)}`, { mode: 0o600 })
  const deadline = performance.now() + timeoutMs
  try {
    while (!take(directory, own)) {
      if (performance.now() > deadline) throw new Error(`${lockFile(directory)}: another program is changing this lab`)
      await sleep(50)
    }
    forgetDead(directory)
    try {
      return await work()
    } finally {
      rmSync(lockFile(directory), { force: true })
    }
  } finally {
    rmSync(own, { force: true })
  }
}

/** Files of programs that were killed while they waited. */
function forgetDead(directory: string): void {
  for (const name of readdirSync(join(directory, 'lab'))) {
    const pid = /^lock\.(\d+)\./.exec(name)?.[1]
    if (pid !== undefined && processStartTime(Number(pid)) === undefined)
      rmSync(join(directory, 'lab', name), { force: true })
  }
}

function take(directory: string, own: string): boolean {
  const file = lockFile(directory)
  try {
    linkSync(own, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  let holder: string
  try {
    holder = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  const [pid, startTime] = holder.split(' ')
  if (processStartTime(Number(pid)) === startTime) return false
  // Only one of several waiters can move the dead one's lock away; it is checked that it was that one.
  const moved = `${own}.dead`
  try {
    renameSync(file, moved)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  if (readFileSync(moved, 'utf8') !== holder) linkSync(moved, file)
  rmSync(moved, { force: true })
  return false
}
