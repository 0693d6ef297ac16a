import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { processStartTime } from '../platform/process.ts'
import { CliError } from './error.ts'

/** Where one cluster keeps everything it has on this machine. */
export type ClusterPaths = {
  name: string
  directory: string
  /** Effective settings of the running control plane (JSON). */
  settings: string
  /** Process id and start time of the control plane (JSON). */
  process: string
  kubeconfig: string
  log: string
  pki: string
  store: string
  audit: string
}

const NAME = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/

/** Root's clusters lie in /var/lib/rampart/NAME, everybody else's in the XDG data folder. */
export function clusterPaths(options: { name?: string; dataDir?: string }): ClusterPaths {
  const name = options.name ?? 'default'
  if (!NAME.test(name))
    throw new CliError(
      `--name ${JSON.stringify(name)} is not a name: lower-case letters, digits and '-', at most 40`,
      2,
    )
  const directory = options.dataDir === undefined ? join(defaultRoot(), name) : resolve(options.dataDir)
  return {
    name,
    directory,
    settings: join(directory, 'settings.json'),
    process: join(directory, 'control-plane.json'),
    kubeconfig: join(directory, 'kubeconfig'),
    log: join(directory, 'log', 'control-plane.log'),
    pki: join(directory, 'pki'),
    store: join(directory, 'store'),
    audit: join(directory, 'audit'),
  }
}

function defaultRoot(): string {
  if (process.getuid?.() === 0) return '/var/lib/rampart'
  return join(process.env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'rampart')
}

export type ControlPlaneProcess = { pid: number; startTime: string; port: number; startedAt: string }

/** The control plane of this folder if it lives. */
export function runningControlPlane(paths: ClusterPaths): ControlPlaneProcess | undefined {
  if (!existsSync(paths.process)) return undefined
  let recorded: ControlPlaneProcess
  try {
    recorded = JSON.parse(readFileSync(paths.process, 'utf8')) as ControlPlaneProcess
  } catch (error) {
    throw new CliError(`${paths.process} cannot be read: ${(error as Error).message}`, 3)
  }
  return processStartTime(recorded.pid) === recorded.startTime ? recorded : undefined
}
