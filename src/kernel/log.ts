import { copyFileSync, fstatSync, statSync, truncateSync } from 'node:fs'
import type { Log } from './feature.ts'

/** Lines of JSON on stdout, which `rampart up` has opened as the log file. */
export function jsonLog(level: 'debug' | 'info'): Log {
  return (severity, message, fields) => {
    if (severity === 'debug' && level !== 'debug') return
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level: severity, message, ...fields })}\n`)
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
