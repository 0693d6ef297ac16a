import type { KeyUsage, KnownKey } from '../../features/secrets/index.ts'
import { humanDuration } from '../../kernel/resources/printing.ts'
import { clusterPaths } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { outputFormat, print, printTable, printValue, say } from '../output.ts'
import type { SecretsStatus } from './secrets.ts'

type Scope = { name?: string; dataDir?: string }

async function ask(options: Scope): Promise<SecretsStatus> {
  return (await askControlPlane(clusterPaths(options), { command: 'secrets-status' })) as unknown as SecretsStatus
}

export async function status(options: Scope & { output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const answer = await ask(options)
  process.exitCode = answer.unreadableCount > 0 ? 1 : 0
  if (format === 'json' || format === 'yaml') return printValue(format, answer)
  printTable(['KEY', 'USE', 'CREATED', 'DATA KEY', 'HEALTH', 'RESOURCES'], answer.keys.map(keyRow))
  print('')
  const rows = format === 'wide' ? answer.usage : merged(answer)
  printTable(['PROTECTED BY', 'RESOURCE', 'OBJECTS', 'STALE', 'DATA KEYS', 'OLDEST WRITE'], rows.map(usageRow))
  complain(answer)
  for (const trouble of answer.troubles) say(`not in force: ${trouble}`)
  for (const sick of new Set(answer.keys.map(({ health }) => health))) {
    if (sick !== undefined && sick !== 'ok') say(`not well: ${sick}`)
  }
  const stale = answer.usage.reduce((sum, u) => sum + u.stale, 0)
  if (stale > 0) say(`${stale} objects would be written with another key today: rampart secrets rotate`)
}

const age = (time: number | undefined): string => (time === undefined ? '-' : humanDuration(Date.now() - time))

const keyName = ({ provider, name, keyId }: Pick<KeyUsage, 'provider' | 'name' | 'keyId'>): string =>
  [provider, name, keyId].filter((part) => part).join(' ')

function keyRow(key: KnownKey): string[] {
  const { dataKey } = key
  return [
    keyName(key),
    key.writes ? 'writes' : 'reads',
    age(key.created),
    dataKey === undefined ? '-' : `${dataKey.id}, ${age(dataKey.created)} old, ${dataKey.uses} uses`,
    key.health === undefined ? '-' : key.health === 'ok' ? 'ok' : 'not well',
    key.resources.join(',') || '-',
  ]
}

const usageRow = (usage: KeyUsage): string[] => [
  usage.provider === 'identity' ? 'nothing (in the clear)' : keyName(usage),
  usage.resource,
  String(usage.objects),
  String(usage.stale),
  usage.dataKeys === 0 ? '-' : String(usage.dataKeys),
  age(usage.oldestWrite),
]

/** What is in the clear because nobody wants it otherwise is one row. */
function merged({ usage }: SecretsStatus): KeyUsage[] {
  const clear = usage.filter((u) => u.provider === 'identity' && u.stale === 0)
  if (clear.length < 2) return usage
  const writes = clear.map((u) => u.oldestWrite).filter((time) => time !== undefined)
  return [
    ...usage.filter((u) => !clear.includes(u)),
    {
      provider: 'identity',
      name: '',
      resource: `${clear.length} other kinds`,
      objects: clear.reduce((sum, u) => sum + u.objects, 0),
      stale: 0,
      dataKeys: 0,
      ...(writes.length > 0 && { oldestWrite: Math.min(...writes) }),
    },
  ]
}

function complain({ unreadable, unreadableCount }: Pick<SecretsStatus, 'unreadable' | 'unreadableCount'>): void {
  for (const { error } of unreadable) say(`cannot be read: ${error}`)
  if (unreadableCount > unreadable.length) say(`… and ${unreadableCount - unreadable.length} more`)
}

export async function rotate(options: Scope & { kek?: boolean; dek?: boolean }): Promise<void> {
  if (options.kek && options.dek) throw new CliError('--kek makes new data keys too: give one of --kek and --dek', 2)
  const what = options.kek ? 'kek' : options.dek ? 'dek' : undefined
  const terminal = process.stderr.isTTY === true
  const answer = await askControlPlane(
    clusterPaths(options),
    { command: 'secrets-rotate', ...(what && { rotate: what }) },
    (progress) => {
      if (typeof progress['keyId'] === 'string')
        return say(`key-encryption key ${progress['keyId']} writes from now on`)
      const line = `${Number(progress['rewritten']) + Number(progress['overtaken'])} of ${progress['total']} rewritten`
      if (terminal) process.stderr.write(`\r\u001b[K${line}`)
      else say(line)
    },
  )
  if (terminal) process.stderr.write('\r\u001b[K')
  complain(answer as unknown as SecretsStatus)
  const overtaken = Number(answer['overtaken'])
  say(
    `${answer['rewritten']} of ${answer['total']} objects rewritten` +
      (overtaken > 0 ? `, ${overtaken} renewed by others meanwhile` : ''),
  )
  if (what === 'kek')
    say('older keys stay in the key file until "rampart secrets forget-keys" (older backups need them)')
  if (Number(answer['unreadableCount']) > 0) process.exitCode = 1
}

export async function verify(options: Scope & { output?: string }): Promise<void> {
  const format = outputFormat(options.output)
  const { usage, unreadable, unreadableCount } = await ask(options)
  process.exitCode = unreadableCount > 0 ? 1 : 0
  const objects = usage.reduce((sum, u) => sum + u.objects, 0)
  const encrypted = usage.reduce((sum, u) => sum + (u.provider === 'identity' ? 0 : u.objects), 0)
  if (format === 'json' || format === 'yaml')
    return printValue(format, { objects, encrypted, unreadable, unreadableCount })
  complain({ unreadable, unreadableCount })
  print(`${objects} objects can be read, ${encrypted} of them encrypted; ${unreadableCount} cannot`)
}

export async function forget(keys: readonly string[], options: Scope): Promise<void> {
  const { forgotten } = (await askControlPlane(clusterPaths(options), {
    command: 'secrets-forget-keys',
    keyIds: keys,
  })) as { forgotten: string[] }
  say(forgotten.length === 0 ? 'there is no older key' : `forgotten: ${forgotten.join(', ')}`)
}

export async function discard(keys: readonly string[], options: Scope): Promise<void> {
  const { discarded } = (await askControlPlane(clusterPaths(options), { command: 'secrets-discard', keys })) as {
    discarded: string[]
  }
  for (const key of discarded) say(`deleted ${key}`)
}
