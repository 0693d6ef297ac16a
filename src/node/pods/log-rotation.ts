import { readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** The kubelet's containerLogMaxSize and containerLogMaxFiles. */
const MAX_BYTES = 10 * 1024 * 1024
const MAX_FILES = 5

/** Files of a container's log beside the one that is written to, the oldest first. */
function rotated(log: string): string[] {
  const prefix = `${basename(log)}.`
  return readdirSync(dirname(log))
    .filter((name) => name.startsWith(prefix))
    .sort()
    .map((name) => join(dirname(log), name))
}

/**
 * Puts a log that has grown large aside; `reopen` has the runtime begin a new one. Logs are kept up to five files.
 * True: it was put aside.
 */
export async function rotateLog(
  log: string,
  now: Date,
  reopen: () => Promise<void>,
  maxBytes: number = MAX_BYTES,
): Promise<boolean> {
  const stats = statSync(log, { throwIfNoEntry: false })
  if (stats === undefined || stats.size < maxBytes) return false
  const old = rotated(log)
  for (const file of old.slice(0, Math.max(0, old.length - (MAX_FILES - 2)))) rmSync(file, { force: true })
  const aside = `${log}.${now.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}`
  renameSync(log, aside)
  try {
    await reopen()
  } catch (error) {
    // The runtime goes on writing to what it has open: that must stay the log.
    renameSync(aside, log)
    throw error
  }
  return true
}

/** Of a container that is removed. */
export function removeLogs(log: string): void {
  if (log === '' || statSync(dirname(log), { throwIfNoEntry: false }) === undefined) return
  for (const file of [...rotated(log), log]) rmSync(file, { force: true })
}
