import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CliError } from './error.ts'

/** Everything that a cluster puts into its data folder. */
const OWN = new Set([
  'audit',
  'bundles',
  'control-plane.json',
  'control.sock',
  'encryption',
  'etcd',
  'kubeconfig',
  'lab',
  'lock',
  'lock-journal',
  'lock.owner',
  'log',
  'pki',
  'reserve',
  'settings.json',
  'ssh',
  'store',
])
/** Files of one moment, left behind by a process that was killed. */
const PASSING = /^(?:settings|failure)\.\d+\.(?:json|txt)$|\.\d+\.new$/

const isOwn = (name: string): boolean => OWN.has(name) || PASSING.test(name)

/**
 * Refuses a folder that holds anything else than a cluster's data, or that others may write in. What is not there yet is
 * fine. Throws CliError.
 */
export function requireDataFolder(directory: string): void {
  if (!existsSync(directory)) return
  const stat = statSync(directory)
  if (!stat.isDirectory()) throw new CliError(`${directory} is no folder: give --data-dir a new one`, 2)
  const foreign = readdirSync(directory).filter((name) => !isOwn(name) && name !== 'lost+found')
  if (foreign.length > 0)
    throw new CliError(
      `${directory} holds what is not a cluster's (${foreign.slice(0, 3).join(', ')}): give --data-dir a new or empty folder`,
      2,
    )
  if (process.getuid !== undefined && stat.uid !== process.getuid())
    throw new CliError(`${directory} belongs to another user (${stat.uid})`, 2)
  if ((stat.mode & 0o022) !== 0) throw new CliError(`others may write in ${directory}: chmod 700 it first`, 2)
}

/** Removes a cluster's data and nothing else. Returns the names that were left; the folder goes when there are none. */
export function deleteData(directory: string): string[] {
  if (!existsSync(directory)) return []
  const names = readdirSync(directory)
  const foreign = names.filter((name) => !isOwn(name))
  if (foreign.length > 0 && !(existsSync(join(directory, 'settings.json')) && existsSync(join(directory, 'pki'))))
    throw new CliError(`${directory} does not look like the data of a cluster: not deleted`)
  for (const name of names) if (isOwn(name)) rmSync(join(directory, name), { recursive: true, force: true })
  // A link stays: the folder that it leads to is its owner's.
  if (foreign.length === 0 && !lstatSync(directory).isSymbolicLink()) rmdirSync(directory)
  return foreign
}
