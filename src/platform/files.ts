import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes a file that only its owner may read, whole or not at all: new file, fsync, rename, fsync of the folder. */
export function writePrivate(file: string, content: string | Uint8Array): void {
  writeWhole(file, content, 0o600)
}

/** The same for what everybody may read, such as certificates. */
export function writePublic(file: string, content: string | Uint8Array): void {
  writeWhole(file, content, 0o644)
}

function writeWhole(file: string, content: string | Uint8Array, mode: number): void {
  const temporary = `${file}.${process.pid}.new`
  // 'wx' follows no link that others may have planted; what an earlier process with our id left behind goes first.
  rmSync(temporary, { force: true })
  const fd = openSync(temporary, 'wx', mode)
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, file)
  const folder = openSync(dirname(file), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
