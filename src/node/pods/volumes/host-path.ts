import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, type Stats, statSync } from 'node:fs'

/** Checks, and where the type says so makes, what a hostPath volume names. Throws an Error that names path and type. */
export function prepareHostPath(path: string, type: string | undefined): void {
  if (type === undefined || type === '') return
  const wrong = (what: string): Error => new Error(`hostPath type check failed: ${path} is not ${what}`)
  let found = statOf(path)
  if (type === 'DirectoryOrCreate' && found === undefined) {
    mkdirSync(path, { recursive: true })
    chmodSync(path, 0o755)
    found = statOf(path)
  }
  if (type === 'FileOrCreate' && found === undefined) {
    closeSync(openSync(path, 'wx'))
    chmodSync(path, 0o644)
    found = statOf(path)
  }
  const check: Readonly<Record<string, [string, (stats: Stats) => boolean]>> = {
    Directory: ['a directory', (s) => s.isDirectory()],
    DirectoryOrCreate: ['a directory', (s) => s.isDirectory()],
    File: ['a file', (s) => s.isFile()],
    FileOrCreate: ['a file', (s) => s.isFile()],
    Socket: ['a socket file', (s) => s.isSocket()],
    CharDevice: ['a character device', (s) => s.isCharacterDevice()],
    BlockDevice: ['a block device', (s) => s.isBlockDevice()],
  }
  const [what, test] = check[type] ?? [`of the unknown type ${JSON.stringify(type)}`, () => false]
  if (found === undefined || !test(found)) throw wrong(what)
}

function statOf(path: string): Stats | undefined {
  const link = lstatSync(path, { throwIfNoEntry: false })
  return link === undefined ? undefined : statSync(path, { throwIfNoEntry: false })
}
