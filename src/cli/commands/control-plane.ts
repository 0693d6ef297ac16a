import { existsSync, mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { exportTrust, importTrust } from '../../control-plane/shared-trust.ts'
import { writePrivate } from '../../platform/files.ts'
import { clusterPaths, runningControlPlane } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { requireDataFolder } from '../data-folder.ts'
import { CliError } from '../error.ts'
import { say } from '../output.ts'

type Scope = { name?: string; dataDir?: string }

export function exportSharedTrust(file: string, options: Scope): void {
  const paths = clusterPaths(options)
  const target = resolve(file)
  if (existsSync(target)) throw new CliError(`${target} exists already`)
  const { bundle, files } = refusals(() => exportTrust(paths.directory))
  writePrivate(target, bundle)
  say(`${files.length} files in ${target}, private keys among them: who has it is the cluster.`)
  say('Take it to the other machine over ssh, "rampart control-plane import" it there, and delete it.')
}

export async function importSharedTrust(file: string, options: Scope): Promise<void> {
  const paths = clusterPaths(options)
  const source = resolve(file)
  if (!existsSync(source)) throw new CliError(`${source} does not exist`)
  const running = runningControlPlane(paths) !== undefined
  let changed: unknown
  if (running) changed = (await askControlPlane(paths, { command: 'import-trust', file: source }))['changed']
  else {
    requireDataFolder(paths.directory)
    mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
    changed = refusals(() => importTrust(paths.directory, source))
  }
  const count = Array.isArray(changed) ? changed.length : 0
  say(count === 0 ? 'everything was there already' : `${count} files written under ${paths.directory}`)
  if (!running) say('start with "rampart up --store etcd --etcd-endpoints …"')
}

/** The keys that sign service-account tokens: without `prepare` the new (or prepared) key signs at once. */
export async function rotateServiceAccountKey(options: Scope & { prepare?: boolean }): Promise<void> {
  const { keys } = await ask(options, options.prepare ? 'prepare-service-account-key' : 'rotate-service-account-key')
  if (options.prepare)
    say(`the next key verifies tokens from now on (${keys} keys do); share it, then rotate without --prepare`)
  else
    say(
      `a new key signs service-account tokens; ${keys} keys verify them. Retire the old ones when no token of theirs is in use`,
    )
}

export async function retireServiceAccountKeys(options: Scope & { keep?: string }): Promise<void> {
  const keep = Number(options.keep ?? '1')
  if (!Number.isInteger(keep) || keep < 1)
    throw new CliError(`--keep must be a whole number from 1 up, not ${JSON.stringify(options.keep)}`, 2)
  const { keys } = await ask(options, 'retire-service-account-keys', { keep })
  say(
    `${keys} ${keys === 1 ? 'key verifies' : 'keys verify'} service-account tokens; tokens of others are refused from now on`,
  )
}

function ask(options: Scope, command: string, more: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
  return askControlPlane(clusterPaths(options), { command, ...more })
}

function refusals<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new CliError((error as Error).message)
  }
}
