import { createReadStream, lstatSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { AuditLogReader, type AuditLogSink } from '../../features/rbac/generate/audit-log-reader.ts'
import { CliError } from '../error.ts'

/** Unpacked, of one file: stops what was packed to fill the machine. */
const MAX_BYTES = 64 * 1024 ** 3

/**
 * The files of an audit log, the oldest first: a file with the ones rotated away from it (Rampart: `audit.log.STAMP`,
 * kube-apiserver: `audit-STAMP.log`, either also .gz), all files of a folder, or `-`. Throws CliError (2).
 */
export function auditLogFiles(paths: readonly string[], rotated: boolean): string[] {
  const found = paths.flatMap((path) => {
    if (path === '-') return ['-']
    try {
      if (statSync(path).isDirectory())
        return readdirSync(path)
          .sort()
          .map((name) => join(path, name))
          .filter((file) => /\.(log|jsonl?)\b/.test(basename(file)) && lstatSync(file).isFile())
      return rotated ? [...rotatedFrom(path), path] : [path]
    } catch (error) {
      throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 2)
    }
  })
  if (found.length === 0) throw new CliError(`there is no audit log in ${paths.join(', ')}`, 2)
  return [...new Set(found)]
}

function rotatedFrom(path: string): string[] {
  const own = basename(path)
  const dot = own.lastIndexOf('.')
  const [stem, extension] = dot <= 0 ? [own, ''] : [own.slice(0, dot), own.slice(dot)]
  const isRotated = (name: string): boolean =>
    (name.startsWith(`${own}.`) && /^\d[\dTZ.-]*(?:\.gz)?$/.test(name.slice(own.length + 1))) ||
    (name.startsWith(`${stem}-`) &&
      name.replace(/\.gz$/, '').endsWith(extension) &&
      /^\d{4}-\d\d-\d\dT[\d.-]+$/.test(
        name.replace(/\.gz$/, '').slice(stem.length + 1, extension === '' ? undefined : -extension.length),
      ))
  return readdirSync(dirname(path))
    .filter((name) => name !== own && isRotated(name))
    .sort()
    .map((name) => join(dirname(path), name))
}

/** Reads one file, packed with gzip or not, to its end. Rejects with CliError (2) that names it. */
export async function readAuditLog(file: string, sink: AuditLogSink): Promise<void> {
  const reader = new AuditLogReader(sink)
  let size = 0
  const source: Readable = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: 1024 * 1024 })
  try {
    for await (const chunk of unpacked(source)) {
      size += chunk.length
      if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`)
      reader.push(chunk)
    }
  } catch (error) {
    if (isOurs(error)) throw error
    throw new CliError(`${file === '-' ? 'standard input' : file} cannot be read: ${(error as Error).message}`, 2)
  }
  reader.end()
}

const isOurs = (error: unknown): boolean => error instanceof Error && error.name === 'UsageLimitError'

/** Whether it is gzip shows in the first two bytes, not in the name. */
async function* unpacked(source: Readable): AsyncGenerator<Buffer> {
  const chunks = source.iterator() as AsyncIterator<Buffer>
  let head = Buffer.alloc(0)
  while (head.length < 2) {
    const next = await chunks.next()
    if (next.done) break
    head = Buffer.concat([head, next.value])
  }
  const whole = (async function* (): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value
  })()
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    yield* whole
    return
  }
  const gunzip = createGunzip()
  const feeding = feed(whole, gunzip)
  yield* gunzip as AsyncIterable<Buffer>
  await feeding
}

async function feed(chunks: AsyncIterable<Buffer>, into: ReturnType<typeof createGunzip>): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (into.destroyed) return
      if (!into.write(chunk)) await new Promise<void>((resolve) => into.once('drain', resolve).once('close', resolve))
    }
    into.end()
  } catch (error) {
    into.destroy(error as Error)
  }
}
