import { copyFileSync, fstatSync, statSync, truncateSync } from 'node:fs'
import type { Log } from './feature.ts'

/** Lines of JSON on stdout, which `rampart up` has opened as the log file. A full disk costs lines, never the process. */
export function jsonLog(level: 'debug' | 'info'): Log {
  let lost = 0
  process.stdout.on('error', () => lost++)
  const write = (severity: string, message: string, fields?: Record<string, unknown>): void => {
    const line = JSON.stringify({ time: new Date().toISOString(), level: severity, message, ...fields })
    process.stdout.write(`${line}\n`)
  }
  return (severity, message, fields) => {
    if (severity === 'debug' && level !== 'debug') return
    if (lost > 0) {
      const lines = lost
      lost = 0
      // The line that was cut off is ended first.
      process.stdout.write('\n')
      write('error', 'lines of this log were lost: it could not be written', { lines })
    }
    write(severity, message, fields)
  }
}

const MAX_BYTES = 32 * 1024 * 1024
const CHECK_MS = 60_000

/** Keeps the log file, which stdout appends to, below a size: its content moves to `FILE.1`. */
export function keepLogSmall(file: string, log: Log): () => void {
  const timer = setInterval(() => {
    try {
      const stat = statSync(file, { throwIfNoEntry: false })
      if (stat === undefined || stat.size < MAX_BYTES || stat.ino !== fstatSync(1).ino) return
      copyFileSync(file, `${file}.1`)
      truncateSync(file)
    } catch (error) {
      log('warn', 'the log could not be rotated', { error: (error as Error).message })
    }
  }, CHECK_MS)
  timer.unref()
  return () => clearInterval(timer)
}
