import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { restoreBackup } from '../../kernel/store/backup.ts'
import { clusterPaths, runningControlPlane } from '../cluster.ts'
import { askControlPlane } from '../control.ts'
import { CliError } from '../error.ts'
import { say, step } from '../output.ts'
import type { Settings } from '../settings.ts'

export async function backup(file: string, options: { name?: string; dataDir?: string }): Promise<void> {
  const paths = clusterPaths(options)
  const target = resolve(file)
  if (existsSync(target)) throw new CliError(`${target} exists already`)
  const result = await step(`writing ${target}`, () => askControlPlane(paths, { command: 'backup', file: target }))
  say(
    `revision ${result['revision']}, ${result['bytes']} bytes; it holds every Secret of the cluster: keep it as you keep them`,
  )
}

export async function restore(file: string, options: { name?: string; dataDir?: string }): Promise<void> {
  const paths = clusterPaths(options)
  const source = resolve(file)
  if (!existsSync(source)) throw new CliError(`${source} does not exist`)
  if (runningControlPlane(paths) !== undefined)
    throw new CliError(`the control plane of ${paths.name} runs: stop it with "rampart down" first`)
  if (existsSync(paths.settings)) {
    const settings = JSON.parse(readFileSync(paths.settings, 'utf8')) as Settings
    if (settings.store === 'etcd')
      throw new CliError(
        'this cluster keeps its data in etcd: restore etcd with its own tools (etcdctl snapshot restore)',
      )
  }
  mkdirSync(paths.directory, { recursive: true, mode: 0o700 })
  const { revision } = await step(`restoring ${source} into ${paths.store}`, () => restoreBackup(source, paths.store))
  say(`revision ${revision}; start with "rampart up"`)
}
