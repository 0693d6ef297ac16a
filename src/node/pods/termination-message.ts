import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import type { CriContainerStatus } from '../../platform/cri/index.ts'
import { ANNOTATION } from './engine/pod.ts'

const MAX_MESSAGE_BYTES = 4096
const MAX_LOG_BYTES = 2048
const MAX_LOG_LINES = 80
/** Of a log in CRI's format: time, stream and tag come before each line. */
const LINE_OVERHEAD = 80

/** What a container has left in its termination log; when it failed and says so, the end of its log instead. */
export function terminationMessage(status: CriContainerStatus): string {
  const path = status.annotations[ANNOTATION.terminationMessagePath]
  const mount = status.mounts.find(({ containerPath }) => containerPath === path)
  const message = mount === undefined ? '' : head(mount.hostPath)
  const fallback = status.annotations[ANNOTATION.terminationMessagePolicy] === 'FallbackToLogsOnError'
  if (message !== '' || !fallback || status.exitCode === 0) return message
  return logTail(status.logPath)
}

function head(file: string): string {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return ''
  const descriptor = openSync(file, 'r')
  try {
    if (!fstatSync(descriptor).isFile()) return ''
    const buffer = Buffer.alloc(MAX_MESSAGE_BYTES)
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, MAX_MESSAGE_BYTES, 0))
  } finally {
    closeSync(descriptor)
  }
}

function logTail(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return ''
  const length = Math.min(stats.size, MAX_LOG_BYTES + MAX_LOG_LINES * LINE_OVERHEAD)
  const text = length === stats.size ? readFileSync(file, 'utf8') : readEnd(file, stats.size - length, length)
  const lines = text
    .split('\n')
    .slice(-MAX_LOG_LINES - 1)
    .flatMap((line) => /^\S+ (?:stdout|stderr) \S+ (.*)$/.exec(line)?.[1] ?? [])
  return Buffer.from(`${lines.join('\n')}\n`)
    .subarray(-MAX_LOG_BYTES)
    .toString()
}

function readEnd(file: string, from: number, length: number): string {
  const descriptor = openSync(file, 'r')
  try {
    const buffer = Buffer.alloc(length)
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, length, from))
  } finally {
    closeSync(descriptor)
  }
}
