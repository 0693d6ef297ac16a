import { watch } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type LogFilter, LogRenderer } from './log-line.ts'

export type LogRequest = LogFilter & {
  follow: boolean
  /** Lines of the file from its end; undefined: all. */
  tailLines?: number
}

export type LogSource = {
  path: string
  /** Whether more may be written; asked at the end of the file while following. */
  isRunning: () => Promise<boolean>
}

const BLOCK = 64 * 1024
/** containerd writes lines of 16 KiB; what is longer than this was not written by a container runtime. */
const MAX_LINE = 1024 * 1024
const POLL_MS = 1000
const NEWLINE = 0x0a

/** Offset at which the last `lines` lines begin; a last line without its newline counts as one. */
export async function tailOffset(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines === 0) return size
  const block = Buffer.alloc(BLOCK)
  let found = 0
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - BLOCK)
    const { bytesRead } = await file.read(block, 0, end - start, start)
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (block[i] !== NEWLINE || start + i === size - 1) continue
      if (++found === lines) return start + i + 1
    }
    end = start
  }
  return 0
}

/**
 * The bytes of a container's log in the order they were written. While following it goes on in the next file when the
 * log is rotated, and ends once the container has ended and all is read. The reader's pace is the pace of reading.
 */
export async function* readLog(source: LogSource, request: LogRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
  const renderer = new LogRenderer(request)
  let file = await open(source.path, 'r')
  try {
    const { size } = await file.stat()
    let position = request.tailLines === undefined ? 0 : await tailOffset(file, size, request.tailLines)
    let rest: Buffer = Buffer.alloc(0)
    const changes = request.follow ? new Changes(dirname(source.path), signal) : undefined
    // What was written before a file was replaced, or its writer ended, is read before either counts.
    let replaced = false
    let ended = false
    try {
      while (!signal.aborted && !renderer.done) {
        const block = Buffer.allocUnsafe(BLOCK)
        const { bytesRead } = await file.read(block, 0, BLOCK, position)
        if (bytesRead > 0) {
          position += bytesRead
          const out: Buffer[] = []
          rest = lines(Buffer.concat([rest, block.subarray(0, bytesRead)]), renderer, out)
          if (rest.length > MAX_LINE) rest = Buffer.alloc(0)
          if (out.length > 0) yield Buffer.concat(out)
          continue
        }
        if (request.follow && replaced) {
          const next = await openIfThere(source.path)
          if (next !== undefined) {
            await file.close()
            file = next
            position = 0
            replaced = false
            continue
          }
        } else if (request.follow && (await isReplaced(file, source.path))) {
          replaced = true
          continue
        }
        if (!request.follow || ended) {
          const out: Buffer[] = []
          if (rest.length > 0) renderer.render(rest, out)
          if (out.length > 0) yield Buffer.concat(out)
          return
        }
        ended = !(await source.isRunning())
        if (!ended) await changes?.next()
      }
    } finally {
      changes?.close()
    }
  } finally {
    await file.close()
  }
}

/** Renders whole lines; returns what is left of the last. */
function lines(bytes: Buffer, renderer: LogRenderer, out: Buffer[]): Buffer {
  let start = 0
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    renderer.render(bytes.subarray(start, end + 1), out)
    start = end + 1
    if (renderer.done) break
  }
  return bytes.subarray(start)
}

async function isReplaced(file: FileHandle, path: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all([file.stat(), stat(path).catch(ifMissing)])
  return theirs === undefined || theirs.ino !== ours.ino || theirs.dev !== ours.dev
}

const openIfThere = (path: string): Promise<FileHandle | undefined> => open(path, 'r').catch(ifMissing)

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

/** Wakes at changes in a folder, and once a second for what the kernel does not tell (overlay, network file systems). */
class Changes {
  readonly #watcher: ReturnType<typeof watch> | undefined
  #changed = false
  #wake: (() => void) | undefined

  constructor(folder: string, signal: AbortSignal) {
    const changed = (): void => {
      this.#changed = true
      this.#wake?.()
    }
    signal.addEventListener('abort', changed, { once: true })
    try {
      this.#watcher = watch(folder, changed)
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      // Watches are limited per user; without one the poll goes on.
      this.#watcher = undefined
    }
  }

  async next(): Promise<void> {
    if (!this.#changed)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL_MS)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.#changed = false
  }

  close(): void {
    this.#watcher?.close()
  }
}
