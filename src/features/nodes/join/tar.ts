import { createReadStream } from 'node:fs'

export type TarEntry = {
  /** Relative, with `/`; folders need no entries. */
  path: string
  mode: number
  size: number
  source: { file: string } | { content: Buffer }
}

const BLOCK = 512

/** A POSIX.1-1988 ustar archive: owner root, time 0, so that equal contents are equal archives. */
export async function* tar(entries: readonly TarEntry[]): AsyncGenerator<Buffer> {
  for (const entry of entries) {
    yield header(entry)
    let written = 0
    if ('content' in entry.source) {
      written = entry.source.content.length
      yield entry.source.content
    } else {
      for await (const chunk of createReadStream(entry.source.file, { highWaterMark: 1024 * 1024 })) {
        written += (chunk as Buffer).length
        yield chunk as Buffer
      }
    }
    if (written !== entry.size) throw new Error(`${entry.path} changed while it was read`)
    yield Buffer.alloc((BLOCK - (written % BLOCK)) % BLOCK)
  }
  yield Buffer.alloc(2 * BLOCK)
}

function header({ path, mode, size }: TarEntry): Buffer {
  const [prefix, name] = splitPath(path)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'ascii')
  }
  block.write(name, 0, 100)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  block.write('        0', 148, 'ascii')
  block.write('ustar\0' + '00', 257, 'ascii')
  block.write('root', 265, 'ascii')
  block.write('root', 297, 'ascii')
  block.write(prefix, 345, 155)
  const sum = block.reduce((total, octet) => total + octet, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii')
  return block
}

/** ustar holds 100 bytes of name after a `/` and 155 before it. */
function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path]
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)]
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, name]
  }
  throw new Error(`${path} is too long for an archive`)
}
