import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { writePrivate } from '../../../platform/files.ts'
import { SecretsFile, SecretsFileError } from './secrets-file.ts'

const MAX_SECRETS_BYTES = 16 * 1024 * 1024

/** `web.yaml` and `web.json` keep their Secrets in `web.secrets.yaml` beside them. */
export function secretsFileOf(manifest: string): string {
  const name = basename(manifest)
  return join(dirname(manifest), `${name.replace(/\.(?:ya?ml|json)$/, '')}.secrets.yaml`)
}

/** What the file holds already; throws SecretsFileError that names it when nothing may be added. */
export function openSecretsFile(file: string): SecretsFile {
  const stat = lstatSync(file, { throwIfNoEntry: false })
  if (stat === undefined) return new SecretsFile('')
  if (!stat.isFile()) throw new SecretsFileError(`${file} is not a regular file`)
  if (stat.size > MAX_SECRETS_BYTES) throw new SecretsFileError(`${file} is larger than ${MAX_SECRETS_BYTES} bytes`)
  try {
    return new SecretsFile(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof SecretsFileError) throw new SecretsFileError(`${file} stays as it is: ${error.message}`)
    throw error
  }
}

/** The Secrets first: whatever happens in between, no value is lost. */
export function writeFixed(manifest: string, before: string, after: string, secrets: SecretsFile): void {
  if (readFileSync(manifest, 'utf8') !== before) throw new SecretsFileError(`${manifest} has changed in the meantime`)
  if (secrets.changed) writePrivate(secretsFileOf(manifest), secrets.toString())
  replaceFile(manifest, after)
}

/** Whole or not at all, with the mode and owner it had; a link stays a link. */
function replaceFile(path: string, content: string): void {
  const file = realpathSync(path)
  const { mode, uid, gid } = statSync(file)
  const temporary = `${file}.${process.pid}.new`
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    try {
      const bytes = Buffer.from(content)
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (process.getuid?.() === 0) chownSync(temporary, uid, gid)
    chmodSync(temporary, mode & 0o7777)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
