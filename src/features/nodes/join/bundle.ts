import { createHash } from 'node:crypto'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip, createZstdCompress } from 'node:zlib'
import type { BundleFile } from './bundle-content.ts'
import { type TarEntry, tar } from './tar.ts'

export type Compression = 'none' | 'zstd' | 'gzip'

/**
 * The agent as machines get it. Its name is the SHA-256 of its file SHA256SUMS, which has the hash of every other file:
 * `sha256sum -c` on the machine then vouches for the whole.
 */
export type AgentBundle = {
  sha256: string
  /** Of all files together. */
  bytes: number
  /** The archive; compressed ones are made when they are first asked for. */
  open: (compression: Compression) => Promise<Readable>
}

/** Makes the archive once; it is kept in `cacheFolder` under its hash, and those of other contents are removed. */
export async function makeBundle(files: readonly BundleFile[], cacheFolder: string): Promise<AgentBundle> {
  const entries: TarEntry[] = []
  const sums: string[] = []
  for (const { path, file, executable = false } of files) {
    if (/[\n\\]/.test(path)) throw new Error(`${JSON.stringify(path)} cannot be listed in SHA256SUMS`)
    entries.push({ path, mode: executable ? 0o755 : 0o644, size: statSync(file).size, source: { file } })
    sums.push(`${await sha256Of(file)}  ${path}\n`)
  }
  const content = Buffer.from(sums.join(''))
  const sha256 = createHash('sha256').update(content).digest('hex')
  entries.unshift({ path: 'SHA256SUMS', mode: 0o644, size: content.length, source: { content } })
  mkdirSync(cacheFolder, { recursive: true, mode: 0o700 })
  const archive = join(cacheFolder, `${sha256}.tar`)
  if (!existsSync(archive)) {
    for (const old of readdirSync(cacheFolder)) rmSync(join(cacheFolder, old), { force: true })
    await writeOnce(archive, (to) => pipeline(Readable.from(tar(entries)), createWriteStream(to, { mode: 0o600 })))
  }
  /** Several machines ask at once: each form is made once. */
  const made = new Map<Compression, Promise<void>>()
  return {
    sha256,
    bytes: entries.reduce((total, e) => total + e.size, 0),
    open: async (compression) => {
      if (compression === 'none') return createReadStream(archive, { highWaterMark: 256 * 1024 })
      const compressed = `${archive}.${compression}`
      if (!existsSync(compressed)) {
        const making =
          made.get(compression) ??
          writeOnce(compressed, (to) =>
            pipeline(createReadStream(archive), compressor(compression), createWriteStream(to, { mode: 0o600 })),
          )
        made.set(compression, making)
        await making.finally(() => made.delete(compression))
      }
      return createReadStream(compressed, { highWaterMark: 256 * 1024 })
    },
  }
}

const compressor = (compression: 'zstd' | 'gzip'): NodeJS.ReadWriteStream =>
  compression === 'gzip'
    ? createGzip({ level: 4 })
    : createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } })

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function writeOnce(file: string, write: (to: string) => Promise<void>): Promise<void> {
  const temporary = `${file}.${process.pid}.new`
  try {
    await write(temporary)
    renameSync(temporary, file)
  } finally {
    rmSync(temporary, { force: true })
  }
}
