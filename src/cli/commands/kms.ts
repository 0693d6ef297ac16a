import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { LocalKeyFile } from '../../features/secrets/encryption/index.ts'
import type { Log } from '../../kernel/feature.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printTable, printValue, say } from '../output.ts'

export function registerKms(root: Command): void {
  const kms = root.command('kms').description('keys for encryption at rest, served to API servers as a KMS v2 plugin')
  withKeyFile(kms.command('serve').description('serve the keys of a key file at a Unix socket until a signal comes'))
    .requiredOption('--socket <path>', 'Unix socket to make (0600)')
    .option('--name <name>', "the plugin's name in the EncryptionConfiguration that is printed", 'rampart')
    .option('--rotate', 'add a key first, which wraps from now on')
    .option('--verbose', 'also log every call, by its uid')
    .action(serve)
  kms
    .command('status')
    .description('ask any KMS v2 plugin for its version, health and key, and prove a round trip; exit 1 if it fails')
    .requiredOption('--socket <path>', 'path of its socket, or unix:///path, or unix:///@name')
    .option('--timeout <duration>', 'for one call, such as 3s or 500ms', '3s')
    .option('-o, --output <format>', 'json, yaml, wide or name')
    .action(status)
  withKeyFile(kms.command('keys').description('keys of a key file, newest first; the first wraps'))
    .option('-o, --output <format>', 'json, yaml, wide or name')
    .action(listKeys)
  withKeyFile(kms.command('init').description('make a key file with one key; refuses when there is one')).action(init)
  withKeyFile(kms.command('rotate').description('add a key to a key file; a running server uses it at once')).action(
    rotate,
  )
  withKeyFile(kms.command('forget').description('remove keys from a key file; what they wrapped is lost'))
    .argument('<key-id...>', 'as "kms keys" lists them')
    .option('--yes', 'no object needs these keys any more')
    .action(forget)
}

function withKeyFile(command: Command): Command {
  return command.option('--key-file <path>', `default ${defaultKeyFile()}`)
}

/** Beside the folder of the clusters, not in it: its backups must not hold the keys that they are encrypted with. */
function defaultKeyFile(): string {
  if (process.getuid?.() === 0) return '/var/lib/rampart-kms/keys.json'
  return join(process.env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'rampart-kms', 'keys.json')
}

type KeyFileOptions = { keyFile?: string }

async function serve(
  options: KeyFileOptions & { socket: string; name: string; rotate?: true; verbose?: true },
): Promise<void> {
  const { encryptionConfiguration, followKeyFile, parseEndpoint, serveKeyService, SocketError } = await import(
    '../../features/secrets/kms/index.ts'
  )
  if (/^@|^unix:/.test(options.socket)) {
    throw new CliError(`--socket ${options.socket}: a path is needed; abstract sockets have no permissions`, 2)
  }
  const socket = resolve(options.socket)
  const endpoint = `unix://${socket}`
  await orCliError(2, () => parseEndpoint(endpoint))
  const keys = await openKeys(options, true)
  const log = lines(options.verbose === true)
  if (options.rotate) log('info', 'key added', { keyId: (await orCliError(3, () => keys.rotate())).keyId })
  const stopped = signal()
  const server = await serveKeyService({ socket, service: followKeyFile(keys, log), log }).catch((error: Error) => {
    throw error instanceof SocketError ? new CliError(error.message) : error
  })
  say(encryptionConfiguration({ name: options.name, endpoint, timeoutMs: 3_000 }))
  log('info', 'KMS v2 plugin serves', { socket, keyFile: keys.file, keyId: (await keys.status()).keyId })
  log('info', 'KMS v2 plugin stops', { signal: await stopped })
  await server.close()
  keys.close()
}

