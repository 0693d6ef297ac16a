import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import type { Log } from '../../../kernel/feature.ts'
import { type EncryptionConfiguration, MAX_CONFIGURATION_BYTES, parseEncryptionConfiguration } from './configuration.ts'
import { EncryptionConfigurationError } from './types.ts'

/** `stamp` changes with every version of the file. */
export type LoadedConfiguration = { configuration: EncryptionConfiguration; stamp: string }

/** Reads the file unless `skip` says that this version of it is known. Throws EncryptionConfigurationError. */
export function loadConfiguration(
  file: string,
  log: Log,
  skip: (stamp: string) => boolean,
): LoadedConfiguration | undefined {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    throw new EncryptionConfigurationError(`${file}: cannot be read: ${(error as Error).message}`)
  }
  try {
    const stat = fstatSync(fd, { bigint: true })
    if (!stat.isFile()) throw new EncryptionConfigurationError(`${file}: is not a regular file`)
    const now = [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ')
    if (skip(now)) return undefined
    if (stat.size > MAX_CONFIGURATION_BYTES) {
      throw new EncryptionConfigurationError(`${file}: the file has more than ${MAX_CONFIGURATION_BYTES} bytes`)
    }
    const configuration = parseEncryptionConfiguration(readFileSync(fd, 'utf8'), file)
    const keys = configuration.entries.some((entry) => entry.providers.some((provider) => 'keys' in provider))
    if (keys && (stat.mode & 0o077n) !== 0n) {
      log('warn', 'the encryption configuration holds keys and is open to others: chmod 600 it', { file })
    }
    return { configuration, stamp: now }
  } finally {
    closeSync(fd)
  }
}