async function status(options: { socket: string; timeout: string; output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const timeoutMs = milliseconds(options.timeout)
  const { connectKeyService, probeKeyService } = await import('../../features/secrets/kms/index.ts')
  const endpoint = /^unix:/.test(options.socket) ? options.socket : `unix://${resolve(options.socket)}`
  const service = await orCliError(2, () => connectKeyService({ name: 'kms', endpoint, timeoutMs }))
  const { problems, ...found } = await probeKeyService(service, 5).finally(() => service.close())
  process.exitCode = problems.length === 0 ? 0 : 1
  if (format === 'json' || format === 'yaml') return printValue(format, { endpoint, ...found, problems })
  if (format === 'name') {
    if (found.keyId !== undefined) print(`key/${found.keyId}`)
    for (const problem of problems) say(problem)
    return
  }
  print(`endpoint    ${endpoint}`)
  if (found.version !== undefined) {
    print(`version     ${found.version}`)
    print(`health      ${found.healthz}`)
    print(`key         ${found.keyId}`)
  }
  if (found.encryptMs !== undefined) {
    print(`round trip  proved: encrypt ${found.encryptMs} ms, decrypt ${found.decryptMs} ms`)
  }
  for (const problem of problems) print(`problem     ${problem}`)
}

async function listKeys(options: KeyFileOptions & { output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const keys = (await openKeys(options, false)).keys().map(({ id, created }, i) => ({
    id,
    created: new Date(created).toISOString(),
    wraps: i === 0,
  }))
  if (format === 'json' || format === 'yaml') return printValue(format, keys)
  if (format === 'name') return print(keys.map((key) => `key/${key.id}`).join('\n'))
  printTable(
    ['KEY', 'CREATED', 'WRAPS'],
    keys.map((key) => [key.id, key.created, key.wraps ? 'yes' : 'no']),
  )
}

async function init(options: KeyFileOptions): Promise<void> {
  const file = resolve(options.keyFile ?? defaultKeyFile())
  const { lstatSync } = await import('node:fs')
  if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) throw new CliError(`${file} is there already`)
  const keys = await openKeys(options, true)
  print(keys.keys()[0]!.id)
}

async function rotate(options: KeyFileOptions): Promise<void> {
  const keys = await openKeys(options, false)
  const { keyId } = await orCliError(3, () => keys.rotate())
  print(keyId)
  say('API servers notice within a minute; older keys are needed until every object has been rewritten')
}

async function forget(keyIds: string[], options: KeyFileOptions & { yes?: true }): Promise<void> {
  const keys = await openKeys(options, false)
  if (!options.yes) {
    throw new CliError('forget: objects that these keys still protect would be lost; say --yes when there are none', 2)
  }
  await orCliError(3, () => keys.forget(keyIds))
  for (const keyId of keyIds) print(keyId)
}

async function openKeys(options: KeyFileOptions, create: boolean): Promise<LocalKeyFile> {
  const file = resolve(options.keyFile ?? defaultKeyFile())
  const { existsSync } = await import('node:fs')
  const there = existsSync(file)
  if (!there && !create) throw new CliError(`there is no key file ${file}; "rampart kms serve" makes one`)
  const { openLocalKeyFile } = await import('../../features/secrets/encryption/index.ts')
  const keys = await orCliError(3, () => openLocalKeyFile({ file, clock: Date, name: 'local' }))
  if (!there) say(`made the key file ${file}: keep a copy elsewhere, without it nothing encrypted can be read`)
  return keys
}

/** What is wrong with keys, configuration or endpoint is for the user to mend. */
async function orCliError<T>(exitCode: number, work: () => T): Promise<T> {
  const { EncryptionConfigurationError, EncryptionError } = await import('../../features/secrets/encryption/index.ts')
  try {
    return work()
  } catch (error) {
    if (error instanceof EncryptionError || error instanceof EncryptionConfigurationError) {
      throw new CliError(error.message, exitCode)
    }
    throw error
  }
}

/** The first signal asks to stop; a second one kills as always. */
function signal(): Promise<NodeJS.Signals> {
  return new Promise((done) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => done(name))
  })
}

function lines(verbose: boolean): Log {
  return (level, message, fields = {}) => {
    if (level === 'debug' && !verbose) return
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`)
    say(`${new Date().toISOString()} ${level} ${message}${rest.join('')}`)
  }
}

function milliseconds(duration: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(duration)
  const value = match === null ? 0 : Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[match[2] as 'ms' | 's' | 'm']
  if (value < 1 || value > 600_000) {
    throw new CliError(`--timeout ${JSON.stringify(duration)} is not a duration such as 3s or 500ms, at most 10m`, 2)
  }
  return value
}
